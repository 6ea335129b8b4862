/*
 * table.h - a hash table from strings to pointers. One thread.
 */
#ifndef RELAY_BASE_TABLE_H
#define RELAY_BASE_TABLE_H

#include <stddef.h>

struct table;

struct table *table_new(void) __attribute__((returns_nonnull));

/* Calls release (NULL allowed) on each value, frees and nulls. */
void table_free(struct table **t, void (*release)(void *value));

/* NULL when there is none. */
void *table_get(const struct table *t, const char *key);

/* Stores value (not NULL) under a copy of key; returns the value that was
 * there before, or NULL. */
void *table_put(struct table *t, const char *key, void *value);

size_t table_count(const struct table *t);

/* Walks the table in no order: start with *at = 0; NULL at the end. The table
 * must not change meanwhile. */
void *table_next(const struct table *t, size_t *at, const char **key);

#endif
