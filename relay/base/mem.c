/*
 * mem.c - see mem.h. Any thread; no state.
 */
#include "relay/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mem_bug(const char *file, int line, const char *what)
{
    fprintf(stderr, "kafka-relay: bug at %s:%d: %s\n", file, line, what);
    abort();
}

void *mem_calloc(size_t n, size_t size)
{
    void *p = calloc(n > 0 ? n : 1, size);

    VERIFY(p != NULL);
    return p;
}

void *mem_realloc(void *p, size_t n, size_t size)
{
    void *grown = reallocarray(p, n > 0 ? n : 1, size);

    VERIFY(grown != NULL);
    return grown;
}

char *mem_strdup(const char *text)
{
    char *copy = strdup(text);

    VERIFY(copy != NULL);
    return copy;
}

char *mem_printf(const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&text, fmt, ap);
    va_end(ap);
    VERIFY(n >= 0);
    return text;
}
