/*
 * escape.h - text from outside (broker answers, record bytes, config keys) on
 * its way to a terminal, a log or a JSON string. Any thread; no state.
 */
#ifndef RELAY_BASE_ESCAPE_H
#define RELAY_BASE_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Bytes and code point of the UTF-8 character that `text` (NUL-terminated)
 * begins with; 0 bytes if there is none: overlong forms, surrogates and what
 * lies above U+10FFFF are no characters (RFC 3629). */
size_t utf8_decode(const char *text, uint32_t *point);

/* The most bytes of `text`, up to `max`, that end between two characters. */
size_t utf8_cut(const char *text, size_t max);

/* Writes `text` so that it cannot forge a line or drive a terminal: control
 * characters (C0, DEL, C1) become \u00XX. What is no UTF-8 becomes \xXX, or
 * with `json` \ufffd. `json` also escapes what a JSON string must, so that the
 * result is always a valid one. At most 6 bytes come out for each that goes
 * in. */
void escape_put(FILE *out, const char *text, bool json);

#endif
