/*
 * table.c - see table.h. Open addressing, linear probing, never more than
 * three quarters full; FNV-1a.
 */
#include "relay/base/table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"

struct slot {
    char *key; /* NULL: free */
    void *value;
};

struct table {
    struct slot *slots;
    size_t size; /* a power of two */
    size_t count;
};

enum { FIRST_SIZE = 16 };

struct table *table_new(void)
{
    struct table *t = mem_calloc(1, sizeof(*t));

    t->size = FIRST_SIZE;
    t->slots = mem_calloc(t->size, sizeof(*t->slots));
    return t;
}

void table_free(struct table **t, void (*release)(void *value))
{
    if (*t == NULL) {
        return;
    }
    for (size_t i = 0; i < (*t)->size; i++) {
        struct slot *slot = &(*t)->slots[i];
        if (slot->key != NULL && release != NULL) {
            release(slot->value);
        }
        free(slot->key);
    }
    free((*t)->slots);
    free(*t);
    *t = NULL;
}

static uint64_t hash(const char *key)
{
    uint64_t h = 0xcbf29ce484222325U;

    for (; *key != '\0'; key++) {
        h = (h ^ (unsigned char)*key) * 0x100000001b3U;
    }
    return h;
}

/* The slot of key, or the free one where it belongs. */
static struct slot *find(struct slot *slots, size_t size, const char *key)
{
    size_t i = hash(key) & (size - 1);

    while (slots[i].key != NULL && strcmp(slots[i].key, key) != 0) {
        i = (i + 1) & (size - 1);
    }
    return &slots[i];
}

void *table_get(const struct table *t, const char *key)
{
    return find(t->slots, t->size, key)->value;
}

static void grow(struct table *t)
{
    size_t size = t->size * 2;
    struct slot *slots = mem_calloc(size, sizeof(*slots));

    for (size_t i = 0; i < t->size; i++) {
        if (t->slots[i].key != NULL) {
            *find(slots, size, t->slots[i].key) = t->slots[i];
        }
    }
    free(t->slots);
    t->slots = slots;
    t->size = size;
}

void *table_put(struct table *t, const char *key, void *value)
{
    struct slot *slot = find(t->slots, t->size, key);
    void *before = slot->value;

    VERIFY(value != NULL);
    if (slot->key == NULL) {
        if ((t->count + 1) * 4 > t->size * 3) {
            grow(t);
            slot = find(t->slots, t->size, key);
        }
        slot->key = mem_strdup(key);
        t->count++;
    }
    slot->value = value;
    return before;
}

size_t table_count(const struct table *t)
{
    return t->count;
}

void *table_next(const struct table *t, size_t *at, const char **key)
{
    for (; *at < t->size; (*at)++) {
        const struct slot *slot = &t->slots[*at];
        if (slot->key != NULL) {
            *key = slot->key;
            (*at)++;
            return slot->value;
        }
    }
    return NULL;
}
