/*
 * node.c - see node.h. Any thread; no state.
 */
#include "config/node.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"

struct node *node_append(struct node *parent)
{
    size_t n = parent->count;

    if ((n & (n - 1)) == 0) { /* full at each power of two */
        parent->items = mem_realloc(parent->items, n > 0 ? 2 * n : 1,
                                    sizeof(*parent->items));
    }
    parent->items[n] = (struct node){0};
    return &parent->items[parent->count++];
}

static void node_clear(struct node *node)
{
    for (size_t i = 0; i < node->count; i++) {
        node_clear(&node->items[i]);
    }
    free(node->items);
    free(node->key);
    free(node->text);
    free(node->origin);
}

void node_free(struct node *node)
{
    if (node != NULL) {
        node_clear(node);
        free(node);
    }
}

const struct node *node_get(const struct node *map, const char *key)
{
    for (size_t i = 0; i < map->count; i++) {
        if (map->items[i].key != NULL && strcmp(map->items[i].key, key) == 0) {
            return &map->items[i];
        }
    }
    return NULL;
}

bool node_is_null(const struct node *node)
{
    return node->kind == NODE_SCALAR && node->plain && node->origin == NULL &&
           (strcmp(node->text, "") == 0 || strcmp(node->text, "~") == 0 ||
            strcmp(node->text, "null") == 0);
}

const char *node_kind_name(const struct node *node)
{
    switch (node->kind) {
    case NODE_LIST:
        return "a list";
    case NODE_MAP:
        return "a map";
    case NODE_SCALAR:
        break;
    }
    return node_is_null(node) ? "empty" : "text";
}
