/*
 * catalogue.h - the properties that this librdkafka knows, by its own list.
 * One thread; no librdkafka type in sight.
 */
#ifndef RELAY_IO_CATALOGUE_H
#define RELAY_IO_CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>

struct catalogue_row {
    char *name;
    char scope;     /* 'C' consumer, 'P' producer, '*' both */
    char *alias_of; /* or NULL */
    bool from_c;    /* can be set from C code only */
    bool no_effect; /* deprecated: librdkafka ignores it */
};

struct catalogue {
    struct catalogue_row *rows;
    size_t count;
};

/* The caller closes it. */
void catalogue_open(struct catalogue *c);
void catalogue_close(struct catalogue *c);

/* NULL: unknown. */
const struct catalogue_row *catalogue_find(const struct catalogue *c,
                                           const char *name);

/* The name nearest to a mistyped one, or NULL. Owned by the catalogue. */
const char *catalogue_suggest(const struct catalogue *c, const char *name);

#endif
