/*
 * yaml.h - reads a config file into a tree of nodes (node.h).
 *
 * Only what a config needs: maps, lists and scalars of one document. Anchors,
 * aliases, tags and further documents are refused, and size, depth and number
 * of nodes are limited, so hostile input ends in an error and not in work.
 * Any thread.
 */
#ifndef CONFIG_YAML_H
#define CONFIG_YAML_H

#include "config/node.h"

enum {
    NODE_MAX_BYTES = 1 << 20, /* of a config file */
    NODE_MAX_COUNT = 10000,
    NODE_MAX_DEPTH = 16,
};

/* Parses `len` bytes. NULL after an error of syntax, which went to *p; a key
 * given twice is a problem too but leaves the tree whole (first one first).
 * The caller frees with node_free. */
struct node *node_parse(const char *text, size_t len,
                        struct problems *p) MUST_CHECK;

#endif
