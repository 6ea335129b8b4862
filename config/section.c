/*
 * section.c - see section.h.
 */
#include "config/section.h"

#include <stdio.h>
#include <string.h>

#include "config/suggest.h"

void section_show(const struct node *value, char shown[SHOWN_BYTES])
{
    if (value->origin != NULL) {
        snprintf(shown, SHOWN_BYTES, "the value (from %.60s)", value->origin);
    } else if (strlen(value->text) > 60) {
        snprintf(shown, SHOWN_BYTES, "\"%.57s...\"", value->text);
    } else {
        snprintf(shown, SHOWN_BYTES, "\"%s\"", value->text);
    }
}

static const char *expected(enum node_kind kind)
{
    return kind == NODE_MAP    ? "a map of settings"
           : kind == NODE_LIST ? "a list"
                               : "a single value";
}

bool section_expect(const struct node *node, enum node_kind kind,
                    const char *what, struct problems *p)
{
    if (node->kind == kind && !node_is_null(node)) {
        return !node->broken;
    }
    problem_error(p, node->at, "%s is %s; expected %s%s", what,
                  node_kind_name(node), expected(kind),
                  kind == NODE_SCALAR && node->kind == NODE_MAP && node->flow
                      ? ": put 'quotes' around a text that begins with {"
                      : "");
    return false;
}

static bool in_list(const char *const *names, const char *name)
{
    for (; names != NULL && *names != NULL; names++) {
        if (strcmp(*names, name) == 0) {
            return true;
        }
    }
    return false;
}

/* "delivery" for "lanes": where a key that is unknown here would be right. */
static const struct section *home_of(const char *key)
{
    for (int id = 0; id < SECTION_COUNT; id++) {
        const struct section *s = &config_sections[id];

        if (id != SECTION_CLUSTER && s->path[0] != '\0' &&
            option_find(s->options, s->count, key) != NULL) {
            return s;
        }
    }
    return NULL;
}

static const char *nearest(const struct section *s, const char *key)
{
    struct suggestion near = suggest_begin(key);

    for (size_t i = 0; i < s->count; i++) {
        suggest_offer(&near, s->options[i].name);
    }
    for (size_t i = 0; s->nested != NULL && s->nested[i] != NULL; i++) {
        suggest_offer(&near, s->nested[i]);
    }
    return near.best;
}

void section_unknown(const struct section *s, const char *where,
                     const struct node *entry, struct problems *p)
{
    const char *best = nearest(s, entry->key);
    const struct section *home = home_of(entry->key);

    if (in_list(s->later, entry->key)) {
        problem_error(p, entry->key_at,
                      "\"%s\" is not supported by this version (%s); remove it",
                      entry->key, KAFKA_RELAY_VERSION);
    } else if (best != NULL) {
        problem_error(p, entry->key_at,
                      "unknown key \"%.60s\" in %s; did you mean \"%s\"?",
                      entry->key, where, best);
    } else if (home != NULL) {
        problem_error(p, entry->key_at,
                      "unknown key \"%.60s\" in %s; it belongs in %s",
                      entry->key, where, home->path);
    } else {
        problem_error(p, entry->key_at, "unknown key \"%.60s\" in %s",
                      entry->key, where);
    }
}

void section_set(const struct option *opt, const char *where,
                 const struct node *value, void *out, struct problems *p)
{
    char shown[SHOWN_BYTES], what[64];
    struct err e;

    snprintf(what, sizeof(what), "%s%s%s", where, *where ? "." : "", opt->name);
    if (opt->later != NULL && value->kind == NODE_MAP) {
        problem_error(p, value->at,
                      "%s: a map is not supported by this version (%s)", what,
                      KAFKA_RELAY_VERSION);
        return;
    }
    if (!section_expect(value, NODE_SCALAR, what, p)) {
        return;
    }
    section_show(value, shown);
    if (option_set(opt, out, value->text, shown, &e) != ERR_NONE) {
        problem_error(p, value->at, "%s: %s", what, e.text);
    }
}

static void read_entry(const struct section *s, const char *where,
                       const struct node *entry, void *out, struct problems *p)
{
    const struct option *opt = option_find(s->options, s->count, entry->key);
    const char *prefix = s->path[0] == '\0' ? "" : where;

    if (opt == NULL) {
        if (!in_list(s->nested, entry->key)) {
            section_unknown(s, where, entry, p);
        }
    } else if (opt->type != OPT_PATTERNS) {
        section_set(opt, prefix, entry, out, p);
    }
}

/* Is there a key of which was asked "did you mean `name`"? */
static bool is_mistyped(const struct section *s, const struct node *map,
                        const char *name)
{
    for (size_t i = 0; i < map->count; i++) {
        const char *key = map->items[i].key;

        if (option_find(s->options, s->count, key) == NULL &&
            nearest(s, key) != NULL && strcmp(nearest(s, key), name) == 0) {
            return true;
        }
    }
    return false;
}

static void find_missing(const struct section *s, const char *where,
                         const struct node *node, struct problems *p)
{
    for (size_t i = 0; i < s->count; i++) {
        const char *name = s->options[i].name;

        if ((s->options[i].flags & OPT_REQUIRED) &&
            node_get(node, name) == NULL && !is_mistyped(s, node, name)) {
            problem_error(p, node->key_at, "\"%s\" is missing in %s", name,
                          where);
        }
    }
}

void section_read(const struct section *s, const char *where,
                  const struct node *node, void *out, struct problems *p)
{
    option_defaults(s->options, s->count, out);
    if (node == NULL ||
        (!node_is_null(node) && !section_expect(node, NODE_MAP, where, p))) {
        return; /* a section with nothing in it is as good as none */
    }
    for (size_t i = 0; i < node->count; i++) {
        read_entry(s, where, &node->items[i], out, p);
    }
    find_missing(s, where, node, p);
}
