/*
 * mem.h - allocation that cannot fail, and assertions that stay on.
 *
 * Running out of memory or into a bug ends the process: a lane is crash-only,
 * its last commit is whole, and the next process goes on from there. Sizes that
 * come from outside are checked by their reader before they get here.
 */
#ifndef RELAY_BASE_MEM_H
#define RELAY_BASE_MEM_H

#include <stddef.h>

/* Zeroed; never NULL. */
void *mem_calloc(size_t n, size_t size)
    __attribute__((malloc, alloc_size(1, 2), returns_nonnull));

/* Grows or shrinks; never NULL. n * size is checked for overflow. */
void *mem_realloc(void *p, size_t n, size_t size)
    __attribute__((alloc_size(2, 3), returns_nonnull));

char *mem_strdup(const char *text) __attribute__((malloc, returns_nonnull));

/* printf into a new string; the caller frees. */
char *mem_printf(const char *fmt, ...)
    __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));

/* For bugs, never for what the world does: prints the place and aborts. */
#define VERIFY(condition) \
    ((condition) ? (void)0 : mem_bug(__FILE__, __LINE__, #condition))

void mem_bug(const char *file, int line, const char *what)
    __attribute__((noreturn));

#endif
