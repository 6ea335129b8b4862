/*
 * problem.c - see problem.h. One thread.
 */
#include "config/problem.h"

#include <stdarg.h>
#include <stdlib.h>

#include "relay/base/escape.h"
#include "relay/base/mem.h"

static void add(struct problems *p, struct place at, bool warning, char *text)
{
    size_t n = p->count++;

    if ((n & (n - 1)) == 0) { /* full at each power of two */
        p->items = mem_realloc(p->items, n > 0 ? 2 * n : 1, sizeof(*p->items));
    }
    p->items[n] = (struct problem){.at = at, .warning = warning, .text = text};
    p->errors += !warning;
}

static char *format(const char *fmt, va_list ap)
{
    char *text = NULL;

    VERIFY(vasprintf(&text, fmt, ap) >= 0);
    return text;
}

void problem_error(struct problems *p, struct place at, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(p, at, false, format(fmt, ap));
    va_end(ap);
}

void problem_warning(struct problems *p, struct place at, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    add(p, at, true, format(fmt, ap));
    va_end(ap);
}

/* By place; problems of one place stay in the order in which they were found
 * (all of them lie in one array, so their addresses tell it). */
static int by_place(const void *left, const void *right)
{
    const struct problem *a = *(const struct problem *const *)left;
    const struct problem *b = *(const struct problem *const *)right;

    if (a->at.line != b->at.line) {
        return a->at.line < b->at.line ? -1 : 1;
    }
    if (a->at.column != b->at.column) {
        return a->at.column < b->at.column ? -1 : 1;
    }
    return a < b ? -1 : a > b;
}

/* A key of the file may hold anything, so all of it is escaped. */
static void print_one(const char *file, const struct problem *item, FILE *out)
{
    escape_put(out, file, false);
    if (item->at.line > 0) {
        fprintf(out, ":%d:%d", item->at.line, item->at.column);
    }
    fputs(item->warning ? ": warning: " : ": ", out);
    escape_put(out, item->text, false);
    putc('\n', out);
}

void problems_print(const struct problems *p, FILE *out)
{
    const struct problem **sorted = mem_calloc(p->count, sizeof(*sorted));

    for (size_t i = 0; i < p->count; i++) {
        sorted[i] = &p->items[i];
    }
    qsort(sorted, p->count, sizeof(*sorted), by_place);
    for (size_t i = 0; i < p->count; i++) {
        print_one(p->file != NULL ? p->file : "config", sorted[i], out);
    }
    free(sorted);
}

void problems_clear(struct problems *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->items[i].text);
    }
    free(p->items);
    free(p->file);
    *p = (struct problems){0};
}
