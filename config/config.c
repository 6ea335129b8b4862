/*
 * config.c - from a file to a struct config:
 *
 *     file_read -> node_parse -> substitute -> the sections, by their tables
 *                                           -> what settings ask of each other
 */
#include "config/config.h"
#include "config/rename.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/file.h"
#include "config/rules.h"
#include "config/section.h"
#include "config/substitute.h"
#include "config/value.h"
#include "config/yaml.h"
#include "relay/base/mem.h"

static void add_property(struct cluster_config *cluster, const char *where,
                         const struct node *entry, struct problems *p)
{
    char what[SHOWN_BYTES];
    size_t n = cluster->property_count;

    snprintf(what, sizeof(what), "%s.%.60s", where, entry->key);
    if (!section_expect(entry, NODE_SCALAR, what, p)) {
        return;
    }
    cluster->properties =
        mem_realloc(cluster->properties, n + 1, sizeof(*cluster->properties));
    cluster->properties[n] = (struct property){
        .name = mem_strdup(entry->key),
        .value = mem_strdup(entry->text),
        .origin = entry->origin != NULL ? mem_strdup(entry->origin) : NULL,
        .at = entry->key_at,
        .value_at = entry->at,
    };
    cluster->property_count++;
}

static void read_cluster(struct cluster_config *cluster, const char *where,
                         const struct node *node, struct problems *p)
{
    const struct section *s = &config_sections[SECTION_CLUSTER];

    cluster->name = mem_strdup(where);
    if (node == NULL || !section_expect(node, NODE_MAP, where, p)) {
        return;
    }
    cluster->at = node->key_at;
    for (size_t i = 0; i < node->count; i++) {
        const struct node *entry = &node->items[i];
        const struct option *opt =
            option_find(s->options, s->count, entry->key);

        if (opt != NULL) {
            section_set(opt, where, entry, cluster, p);
        } else {
            add_property(cluster, where, entry, p);
        }
    }
    if (node_get(node, "bootstrap.servers") == NULL) {
        problem_error(p, node->key_at, "\"bootstrap.servers\" is missing in %s",
                      where);
    }
}

static void read_sync(struct sync_config *sync, const struct node *node,
                      struct problems *p)
{
    const struct node *topics = NULL;

    section_read(&config_sections[SECTION_SYNC], "sync", node, sync, p);
    if (node != NULL && node->kind == NODE_MAP) {
        topics = node_get(node, "topics");
    }
    section_read(&config_sections[SECTION_SYNC_TOPICS], "sync.topics", topics,
                 sync, p);
}

static void find_missing(const struct node *root, struct problems *p)
{
    static const char *const required[] = {"source", "target", "topics"};

    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        if (node_get(root, required[i]) == NULL) {
            problem_error(p, root->at, "\"%s\" is missing", required[i]);
        }
    }
}

static void read_root(struct config *cfg, const struct node *root,
                      struct problems *p)
{
    const struct node *topics = node_get(root, "topics");

    section_read(&config_sections[SECTION_TOP], "the config", root, cfg, p);
    read_cluster(&cfg->source, "source", node_get(root, "source"), p);
    read_cluster(&cfg->target, "target", node_get(root, "target"), p);
    if (topics != NULL) {
        rules_read(cfg, topics, p);
    }
    section_read(&config_sections[SECTION_DELIVERY], "delivery",
                 node_get(root, "delivery"), &cfg->delivery, p);
    read_sync(&cfg->sync, node_get(root, "sync"), p);
    section_read(&config_sections[SECTION_LOG], "log", node_get(root, "log"),
                 &cfg->log, p);
    find_missing(root, p);
}

/* The place of delivery.`key`, or of delivery. */
static struct place delivery_place(const struct node *root, const char *key)
{
    const struct node *delivery = node_get(root, "delivery");
    const struct node *node = delivery != NULL ? node_get(delivery, key) : NULL;

    return node != NULL ? node->at : delivery->at;
}

static void check_memory(const struct config *cfg, const struct node *root,
                         struct problems *p)
{
    const struct delivery_config *d = &cfg->delivery;
    int64_t need = d->lanes * LANE_MIN_BYTES;
    const char *key = "buffer_memory";
    char have_text[VALUE_TEXT_BYTES], need_text[VALUE_TEXT_BYTES];

    if (d->buffer_memory >= need) {
        return;
    }
    if (node_get(node_get(root, "delivery"), key) == NULL) {
        key = "lanes";
    }
    value_print_bytes(have_text, d->buffer_memory);
    value_print_bytes(need_text, need);
    problem_error(p, delivery_place(root, key),
                  "delivery.buffer_memory is %s for %" PRId64
                  " lanes; each needs 4MiB: set it to %s, or use fewer lanes",
                  have_text, d->lanes, need_text);
}

static const char *bootstrap(const struct cluster_config *cluster)
{
    for (size_t i = 0; i < cluster->property_count; i++) {
        if (strcmp(cluster->properties[i].name, "bootstrap.servers") == 0) {
            return cluster->properties[i].value;
        }
    }
    return NULL;
}

/* A topic copied onto itself grows without end. Other loops cannot be told
 * from the config alone. */
static void check_loop(const struct config *cfg, struct problems *p)
{
    const char *source = bootstrap(&cfg->source);
    const char *target = bootstrap(&cfg->target);

    if (source == NULL || target == NULL || strcmp(source, target) != 0) {
        return;
    }
    for (size_t i = 0; i < cfg->rule_count; i++) {
        const struct rule *rule = &cfg->rules[i];

        if (rule->rename != NULL && strcmp(rule->rename, "{topic}") == 0) {
            problem_error(p, rule->at,
                          "topics[%zu] copies topics onto themselves: source "
                          "and target are one cluster; set rename",
                          i);
        }
    }
}

/* {relay} becomes the relay's name. */
static void name_dead_letters(struct config *cfg, const struct node *root,
                              struct problems *p)
{
    static const char placeholder[] = "{relay}";
    char **name = &cfg->delivery.dead_letter_topic;
    const char *at = *name != NULL ? strstr(*name, placeholder) : NULL;

    if (at != NULL) {
        char *expanded = mem_printf("%.*s%s%s", (int)(at - *name), *name,
                                    cfg->relay != NULL ? cfg->relay : "relay",
                                    at + sizeof(placeholder) - 1);
        free(*name);
        *name = expanded;
    }
    if (*name != NULL && !topic_name_is_valid(*name)) {
        problem_error(p, delivery_place(root, "dead_letter_topic"),
                      "delivery.dead_letter_topic: \"%s\" is no valid topic "
                      "name; it may hold {relay} once",
                      *name);
    }
}

static struct config *from_tree(const struct node *root, struct problems *p)
{
    struct config *cfg;

    if (!section_expect(root, NODE_MAP, "the config", p)) {
        return NULL;
    }
    cfg = mem_calloc(1, sizeof(*cfg));
    read_root(cfg, root, p);
    check_memory(cfg, root, p);
    check_loop(cfg, p);
    name_dead_letters(cfg, root, p);
    return cfg;
}

struct config *config_read(const char *path, struct problems *p)
{
    struct config *cfg = NULL;
    struct node *root;
    char *text;
    size_t len;
    struct err e;

    if (p->file == NULL) {
        p->file = mem_strdup(path);
    }
    if (file_read(&text, &len, path, NODE_MAX_BYTES, &e) != ERR_NONE) {
        problem_error(p, (struct place){0}, "%s", e.text);
        return NULL;
    }
    root = node_parse(text, len, p);
    if (root != NULL) {
        substitute(root, path, p);
        cfg = from_tree(root, p);
    }
    node_free(root);
    free(text);
    return cfg;
}

enum err_kind config_load(struct config **out, const char *path,
                          struct problems *p)
{
    struct config *cfg = config_read(path, p);

    if (p->errors > 0) {
        config_free(&cfg);
        return ERR_CONFIG;
    }
    *out = cfg;
    return ERR_NONE;
}

static void clear_cluster(struct cluster_config *cluster)
{
    for (size_t i = 0; i < cluster->property_count; i++) {
        free(cluster->properties[i].name);
        free(cluster->properties[i].value);
        free(cluster->properties[i].origin);
    }
    free(cluster->properties);
    free(cluster->name);
}

void config_free(struct config **cfg)
{
    if (cfg == NULL || *cfg == NULL) {
        return;
    }
    rules_clear(*cfg);
    clear_cluster(&(*cfg)->source);
    clear_cluster(&(*cfg)->target);
    free((*cfg)->delivery.dead_letter_topic);
    free((*cfg)->relay);
    free(*cfg);
    *cfg = NULL;
}
