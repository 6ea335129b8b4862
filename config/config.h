/*
 * config.h - one relay, as its config file has it: read, substituted, checked.
 *
 * Ownership: config_load gives a config that is never changed again; every
 * thread may read it. All strings belong to it.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/problem.h"
#include "relay/base/err.h"
#include "relay/base/log.h"

/* A librdkafka property, passed through. */
struct property {
    char *name;
    char *value;
    char *origin;    /* the ${...} that gave the value, or NULL: if set, the
                      * value must not be shown */
    struct place at; /* of the name */
    struct place value_at;
};

struct cluster_config {
    char *name;                  /* "source" or "target" unless named */
    struct property *properties; /* in the order of the file */
    size_t property_count;
    struct place at;
};

enum guarantee { GUARANTEE_EXACTLY_ONCE, GUARANTEE_AT_LEAST_ONCE };
enum on_gap { ON_GAP_STOP, ON_GAP_CONTINUE };
enum on_record_error {
    ON_RECORD_ERROR_STOP,
    ON_RECORD_ERROR_DEAD_LETTER,
    ON_RECORD_ERROR_SKIP,
};
enum partitioning { PARTITION_PRESERVE };

enum start_kind { START_EARLIEST, START_LATEST, START_TIME };

struct start {
    enum start_kind kind;
    int64_t time_ms; /* START_TIME: since the epoch */
};

struct delivery_config {
    int guarantee; /* enum guarantee */
    int64_t lanes;
    int64_t commit_interval_ms;
    int64_t commit_bytes;
    int64_t buffer_memory; /* bytes, of all lanes together */
    struct start start;
    int on_gap;          /* enum on_gap */
    int on_record_error; /* enum on_record_error */
    char *dead_letter_topic;
};

struct sync_config {
    bool topics_create;
    bool topics_partitions;
    int64_t topics_interval_ms;
};

struct log_config {
    int level;  /* enum log_level */
    int format; /* enum log_format */
};

struct pattern; /* a compiled regex: config/pattern.h */

struct rule {
    struct pattern **include; /* never empty */
    size_t include_count;
    struct pattern **exclude;
    size_t exclude_count;
    char *rename;  /* template: {topic}, {cluster}, {1}; default "{topic}" */
    int partition; /* enum partitioning */
    struct place at;
};

struct config {
    char *relay;
    struct cluster_config source, target;
    struct rule *rules; /* never empty */
    size_t rule_count;
    struct delivery_config delivery;
    struct sync_config sync;
    struct log_config log;
};

/* Reads `path` and checks everything that needs no cluster, bar librdkafka's
 * properties (io/property.h: the config floor does not know librdkafka).
 * Every problem goes to *p. On ERR_CONFIG *out is untouched. */
enum err_kind config_load(struct config **out, const char *path,
                          struct problems *p) MUST_CHECK;

/* The same, but gives what could be read even after errors (NULL only where the
 * file is no YAML map): for the checks of a higher floor, so that one run finds
 * every problem. Fit to run only if p->errors is 0 after all checks. */
struct config *config_read(const char *path, struct problems *p) MUST_CHECK;

/* Frees and nulls. NULL inside is allowed. */
void config_free(struct config **cfg);

enum topic_verdict {
    TOPIC_COPIED,
    TOPIC_UNMATCHED,  /* no rule's include */
    TOPIC_EXCLUDED,   /* the first matching rule excludes it */
    TOPIC_INTERNAL,   /* __.*, kafka-relay\..*, MirrorMaker's: never copied */
    TOPIC_BAD_TARGET, /* the rename gives no valid or an internal name */
    TOPIC_UNDECIDED,  /* a regex ran into its match limit: not copied */
};

enum { TOPIC_NAME_MAX = 249 };

/* The topics of TOPIC_INTERNAL, as globs; NULL ends the list. */
extern const char *const config_internal_topics[];

/* What the rules say of a source topic. The first rule whose include matches
 * decides. On TOPIC_COPIED target[] holds the target topic's name and *rule
 * (NULL allowed) the rule. Any thread. */
enum topic_verdict config_match(const struct config *cfg, const char *topic,
                                char target[TOPIC_NAME_MAX + 1],
                                const struct rule **rule);

#endif
