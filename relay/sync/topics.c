/*
 * topics.c - see topics.h.
 */
#include "relay/sync/topics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/pattern.h"
#include "config/suggest.h"
#include "relay/base/clock.h"
#include "relay/base/crc.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/base/table.h"

enum { APPEAR_MS = 5000, APPEAR_POLL_MS = 100 };

/* Most of what is too large elsewhere fits: a letter need not be cut. */
#define LETTER_BYTES "10485760"

struct topics {
    const struct config *cfg;
    struct admin *source, *target;
    struct table *told;   /* problems logged already */
    struct table *owners; /* target topic -> the source topic that has it */
    struct table *ends;   /* --until-end: topic -> struct ends */
    bool until_end, ends_known;
    bool warned_unmatched;
    bool has_letters; /* the target has the dead-letter topic */
};

/* End offsets of a topic at the first refresh. */
struct ends {
    int32_t partitions;
    bool unknown; /* not to be read; at[] tells nothing */
    int64_t at[];
};

struct topics *topics_new(const struct config *cfg, struct admin *source,
                          struct admin *target)
{
    struct topics *topics = mem_calloc(1, sizeof(*topics));

    topics->cfg = cfg;
    topics->source = source;
    topics->target = target;
    topics->told = table_new();
    topics->ends = table_new();
    topics->owners = table_new();
    return topics;
}

void topics_free(struct topics **topics)
{
    if (*topics == NULL) {
        return;
    }
    table_free(&(*topics)->told, NULL);
    table_free(&(*topics)->ends, free);
    table_free(&(*topics)->owners, free);
    free(*topics);
    *topics = NULL;
}

void topics_until_end(struct topics *topics)
{
    topics->until_end = true;
}

/* Once a problem: what is the same at every refresh is said once. */
static void tell(struct topics *topics, enum log_level level, const char *topic,
                 const char *text)
{
    char *key = mem_printf("%s\n%s", topic, text);

    if (table_get(topics->told, key) == NULL) {
        table_put(topics->told, key, topics);
        log_write(level, LOG_PARTITION(-1, topic[0] ? topic : NULL, -1), "%s",
                  text);
    }
    free(key);
}

/* What decides where records go and where copying begins. */
static void hash_rules(const struct config *cfg, char out[16])
{
    uint32_t crc = 0;

    for (size_t i = 0; i < cfg->rule_count; i++) {
        const struct rule *rule = &cfg->rules[i];
        for (size_t k = 0; k < rule->include_count; k++) {
            const char *text = pattern_text(rule->include[k]);
            crc = crc32c_of(crc, text, strlen(text) + 1);
        }
        crc = crc32c_of(crc, "\n", 1);
        for (size_t k = 0; k < rule->exclude_count; k++) {
            const char *text = pattern_text(rule->exclude[k]);
            crc = crc32c_of(crc, text, strlen(text) + 1);
        }
        crc = crc32c_of(crc, rule->rename, strlen(rule->rename) + 1);
    }
    snprintf(out, 16, "%08x", crc);
}

static void add_topic(struct plan *plan, const char *name, const char *target,
                      int32_t partitions)
{
    plan->topics =
        mem_realloc(plan->topics, plan->count + 1, sizeof(*plan->topics));
    plan->topics[plan->count++] =
        (struct plan_topic){.name = mem_strdup(name),
                            .target = mem_strdup(target),
                            .partitions = partitions};
}

/* Two source topics must not end up in one: neither order nor offsets would
 * mean anything there. The one that has it keeps it, else the first by name.
 * NULL: it is free for this topic. */
static const char *taken_by(const struct topics *topics,
                            const struct table *targets,
                            const struct topic_list *source, const char *target,
                            const char *name)
{
    const char *owner = table_get(topics->owners, target);

    if (owner != NULL && strcmp(owner, name) != 0 &&
        topic_list_partitions(source, owner) > 0) {
        return owner;
    }
    return table_get(targets, target);
}

static void note_owners(struct topics *topics, const struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        free(table_put(topics->owners, plan->topics[i].target,
                       mem_strdup(plan->topics[i].name)));
    }
}

static void match_topics(struct topics *topics, const struct topic_list *source,
                         struct plan *plan)
{
    struct table *targets = table_new();
    char target[TOPIC_NAME_MAX + 1];

    for (size_t i = 0; i < source->count; i++) {
        const struct topic_info *topic = &source->items[i];
        enum topic_verdict verdict =
            config_match(topics->cfg, topic->name, target, NULL);
        const char *taken =
            verdict == TOPIC_COPIED
                ? taken_by(topics, targets, source, target, topic->name)
                : NULL;
        char *text = NULL;

        if (verdict == TOPIC_BAD_TARGET) {
            text = mem_printf("not copied: the rule's rename gives no valid "
                              "topic name; correct `rename`");
        } else if (verdict == TOPIC_UNDECIDED) {
            text = mem_printf("not copied: a regex of the rules needs too many "
                              "steps to match this name; simplify it");
        } else if (taken != NULL) {
            text = mem_printf("not copied: %s is copied to %s already; give "
                              "them different names with `rename`",
                              taken, target);
        } else if (verdict == TOPIC_COPIED) {
            table_put(targets, target, topic->name);
            add_topic(plan, topic->name, target, topic->partitions);
        }
        if (text != NULL) {
            tell(topics, LOG_WARN, topic->name, text);
            free(text);
        }
    }
    table_free(&targets, NULL);
    note_owners(topics, plan);
}

static void warn_of(struct topics *topics, const struct pattern *pattern,
                    const struct topic_list *source)
{
    struct suggestion near = suggest_begin(pattern_text(pattern));

    for (size_t i = 0; i < source->count; i++) {
        if (pattern_match(pattern, source->items[i].name, NULL) ==
            PATTERN_YES) {
            return;
        }
        suggest_offer(&near, source->items[i].name);
    }
    log_write(LOG_WARN, NULL, "include '%s' matches no topic of %s now%s%s%s",
              pattern_text(pattern), topics->cfg->source.name,
              near.best != NULL ? "; did you mean '" : "",
              near.best != NULL ? near.best : "",
              near.best != NULL ? "'?" : "");
}

/* An include that matches nothing is most often a typing error. */
static void warn_of_unmatched(struct topics *topics,
                              const struct topic_list *source)
{
    for (size_t i = 0; i < topics->cfg->rule_count; i++) {
        const struct rule *rule = &topics->cfg->rules[i];
        for (size_t k = 0; k < rule->include_count; k++) {
            warn_of(topics, rule->include[k], source);
        }
    }
    topics->warned_unmatched = true;
}

static void take_target_partitions(struct plan *plan,
                                   const struct topic_list *target)
{
    plan->waiting = 0;
    for (size_t i = 0; i < plan->count; i++) {
        struct plan_topic *t = &plan->topics[i];

        t->target_partitions = topic_list_partitions(target, t->target);
        if (t->target_partitions < t->partitions) {
            plan->waiting += (size_t)(t->partitions - t->target_partitions);
        }
    }
}

/* What must be made (`missing`) or grown on the target. */
static struct topic_wish *wishes_of(const struct plan *plan, bool missing,
                                    size_t *count)
{
    struct topic_wish *wishes = mem_calloc(plan->count, sizeof(*wishes));

    *count = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_topic *t = &plan->topics[i];

        if (t->target_partitions < t->partitions &&
            (t->target_partitions == 0) == missing) {
            wishes[(*count)++] =
                (struct topic_wish){.name = t->target,
                                    .partitions = t->partitions,
                                    .replication = -1};
        }
    }
    return wishes;
}

typedef enum err_kind wish_fn(struct admin *, const struct topic_wish *, size_t,
                              const struct patience *, struct err *);

/* True when something was asked for. A refusal is told and does not stop the
 * other topics. */
static bool fulfil(struct topics *topics, const struct plan *plan, bool missing,
                   wish_fn *fn, const struct patience *patience)
{
    size_t count;
    struct topic_wish *wishes = wishes_of(plan, missing, &count);
    struct err e = {0};

    if (count > 0 &&
        fn(topics->target, wishes, count, patience, &e) != ERR_NONE) {
        tell(topics, LOG_WARN, "", e.text);
    }
    for (size_t i = 0; i < count && e.kind == ERR_NONE; i++) {
        log_write(LOG_INFO, LOG_PARTITION(-1, wishes[i].name, -1),
                  "%s on %s with %d partitions", missing ? "created" : "grown",
                  topics->cfg->target.name, (int)wishes[i].partitions);
    }
    free(wishes);
    return count > 0 && e.kind == ERR_NONE;
}

static enum err_kind look_at_target(struct topics *topics, struct plan *plan,
                                    const struct patience *patience,
                                    struct err *e)
{
    const char *letters = topics->cfg->delivery.dead_letter_topic;
    struct topic_list list = {0};

    if (admin_topics(topics->target, &list, patience, e) != ERR_NONE) {
        return e->kind;
    }
    take_target_partitions(plan, &list);
    topics->has_letters = topic_list_partitions(&list, letters) > 0;
    topic_list_free(&list);
    return ERR_NONE;
}

/* It is there before the first record that needs it: producers never make
 * topics. */
static void create_letters(struct topics *topics,
                           const struct patience *patience)
{
    static const char *const configs[] = {"max.message.bytes", LETTER_BYTES,
                                          NULL};
    const struct delivery_config *d = &topics->cfg->delivery;
    const struct topic_wish wish = {.name = d->dead_letter_topic,
                                    .partitions = 1,
                                    .replication = -1,
                                    .configs = configs};
    struct err e = {0};

    if (topics->has_letters ||
        d->on_record_error != ON_RECORD_ERROR_DEAD_LETTER) {
        return;
    }
    if (admin_create(topics->target, &wish, 1, patience, &e) != ERR_NONE) {
        tell(topics, LOG_WARN, wish.name, e.text);
    } else {
        log_write(LOG_INFO, LOG_PARTITION(-1, wish.name, -1), "created on %s",
                  topics->cfg->target.name);
    }
}

static void mark_made(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        plan->topics[i].target_made = plan->topics[i].target_partitions == 0;
    }
}

static enum err_kind create_missing(struct topics *topics, struct plan *plan,
                                    const struct patience *patience,
                                    struct err *e)
{
    const struct sync_config *sync = &topics->cfg->sync;
    const struct timespec nap = {.tv_nsec = APPEAR_POLL_MS * 1000000L};
    const struct patience appear = patience_of(APPEAR_MS, patience->stopped, 0);
    bool asked = false;

    if (plan->waiting == 0) {
        return ERR_NONE;
    }
    if (sync->topics_create) {
        mark_made(plan);
        asked |= fulfil(topics, plan, true, admin_create, patience);
    }
    if (sync->topics_partitions) {
        asked |= fulfil(topics, plan, false, admin_grow, patience);
    }
    /* A created topic takes a moment to appear everywhere. */
    while (asked && plan->waiting > 0 && patience_left(&appear, 1) > 0) {
        nanosleep(&nap, NULL);
        if (look_at_target(topics, plan, patience, e) != ERR_NONE) {
            return e->kind;
        }
    }
    return ERR_NONE;
}

/* Partitions that nobody will make: copying them can't go on by itself. */
static void block_hopeless(struct topics *topics, struct plan *plan)
{
    const struct sync_config *sync = &topics->cfg->sync;

    for (size_t i = 0; i < plan->count; i++) {
        struct plan_topic *t = &plan->topics[i];
        const char *setting = NULL;

        if (t->target_partitions == 0 && !sync->topics_create) {
            setting = "create";
        } else if (t->target_partitions > 0 &&
                   t->target_partitions < t->partitions &&
                   !sync->topics_partitions) {
            setting = "partitions";
        }
        if (setting == NULL) {
            continue;
        }
        char *text =
            mem_printf("%s has %d partitions on %s, the source has %d, and "
                       "sync.topics.%s is no; make them, or allow it",
                       t->target, (int)t->target_partitions,
                       topics->cfg->target.name, (int)t->partitions, setting);
        tell(topics, LOG_WARN, t->name, text);
        if (topics->until_end && t->blocked == NULL) {
            t->blocked = text;
        } else {
            free(text);
        }
    }
}

static enum err_kind read_ends(struct topics *topics, const struct plan *plan,
                               const struct patience *patience, struct err *e)
{
    struct offset_query *queries = NULL;
    size_t count = 0;

    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_topic *t = &plan->topics[i];
        queries = mem_realloc(queries, count + (size_t)t->partitions + 1,
                              sizeof(*queries));
        for (int32_t p = 0; p < t->partitions; p++) {
            queries[count++] = (struct offset_query){
                .topic = t->name, .partition = p, .time_ms = OFFSETS_LATEST};
        }
    }
    if (admin_offsets(topics->source, queries, count, patience, e) !=
        ERR_NONE) {
        free(queries);
        return e->kind;
    }
    count = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_topic *t = &plan->topics[i];
        struct ends *ends = mem_calloc(
            1, sizeof(*ends) + (size_t)t->partitions * sizeof(ends->at[0]));
        ends->partitions = t->partitions;
        for (int32_t p = 0; p < t->partitions; p++) {
            ends->at[p] = queries[count].unknown ? -1 : queries[count].offset;
            ends->unknown |= queries[count++].unknown;
        }
        table_put(topics->ends, t->name, ends);
    }
    free(queries);
    topics->ends_known = true;
    return ERR_NONE;
}

static void apply_ends(struct topics *topics, struct plan *plan)
{
    size_t kept = 0;

    for (size_t i = 0; i < plan->count; i++) {
        struct plan_topic *t = &plan->topics[i];
        const struct ends *ends = table_get(topics->ends, t->name);

        if (ends == NULL) {
            free(t->name);
            free(t->target);
            continue;
        }
        if (t->partitions > ends->partitions) {
            t->partitions = ends->partitions;
        }
        if (ends->unknown) {
            t->blocked = mem_printf("its end offsets can't be read; grant "
                                    "Describe on it, or exclude it");
        }
        t->stop_at = mem_calloc((size_t)t->partitions, sizeof(*t->stop_at));
        memcpy(t->stop_at, ends->at,
               (size_t)t->partitions * sizeof(*t->stop_at));
        plan->topics[kept++] = *t;
    }
    plan->count = kept;
}

static enum err_kind fill(struct topics *topics, bool create, struct plan *plan,
                          const struct patience *patience, struct err *e)
{
    struct topic_list source = {0};

    if (admin_topics(topics->source, &source, patience, e) != ERR_NONE) {
        return e->kind;
    }
    match_topics(topics, &source, plan);
    if (!topics->warned_unmatched) {
        warn_of_unmatched(topics, &source);
    }
    topic_list_free(&source);
    if (topics->until_end) {
        if (!topics->ends_known &&
            read_ends(topics, plan, patience, e) != ERR_NONE) {
            return e->kind;
        }
        apply_ends(topics, plan);
    }
    if (look_at_target(topics, plan, patience, e) != ERR_NONE ||
        (create && create_missing(topics, plan, patience, e) != ERR_NONE)) {
        return e->kind;
    }
    if (create) {
        create_letters(topics, patience);
    }
    block_hopeless(topics, plan);
    return ERR_NONE;
}

enum err_kind topics_refresh(struct topics *topics, bool create,
                             struct plan **out, const struct patience *patience,
                             struct err *e)
{
    struct plan *plan = plan_new();

    e->kind = ERR_NONE;
    hash_rules(topics->cfg, plan->rules);
    if (fill(topics, create, plan, patience, e) != ERR_NONE) {
        plan_release(&plan);
        return e->kind;
    }
    *out = plan;
    return ERR_NONE;
}
