/*
 * value.h - what a setting's text means: numbers, sizes, durations, times.
 * Any thread; no state. Parsers return false on anything but the exact form.
 */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

enum { VALUE_TEXT_BYTES = 32 };

/* Bytes at the start of `text` that a name may have (a relay's, a cluster's, a
 * topic's): letters, digits, ".", "_" and "-". */
size_t value_name_span(const char *text);

/* yes | no */
bool value_bool(bool *out, const char *text) MUST_CHECK;

/* Digits, with a "-" before them if below 0. */
bool value_int(int64_t *out, const char *text) MUST_CHECK;

/* 4096, 64KiB, 64MiB, 2GiB, 1TiB */
bool value_bytes(int64_t *out, const char *text) MUST_CHECK;

/* 100ms, 30s, 5m, 12h, 7d */
bool value_ms(int64_t *out, const char *text) MUST_CHECK;

/* earliest, latest, RFC 3339 (2026-01-31T08:00:00Z,
 * 2026-01-31T08:00:00.5+01:00) or back from now_ms (-30m, -2h, -7d). Nothing
 * before 1970. */
bool value_start(struct start *out, const char *text,
                 int64_t now_ms) MUST_CHECK;

/* In the largest unit that divides it: 65536 is 64KiB, 90000 ms is 90s. */
void value_print_bytes(char out[VALUE_TEXT_BYTES], int64_t bytes);
void value_print_ms(char out[VALUE_TEXT_BYTES], int64_t ms);

#endif
