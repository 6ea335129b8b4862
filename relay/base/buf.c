/*
 * buf.c - see buf.h.
 */
#include "relay/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/escape.h"
#include "relay/base/mem.h"

static char *reserve(struct buf *b, size_t more)
{
    if (b->capacity - b->len < more) {
        b->capacity = (b->len + more) * 2;
        b->data = mem_realloc(b->data, b->capacity, 1);
    }
    return b->data + b->len;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
    memcpy(reserve(b, len), data, len);
    b->len += len;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    VERIFY(n >= 0);
    va_start(ap, fmt);
    vsnprintf(reserve(b, (size_t)n + 1), (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

void buf_json_string(struct buf *b, const char *text)
{
    static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

    buf_add(b, "\"", 1);
    while (*text != '\0') {
        uint32_t point;
        const size_t len = utf8_decode(text, &point);

        if (len == 0) {
            buf_add(b, replacement, sizeof(replacement) - 1);
        } else if (point < 0x20 || point == 0x7f) {
            buf_printf(b, "\\u%04x", (unsigned)point);
        } else {
            if (point == '"' || point == '\\') {
                buf_add(b, "\\", 1);
            }
            buf_add(b, text, len);
        }
        text += len > 0 ? len : 1;
    }
    buf_add(b, "\"", 1);
}

void buf_varint(struct buf *b, uint64_t value)
{
    char *out = reserve(b, 10);
    size_t n = 0;

    for (; value >= 0x80; value >>= 7) {
        out[n++] = (char)(value | 0x80);
    }
    out[n++] = (char)value;
    b->len += n;
}

void buf_zigzag(struct buf *b, int64_t value)
{
    buf_varint(b, ((uint64_t)value << 1) ^ (value < 0 ? ~0ULL : 0));
}

int varint_read(const char *data, size_t len, size_t *at, uint64_t *out)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && *at < len; shift += 7) {
        uint64_t byte = (unsigned char)data[(*at)++];
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return 0;
        }
    }
    return -1;
}

int zigzag_read(const char *data, size_t len, size_t *at, int64_t *out)
{
    uint64_t value;

    if (varint_read(data, len, at, &value) != 0) {
        return -1;
    }
    *out = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
    return 0;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
}

void buf_free(struct buf *b)
{
    free(b->data);
    *b = (struct buf){0};
}
