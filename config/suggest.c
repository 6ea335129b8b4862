/*
 * suggest.c - see suggest.h.
 */
#include "config/suggest.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A longer word is no typing error; also bounds the work (and the stack). */
enum { WORD_MAX_BYTES = 64 };

static int same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static size_t least(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;

    return m < c ? m : c;
}

/* Optimal string alignment: Levenshtein's edits, and two neighbours swapped.
 * Three rows of the usual matrix are kept. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][WORD_MAX_BYTES + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b_len; j++) {
        last[j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t *oldest = before;

        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = least(last[j] + 1, row[j - 1] + 1,
                           last[j - 1] + !same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) &&
                same(a[i - 2], b[j - 1]) && before[j - 2] + 1 < row[j]) {
                row[j] = before[j - 2] + 1;
            }
        }
        before = last;
        last = row;
        row = oldest;
    }
    return last[b_len];
}

struct suggestion suggest_begin(const char *word)
{
    size_t len = strlen(word);
    size_t limit = len < 3 ? 1 : len / 3;

    return (struct suggestion){.word = word,
                               .distance = (limit > 3 ? 3 : limit) + 1};
}

void suggest_offer(struct suggestion *s, const char *name)
{
    size_t word_len = strlen(s->word), name_len = strlen(name);
    size_t apart;

    if (word_len > WORD_MAX_BYTES || name_len > WORD_MAX_BYTES) {
        return;
    }
    apart = distance(s->word, word_len, name, name_len);
    if (apart < s->distance) {
        s->distance = apart;
        s->best = name;
    }
}
