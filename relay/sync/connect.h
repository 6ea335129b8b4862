/*
 * connect.h - `check --connect`: both clusters as the relay will find them.
 * Main thread; blocks for up to the time-outs of its requests.
 */
#ifndef RELAY_SYNC_CONNECT_H
#define RELAY_SYNC_CONNECT_H

#include <stdio.h>

#include "config/config.h"
#include "relay/base/err.h"

/* Connects to both clusters and checks what can be checked without leaving a
 * trace; prints a line a finding to `out`, and lists what stays untested.
 * ERR_UNREACHABLE: no broker answers; ERR_DENIED: a right is missing. */
enum err_kind connect_check(const struct config *cfg, FILE *out,
                            struct err *e) MUST_CHECK;

#endif
