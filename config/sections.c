/*
 * sections.c - see sections.h. The order of the rows is the order of the
 * reference page.
 */
#include "config/sections.h"

#include <stdbool.h>

#include "config/config.h"

/* Offset of a field, refusing to compile when the field is not a `type`. */
#define AT(type, section, field) \
    (offsetof(section, field) + 0 * sizeof((type *)0 == &((section *)0)->field))

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

static const char *const guarantee_names[] = {
    [GUARANTEE_EXACTLY_ONCE] = "exactly_once",
    [GUARANTEE_AT_LEAST_ONCE] = "at_least_once",
    NULL,
};
static const char *const on_gap_names[] = {
    [ON_GAP_STOP] = "stop", [ON_GAP_CONTINUE] = "continue", NULL};
static const char *const on_record_error_names[] = {
    [ON_RECORD_ERROR_STOP] = "stop",
    [ON_RECORD_ERROR_DEAD_LETTER] = "dead_letter",
    [ON_RECORD_ERROR_SKIP] = "skip",
    NULL,
};
static const char *const partition_names[] = {[PARTITION_PRESERVE] = "preserve",
                                              NULL};
static const char *const partition_later[] = {"key", "crc32", "round_robin",
                                              "round_robin_null", NULL};
static const char *const level_names[] = {[LOG_ERROR] = "error",
                                          [LOG_WARN] = "warn",
                                          [LOG_INFO] = "info",
                                          [LOG_DEBUG] = "debug",
                                          NULL};
static const char *const format_names[] = {
    [LOG_TEXT] = "text", [LOG_JSON] = "json", NULL};

static const struct option top_options[] = {
    {.name = "relay",
     .type = OPT_NAME,
     .flags = OPT_REQUIRED,
     .offset = AT(char *, struct config, relay),
     .min = 1,
     .max = 100,
     .doc = "The relay's name. Its state on the target is named by it: the "
            "topics, the consumer group and the transactional ids "
            "`kafka-relay.NAME`. Two relays with one name and one target "
            "share the work; a new name begins anew."},
};

static const struct option cluster_options[] = {
    {.name = "name",
     .type = OPT_NAME,
     .offset = AT(char *, struct cluster_config, name),
     .min = 1,
     .max = 100,
     .doc = "What logs and metrics call the cluster, and `{cluster}` in "
            "`rename` (of the source). Default: `source`, `target`."},
};

static const struct option rule_options[] = {
    {.name = "include",
     .type = OPT_PATTERNS,
     .flags = OPT_REQUIRED,
     .offset = offsetof(struct rule, include),
     .doc = "Topics of the source to copy: PCRE2 regexes, each for the whole "
            "name. Write them in single quotes."},
    {.name = "exclude",
     .type = OPT_PATTERNS,
     .offset = offsetof(struct rule, exclude),
     .doc = "Topics that this rule leaves behind although `include` matches. "
            "They are not tried with later rules."},
    {.name = "rename",
     .type = OPT_TEXT,
     .offset = AT(char *, struct rule, rename),
     .def = "{topic}",
     .doc = "The name on the target: a template with `{topic}`, `{cluster}` "
            "(the source's name) and `{1}` to `{9}` for the groups of the "
            "regex that matched. Write it in single quotes."},
    {.name = "partition",
     .type = OPT_ENUM,
     .offset = AT(int, struct rule, partition),
     .def = "preserve",
     .names = partition_names,
     .later = partition_later,
     .doc = "The target partition of a record: `preserve` keeps the "
            "source's, and with it the order."},
};

static const struct option delivery_options[] = {
    {.name = "guarantee",
     .type = OPT_ENUM,
     .offset = AT(int, struct delivery_config, guarantee),
     .def = "exactly_once",
     .names = guarantee_names,
     .doc = "`exactly_once`: records and positions go into one transaction "
            "of the target; consumers there must read with "
            "`isolation.level=read_committed`, or they see aborted copies. "
            "`at_least_once`: no transactions for the data; a crash may "
            "repeat records, none is lost."},
    {.name = "lanes",
     .type = OPT_INT,
     .offset = AT(int64_t, struct delivery_config, lanes),
     .def = "4",
     .min = 1,
     .max = 256,
     .doc = "Lanes of the relay, in all its processes together: each has a "
            "thread, a consumer and a producer. Fixed when the relay first "
            "starts."},
    {.name = "commit_interval",
     .type = OPT_MS,
     .offset = AT(int64_t, struct delivery_config, commit_interval_ms),
     .def = "100ms",
     .min = 10,
     .max = 10000,
     .doc = "The longest time that a transaction stays open, and so the "
            "longest that a copied record stays invisible to read_committed "
            "consumers. Below the transaction time-out of 30s."},
    {.name = "commit_bytes",
     .type = OPT_BYTES,
     .offset = AT(int64_t, struct delivery_config, commit_bytes),
     .def = "64MiB",
     .min = 4 * KIB,
     .max = 1 * GIB,
     .doc = "Commit earlier, once this much is in the open transaction."},
    {.name = "buffer_memory",
     .type = OPT_BYTES,
     .offset = AT(int64_t, struct delivery_config, buffer_memory),
     .def = "256MiB",
     .min = LANE_MIN_BYTES,
     .max = 1 * TIB,
     .doc = "Memory for records under way, shared evenly by the lanes: half "
            "of it fetched, half in flight to the target. At least 4MiB a "
            "lane."},
    {.name = "start",
     .type = OPT_START,
     .offset = AT(struct start, struct delivery_config, start),
     .def = "earliest",
     .doc = "Where a partition begins that has no position yet. Topics and "
            "partitions that appear later begin at the earliest record."},
    {.name = "on_gap",
     .type = OPT_ENUM,
     .offset = AT(int, struct delivery_config, on_gap),
     .def = "stop",
     .names = on_gap_names,
     .doc = "When source records can no longer be copied (retention, "
            "truncation, a topic made anew), or copies are gone: `stop` halts "
            "that partition alone, until `kafka-relay offsets CONFIG set`; "
            "`continue` records in the position what was lost, and goes on."},
    {.name = "on_record_error",
     .type = OPT_ENUM,
     .offset = AT(int, struct delivery_config, on_record_error),
     .def = "stop",
     .names = on_record_error_names,
     .doc = "When the target refuses a record (too large, invalid): `stop` "
            "halts that partition alone, before that record; `dead_letter` "
            "writes it to `dead_letter_topic`, in the same transaction as the "
            "position that passes it; `skip` records its offset in the "
            "position as lost, and goes on."},
    {.name = "dead_letter_topic",
     .type = OPT_TEXT,
     .offset = AT(char *, struct delivery_config, dead_letter_topic),
     .def = "kafka-relay.{relay}.dead-letter",
     .doc = "Where records go that the target refuses; made with one "
            "partition when it is missing. `{relay}` is the relay's name."},
};

static const struct option sync_topics_options[] = {
    {.name = "create",
     .type = OPT_BOOL,
     .offset = AT(bool, struct sync_config, topics_create),
     .def = "yes",
     .doc = "Create missing target topics with the source's partition count. "
            "`no`: a topic waits until somebody creates it."},
    {.name = "partitions",
     .type = OPT_BOOL,
     .offset = AT(bool, struct sync_config, topics_partitions),
     .def = "yes",
     .doc = "Grow target topics when the source's grow. `no`: new partitions "
            "wait until somebody adds them."},
    {.name = "interval",
     .type = OPT_MS,
     .offset = AT(int64_t, struct sync_config, topics_interval_ms),
     .def = "30s",
     .min = 1000,
     .max = 86400000,
     .doc = "How often to look for new topics and partitions."},
};

static const struct option log_options[] = {
    {.name = "level",
     .type = OPT_ENUM,
     .offset = AT(int, struct log_config, level),
     .def = "info",
     .names = level_names,
     .doc = "The least important lines to log."},
    {.name = "format",
     .type = OPT_ENUM,
     .offset = AT(int, struct log_config, format),
     .def = "text",
     .names = format_names,
     .doc = "One line a message on stderr: as text, or as a JSON object."},
};

static const char *const top_nested[] = {
    "source", "target", "topics", "delivery", "sync", "log", NULL};
static const char *const top_later[] = {"http", NULL};
static const char *const rule_later[] = {
    "filters",      "merge",      "partitions", "window",
    "fall_through", "provenance", NULL};
static const char *const delivery_later[] = {
    "rate_limit_bytes", "rate_limit_records", "max_records", NULL};
static const char *const sync_nested[] = {"topics", NULL};
static const char *const sync_later[] = {"groups", "keep", "replication_factor",
                                         "mm2", NULL};
static const char *const sync_topics_later[] = {"configs", "acls", NULL};

#define ROWS(table) \
    .options = (table), .count = sizeof(table) / sizeof(*(table))

const struct section config_sections[SECTION_COUNT] = {
    [SECTION_TOP] = {.path = "",
                     .title = "The relay",
                     ROWS(top_options),
                     .nested = top_nested,
                     .later = top_later},
    [SECTION_CLUSTER] = {.path = "source",
                         .title = "`source`, `target`: the clusters",
                         ROWS(cluster_options),
                         .doc = "Beside `name`, any property of librdkafka's "
                                "CONFIGURATION.md, passed through as it is: "
                                "`bootstrap.servers` (required), `security.*`, "
                                "`ssl.*`, `sasl.*` and the rest, but for those "
                                "below that the relay owns."},
    [SECTION_RULE] = {.path = "topics[]",
                      .title = "`topics`: the rules",
                      ROWS(rule_options),
                      .later = rule_later,
                      .doc = "A list of rules. The first whose `include` "
                             "matches a topic decides about it."},
    [SECTION_DELIVERY] = {.path = "delivery",
                          .title = "`delivery`",
                          ROWS(delivery_options),
                          .later = delivery_later},
    [SECTION_SYNC] = {.path = "sync",
                      .nested = sync_nested,
                      .later = sync_later},
    [SECTION_SYNC_TOPICS] = {.path = "sync.topics",
                             .title = "`sync.topics`",
                             ROWS(sync_topics_options),
                             .later = sync_topics_later},
    [SECTION_LOG] = {.path = "log", .title = "`log`", ROWS(log_options)},
};
