/*
 * escape.c - see escape.h.
 */
#include "relay/base/escape.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes and code point of the UTF-8 character at `c` (NUL-terminated); 0 bytes
 * if there is none: overlong forms, surrogates and what lies above U+10FFFF
 * are no characters (RFC 3629). */
static size_t decode(const unsigned char *c, uint32_t *point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = c[0] < 0x80             ? 1
                 : (c[0] & 0xe0) == 0xc0 ? 2
                 : (c[0] & 0xf0) == 0xe0 ? 3
                 : (c[0] & 0xf8) == 0xf0 ? 4
                                         : 0;

    *point = len < 2 ? c[0] : c[0] & (0xffU >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((c[i] & 0xc0) != 0x80) {
            return 0;
        }
        *point = *point << 6 | (c[i] & 0x3fU);
    }
    return *point < least[len] || *point > 0x10ffff ||
                   (*point >= 0xd800 && *point <= 0xdfff)
               ? 0
               : len;
}

void escape_put(FILE *out, const char *text, bool json)
{
    const unsigned char *c = (const unsigned char *)text;

    while (*c != '\0') {
        uint32_t point;
        size_t len = decode(c, &point);

        if (len == 0) {
            fprintf(out, json ? "\\ufffd" : "\\x%02x", *c);
            len = 1;
        } else if (point < 0x20 || (point >= 0x7f && point < 0xa0)) {
            fprintf(out, "\\u%04x", (unsigned)point);
        } else {
            if (json && (point == '"' || point == '\\')) {
                putc('\\', out);
            }
            fwrite(c, 1, len, out);
        }
        c += len;
    }
}
