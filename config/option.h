/*
 * option.h - settings declared as tables. One row is the parser, the default,
 * the range check and the reference page of a setting.
 * Any thread; no state.
 */
#ifndef CONFIG_OPTION_H
#define CONFIG_OPTION_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "relay/base/err.h"

enum option_type {
    OPT_TEXT,     /* char *, owned by the config */
    OPT_NAME,     /* char *: a-z, A-Z, 0-9, ".", "_", "-"; max: its length */
    OPT_BOOL,     /* bool: yes | no */
    OPT_INT,      /* int64_t */
    OPT_BYTES,    /* int64_t, bytes: 4096, 64KiB, 64MiB */
    OPT_MS,       /* int64_t, milliseconds: 100ms, 30s, 5m, 12h, 7d */
    OPT_ENUM,     /* int: index into `names` */
    OPT_START,    /* struct start */
    OPT_PATTERNS, /* a regex or a list of them; read by rules.c */
};

enum { OPT_REQUIRED = 1 << 0 };

struct option {
    const char *name;
    enum option_type type;
    unsigned flags;
    size_t offset;            /* of the field in the section's struct */
    const char *def;          /* parsed like user input; NULL: no default */
    int64_t min, max;         /* inclusive; both 0: no bounds */
    const char *const *names; /* OPT_ENUM: NULL-terminated */
    const char *const *later; /* OPT_ENUM: names that a later version knows */
    const char *doc;          /* for the reference page */
};

/* The row of `name`, or NULL. */
const struct option *option_find(const struct option *table, size_t count,
                                 const char *name);

/* Parses `text` into the field of `section` that `opt` describes. `shown` is
 * what an error calls the value: the value itself in quotes, or where it came
 * from when it may be a secret. Not for OPT_PATTERNS. A text that was set
 * before is freed. */
enum err_kind option_set(const struct option *opt, void *section,
                         const char *text, const char *shown,
                         struct err *e) MUST_CHECK;

/* Sets every default of the table; what has none is left as it is. */
void option_defaults(const struct option *table, size_t count, void *section);

/* Frees the texts of a section and nulls them. */
void option_clear(const struct option *table, size_t count, void *section);

/* What a value looks like: "a size such as 4096, 64KiB or 64MiB", the names of
 * an enum. For messages and for the reference page. */
void option_print_form(const struct option *opt, FILE *out);

/* "1 to 256", "10ms to 25s"; nothing where there are no bounds. */
void option_print_range(const struct option *opt, FILE *out);

#endif
