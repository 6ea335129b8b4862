/*
 * entries.c - see entries.h.
 */
#include "relay/lane/entries.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"

struct entry *entries_add(struct entries *entries, const char *topic,
                          int32_t partition)
{
    struct entry *entry;

    if (entries->count == entries->capacity) {
        entries->capacity = entries->capacity * 2 + 16;
        entries->items = mem_realloc(entries->items, entries->capacity,
                                     sizeof(*entries->items));
    }
    entry = &entries->items[entries->count++];
    *entry = (struct entry){.topic = mem_strdup(topic), .partition = partition};
    position_init(&entry->position);
    return entry;
}

enum err_kind entries_add_state(struct entries *entries, const struct state *s,
                                struct err *e)
{
    const struct state_value *value;
    struct entry *entry;
    const char *key;
    size_t at = 0;

    while ((value = table_next(s->positions, &at, &key)) != NULL) {
        if (value->len == 0) {
            continue;
        }
        entry = entries_add(entries, value->topic, value->partition);
        entry->raw = value;
        if (position_decode(&entry->position, value->data, value->len, e) !=
            ERR_NONE) {
            return err_prefix(e, "lane %d, %s[%d]", (int)s->lane, value->topic,
                              (int)value->partition);
        }
    }
    return ERR_NONE;
}

static int by_name(const void *a, const void *b)
{
    const struct entry *one = a, *other = b;
    int order = strcmp(one->topic, other->topic);

    return order != 0 ? order
                      : (one->partition > other->partition) -
                            (one->partition < other->partition);
}

void entries_sort(struct entries *entries)
{
    if (entries->count > 0) {
        qsort(entries->items, entries->count, sizeof(*entries->items), by_name);
    }
}

struct entry *entries_find(const struct entries *entries, const char *topic,
                           int32_t partition)
{
    const struct entry key = {.topic = (char *)topic, .partition = partition};

    return entries->count > 0 ? bsearch(&key, entries->items, entries->count,
                                        sizeof(*entries->items), by_name)
                              : NULL;
}

void entries_free(struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        free(entries->items[i].topic);
        position_free(&entries->items[i].position);
    }
    free(entries->items);
    *entries = (struct entries){0};
}
