/*
 * buf.h - a growing byte buffer, for records that are written by hand.
 * One thread. The bytes stay the buffer's; a zeroed one is empty.
 */
#ifndef RELAY_BASE_BUF_H
#define RELAY_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "relay/base/err.h"

struct buf {
    char *data; /* not terminated */
    size_t len, capacity;
};

void buf_add(struct buf *b, const void *data, size_t len);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* A JSON string, quotes included. UTF-8 stays as it is, so that text which is
 * read and written again does not grow; what is none becomes U+FFFD. */
void buf_json_string(struct buf *b, const char *text);

/* Little-endian base 128; zigzag for what may be negative. */
void buf_varint(struct buf *b, uint64_t value);
void buf_zigzag(struct buf *b, int64_t value);

/* Reads one back from data[*at .. len); -1 when it is cut or too long. */
int varint_read(const char *data, size_t len, size_t *at, uint64_t *out);
int zigzag_read(const char *data, size_t len, size_t *at, int64_t *out);

/* Empties it and keeps the memory. */
void buf_clear(struct buf *b);
void buf_free(struct buf *b);

#endif
