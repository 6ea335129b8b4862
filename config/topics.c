/*
 * topics.c - config_match: what the rules say of a topic. Any thread.
 */
#include <fnmatch.h>
#include <stddef.h>

#include "config/config.h"
#include "config/pattern.h"
#include "config/rename.h"

/* Globs. MirrorMaker 2 (DefaultReplicationPolicy): its offset syncs and its
 * Connect worker's topics are mm2-NAME.internal, checkpoints are
 * CLUSTER.checkpoints.internal; the separator may be set to another one. */
const char *const config_internal_topics[] = {
    "__*",
    "kafka-relay.*",
    "mm2-*[._-]internal",
    "*[._-]checkpoints[._-]internal",
    "heartbeats",
    NULL,
};

static bool is_internal(const char *topic)
{
    for (const char *const *glob = config_internal_topics; *glob; glob++) {
        if (fnmatch(*glob, topic, 0) == 0) {
            return true;
        }
    }
    return false;
}

/* The first pattern that does not say no decides. */
static enum pattern_result match_any(struct pattern *const *patterns,
                                     size_t count, const char *topic,
                                     struct captures *captures)
{
    enum pattern_result result = PATTERN_NO;

    for (size_t i = 0; i < count && result == PATTERN_NO; i++) {
        result = pattern_match(patterns[i], topic, captures);
    }
    return result;
}

static enum topic_verdict match_rule(const struct config *cfg,
                                     const struct rule *rule, const char *topic,
                                     char *target)
{
    struct captures captures;
    struct rename_values values = {
        .topic = topic, .cluster = cfg->source.name, .captures = &captures};

    switch (match_any(rule->include, rule->include_count, topic, &captures)) {
    case PATTERN_NO:
        return TOPIC_UNMATCHED;
    case PATTERN_GAVE_UP:
        return TOPIC_UNDECIDED;
    case PATTERN_YES:
        break;
    }
    switch (match_any(rule->exclude, rule->exclude_count, topic, NULL)) {
    case PATTERN_YES:
        return TOPIC_EXCLUDED;
    case PATTERN_GAVE_UP:
        return TOPIC_UNDECIDED;
    case PATTERN_NO:
        break;
    }
    /* A template must not aim at the relay's own state either. */
    return rename_expand(rule->rename, &values, target) && !is_internal(target)
               ? TOPIC_COPIED
               : TOPIC_BAD_TARGET;
}

enum topic_verdict config_match(const struct config *cfg, const char *topic,
                                char target[TOPIC_NAME_MAX + 1],
                                const struct rule **rule)
{
    enum topic_verdict verdict = TOPIC_UNMATCHED;

    if (is_internal(topic)) {
        return TOPIC_INTERNAL;
    }
    for (size_t i = 0; i < cfg->rule_count; i++) {
        verdict = match_rule(cfg, &cfg->rules[i], topic, target);
        if (verdict == TOPIC_COPIED && rule != NULL) {
            *rule = &cfg->rules[i];
        }
        if (verdict != TOPIC_UNMATCHED) {
            break;
        }
    }
    return verdict;
}
