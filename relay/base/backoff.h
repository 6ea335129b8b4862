/*
 * backoff.h - how long to wait after failures in a row, and when to say so.
 * Any thread; no state.
 */
#ifndef RELAY_BASE_BACKOFF_H
#define RELAY_BASE_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

/* min_ms after the first failure, doubled with each up to max_ms; less a random
 * part of up to a half, so that many waiters do not come back in step. */
int64_t backoff_ms(unsigned failures, int64_t min_ms, int64_t max_ms);

/* The 1st, 2nd, 4th, 8th ... failure is worth a log line. */
bool backoff_is_news(unsigned failures);

#endif
