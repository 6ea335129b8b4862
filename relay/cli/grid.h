/*
 * grid.h - a table for a terminal: cells, then columns as wide as they need be.
 * One thread. A zeroed one is empty.
 */
#ifndef RELAY_CLI_GRID_H
#define RELAY_CLI_GRID_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "relay/base/err.h"

struct grid {
    char **cells;
    size_t count, capacity;
    size_t columns; /* set before the first cell */
};

/* The next cell of the row, or the first of a new one. */
void grid_add(struct grid *grid, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The number, or "-" where it is negative: not known. */
void grid_add_offset(struct grid *grid, int64_t offset);

/* Prints and empties it. Control characters are escaped. */
void grid_print(struct grid *grid, FILE *out);

enum { TIME_TEXT_SIZE = 32 };

/* 2026-01-31T08:00:00Z; returns out. */
const char *time_text(char out[TIME_TEXT_SIZE], int64_t ms);

#endif
