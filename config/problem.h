/*
 * problem.h - all that is wrong with a config, collected instead of stopping
 * at the first. One thread.
 */
#ifndef CONFIG_PROBLEM_H
#define CONFIG_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "relay/base/err.h"

/* Where a value stands in the config file; line 0: nowhere (a default). */
struct place {
    int line, column; /* from 1 */
};

struct problem {
    struct place at;
    bool warning; /* does not make the config unusable */
    char *text;   /* what was found, and the next action; one line */
};

struct problems {
    char *file; /* as given on the command line */
    struct problem *items;
    size_t count;
    size_t errors; /* items that are not warnings */
};

void problem_error(struct problems *p, struct place at, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void problem_warning(struct problems *p, struct place at, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* file:line:column: text, in the order of the file. */
void problems_print(const struct problems *p, FILE *out);

void problems_clear(struct problems *p);

#endif
