/*
 * rules.c - see rules.h.
 */
#include "config/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/pattern.h"
#include "config/rename.h"
#include "config/section.h"
#include "relay/base/mem.h"

enum { RULES_MAX = 1000, PATTERNS_MAX = 1000, WHERE_BYTES = 48 };

struct patterns {
    struct pattern **items;
    size_t count;
};

static void read_pattern(struct patterns *to, const char *what,
                         const struct node *node, struct problems *p)
{
    struct pattern *pattern;
    char shown[SHOWN_BYTES];
    struct err e;

    if (!section_expect(node, NODE_SCALAR, what, p)) {
        return;
    }
    if (pattern_compile(&pattern, node->text, &e) != ERR_NONE) {
        section_show(node, shown);
        problem_error(p, node->at, "%s: %s is no regex: %s", what, shown,
                      e.text);
        return;
    }
    to->items = mem_realloc(to->items, to->count + 1, sizeof(*to->items));
    to->items[to->count++] = pattern;
}

/* One regex, or a list of them. */
static void read_patterns(struct patterns *to, const char *where,
                          const struct node *map, const char *key,
                          struct problems *p)
{
    const struct node *node = node_get(map, key);
    char what[WHERE_BYTES + 16];

    if (node == NULL) {
        return;
    }
    snprintf(what, sizeof(what), "%s.%s", where, key);
    if (node->kind != NODE_LIST) {
        read_pattern(to, what, node, p);
        return;
    }
    if (node->count > PATTERNS_MAX) {
        problem_error(p, node->at, "%s has more than %d regexes", what,
                      PATTERNS_MAX);
        return;
    }
    if (node->count == 0 && strcmp(key, "include") == 0) {
        problem_error(p, node->at, "%s is empty: the rule matches nothing",
                      what);
    }
    for (size_t i = 0; i < node->count; i++) {
        read_pattern(to, what, &node->items[i], p);
    }
}

/* The groups that every include has: only those may `rename` name. */
static uint32_t common_groups(const struct rule *rule)
{
    uint32_t least = PATTERN_GROUPS - 1;

    for (size_t i = 0; i < rule->include_count; i++) {
        uint32_t groups = pattern_groups(rule->include[i]);
        least = groups < least ? groups : least;
    }
    return least;
}

static void check_rename(const struct rule *rule, const char *where,
                         const struct node *map, struct problems *p)
{
    const struct node *node = node_get(map, "rename");
    char shown[SHOWN_BYTES];
    unsigned groups;
    struct err e;

    if (node == NULL || node->kind != NODE_SCALAR || node_is_null(node) ||
        node->broken) {
        return;
    }
    section_show(node, shown);
    if (rename_check(rule->rename, &groups, &e) != ERR_NONE) {
        problem_error(p, node->at, "%s.rename: %s: %s", where, shown,
                      node->origin == NULL ? e.text : "no valid template");
    } else if (groups > common_groups(rule)) {
        problem_error(p, node->at,
                      "%s.rename: {%u} needs %u capture groups (...) in each "
                      "regex of include",
                      where, groups, groups);
    }
}

static void read_rule(struct rule *rule, const char *where,
                      const struct node *node, struct problems *p)
{
    struct patterns include = {0}, exclude = {0};

    rule->at = node->at;
    section_read(&config_sections[SECTION_RULE], where, node, rule, p);
    if (node->kind != NODE_MAP) {
        return;
    }
    read_patterns(&include, where, node, "include", p);
    read_patterns(&exclude, where, node, "exclude", p);
    rule->include = include.items;
    rule->include_count = include.count;
    rule->exclude = exclude.items;
    rule->exclude_count = exclude.count;
    check_rename(rule, where, node, p);
}

/* The regexes of a rule's include, as nodes: *count of them from the result. */
static const struct node *include_nodes(const struct node *rule, size_t *count)
{
    const struct node *node = node_get(rule, "include");

    *count = node == NULL ? 0 : node->kind == NODE_LIST ? node->count : 1;
    return node == NULL || node->kind != NODE_LIST ? node : node->items;
}

static bool same_text(const struct node *a, const struct node *b)
{
    return a->text != NULL && b->text != NULL && strcmp(a->text, b->text) == 0;
}

/* The regex before `regex` in the file that has the very same text. */
static const struct node *find_same(const struct node *list,
                                    const struct node *regex)
{
    for (size_t i = 0; i < list->count; i++) {
        size_t count;
        const struct node *nodes = include_nodes(&list->items[i], &count);

        for (size_t n = 0; n < count; n++) {
            if (&nodes[n] == regex) {
                return NULL;
            }
            if (same_text(&nodes[n], regex)) {
                return &nodes[n];
            }
        }
    }
    return NULL;
}

/* Equal text is all that can be told of two regexes for sure. */
static void find_shadowed(const struct node *list, struct problems *p)
{
    for (size_t i = 0; i < list->count; i++) {
        size_t count;
        const struct node *nodes = include_nodes(&list->items[i], &count);

        for (size_t n = 0; n < count; n++) {
            const struct node *first = find_same(list, &nodes[n]);

            if (first != NULL) {
                problem_warning(p, nodes[n].at,
                                "topics[%zu].include: this regex never "
                                "applies; line %d has it already",
                                i, first->at.line);
            }
        }
    }
}

void rules_read(struct config *cfg, const struct node *list, struct problems *p)
{
    char where[WHERE_BYTES];

    if (!section_expect(list, NODE_LIST, "topics", p)) {
        return;
    }
    if (list->count == 0 || list->count > RULES_MAX) {
        problem_error(p, list->at, "topics has %zu rules; expected 1 to %d",
                      list->count, RULES_MAX);
        return;
    }
    cfg->rules = mem_calloc(list->count, sizeof(*cfg->rules));
    cfg->rule_count = list->count;
    for (size_t i = 0; i < list->count; i++) {
        snprintf(where, sizeof(where), "topics[%zu]", i);
        read_rule(&cfg->rules[i], where, &list->items[i], p);
    }
    find_shadowed(list, p);
}

static void free_patterns(struct pattern **patterns, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pattern_free(patterns[i]);
    }
    free(patterns);
}

void rules_clear(struct config *cfg)
{
    for (size_t i = 0; i < cfg->rule_count; i++) {
        struct rule *rule = &cfg->rules[i];

        free_patterns(rule->include, rule->include_count);
        free_patterns(rule->exclude, rule->exclude_count);
        free(rule->rename);
    }
    free(cfg->rules);
    cfg->rules = NULL;
    cfg->rule_count = 0;
}
