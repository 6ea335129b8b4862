/*
 * escape.h - text from outside (broker answers, record bytes, config keys) on
 * its way to a terminal, a log or a JSON string. Any thread; no state.
 */
#ifndef RELAY_BASE_ESCAPE_H
#define RELAY_BASE_ESCAPE_H

#include <stdbool.h>
#include <stdio.h>

/* Writes `text` so that it cannot forge a line or drive a terminal: control
 * characters (C0, DEL, C1) become \u00XX. What is no UTF-8 becomes \xXX, or
 * with `json` \ufffd. `json` also escapes what a JSON string must, so that the
 * result is always a valid one. At most 6 bytes come out for each that goes
 * in. */
void escape_put(FILE *out, const char *text, bool json);

#endif
