/*
 * node.h - the tree of a config file: maps, lists and scalars, each with its
 * place. One thread; a node owns its strings and what is below it.
 */
#ifndef CONFIG_NODE_H
#define CONFIG_NODE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/problem.h"

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node {
    enum node_kind kind;
    struct place at;
    char *key;           /* in a map; else NULL */
    struct place key_at; /* of the key; of the node itself where it has none */
    char *text;          /* scalar: no NUL inside; else NULL */
    bool plain;          /* scalar: without quotes */
    bool flow;           /* list, map: written with brackets */
    char *origin;        /* scalar: the ${...} that gave (a part of) the text */
    bool broken;         /* a problem with it is already reported */
    struct node *items;  /* of a list or map, in the order of the file */
    size_t count;
};

/* Adds an empty item; it stays where it is until the next one is added. */
struct node *node_append(struct node *parent);

/* NULL is allowed. */
void node_free(struct node *node);

/* The item of a map with this key, or NULL. */
const struct node *node_get(const struct node *map, const char *key);

/* True for a value that was left out: nothing, ~ or null without quotes. */
bool node_is_null(const struct node *node);

/* "a list", "a map", "text" or "empty": for messages. */
const char *node_kind_name(const struct node *node);

#endif
