/*
 * suggest.h - "did you mean": the name nearest to a mistyped word.
 * Any thread; no state.
 */
#ifndef CONFIG_SUGGEST_H
#define CONFIG_SUGGEST_H

#include <stddef.h>

/* Keeps the name nearest to `word` of those offered one by one:
 *     struct suggestion s = suggest_begin("inclde");
 *     suggest_offer(&s, "include");
 *     s.best is "include", or NULL when nothing was near enough. */
struct suggestion {
    const char *word; /* borrowed */
    const char *best; /* borrowed from suggest_offer; NULL: none yet */
    size_t distance;  /* of `best`, or the first that is too far */
};

struct suggestion suggest_begin(const char *word);

/* Near means: at most one edit (a character more, less or other, or two
 * swapped; case counts nothing) in three characters of the word, and at most
 * three. Of equally near names the first offered wins. */
void suggest_offer(struct suggestion *s, const char *name);

#endif
