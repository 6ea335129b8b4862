/*
 * record.h - reading the JSON of the relay's own records. Untrusted bytes.
 * Private to relay/lane: position.c and claim.c.
 */
#ifndef RELAY_LANE_RECORD_H
#define RELAY_LANE_RECORD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "relay/base/err.h"

/* A JSON object of a version that this program knows; the caller gives it
 * back with json_decref. NULL with *e set (ERR_STATE) for anything else. */
json_t *record_load(const char *data, size_t len, const char *what,
                    struct err *e);

/* Copies a string; false when it is none, or does not fit. */
bool record_string(const json_t *text, char *out, size_t size);

/* Copies a string field; false when it is missing or does not fit. */
bool record_text(const json_t *from, const char *name, char *out, size_t size);

/* The same for text that only serves people: cut to fit, never a reason to
 * refuse a record. False when it is no string. */
bool record_label(const json_t *text, char *out, size_t size);

/* Reads an integer that is not negative, nor so large that sums of two would
 * overflow; false for anything else. */
bool record_offset(const json_t *value, int64_t *out);

#endif
