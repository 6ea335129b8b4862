/*
 * grid.c - see grid.h.
 */
#include "relay/cli/grid.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "relay/base/escape.h"
#include "relay/base/mem.h"

enum { CELL_SIZE = 1024, GAP = 2 };

static void add_text(struct grid *grid, const char *text)
{
    if (grid->count == grid->capacity) {
        grid->capacity = grid->capacity * 2 + 64;
        grid->cells =
            mem_realloc(grid->cells, grid->capacity, sizeof(*grid->cells));
    }
    grid->cells[grid->count++] = mem_strdup(text);
}

void grid_add(struct grid *grid, const char *fmt, ...)
{
    char text[CELL_SIZE];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    add_text(grid, text);
}

void grid_add_offset(struct grid *grid, int64_t offset)
{
    if (offset < 0) {
        add_text(grid, "-");
    } else {
        grid_add(grid, "%" PRId64, offset);
    }
}

static void print_cell(const struct grid *grid, size_t i, size_t width,
                       FILE *out)
{
    const size_t len = strlen(grid->cells[i]);

    escape_put(out, grid->cells[i], false);
    if ((i + 1) % grid->columns == 0) {
        fputc('\n', out);
    } else {
        fprintf(out, "%*s", (int)(width - len) + GAP, "");
    }
}

void grid_print(struct grid *grid, FILE *out)
{
    size_t *widths = mem_calloc(grid->columns, sizeof(*widths));

    for (size_t i = 0; i < grid->count; i++) {
        size_t len = strlen(grid->cells[i]);
        size_t *width = &widths[i % grid->columns];
        *width = len > *width ? len : *width;
    }
    for (size_t i = 0; i < grid->count; i++) {
        print_cell(grid, i, widths[i % grid->columns], out);
    }
    for (size_t i = 0; i < grid->count; i++) {
        free(grid->cells[i]);
    }
    free(grid->cells);
    free(widths);
    *grid = (struct grid){.columns = grid->columns};
}

const char *time_text(char out[TIME_TEXT_SIZE], int64_t ms)
{
    const time_t seconds = (time_t)(ms / 1000);
    struct tm tm;

    if (gmtime_r(&seconds, &tm) == NULL ||
        strftime(out, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        snprintf(out, TIME_TEXT_SIZE, "-");
    }
    return out;
}
