/*
 * escape.c - see escape.h.
 */
#include "relay/base/escape.h"

#include <string.h>

size_t utf8_decode(const char *text, uint32_t *point)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *c = (const unsigned char *)text;
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

size_t utf8_cut(const char *text, size_t max)
{
    size_t len = strlen(text);

    if (len <= max) {
        return len;
    }
    for (len = max; len > 0 && (text[len] & 0xc0) == 0x80; len--) {
    }
    return len;
}

void escape_put(FILE *out, const char *text, bool json)
{
    const char *c = text;

    while (*c != '\0') {
        uint32_t point;
        size_t len = utf8_decode(c, &point);

        if (len == 0) {
            fprintf(out, json ? "\\ufffd" : "\\x%02x", (unsigned char)*c);
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
