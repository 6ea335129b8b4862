/*
 * generation.c - see generation.h.
 */
#include "relay/sync/generation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/io/reader.h"
#include "relay/lane/state.h"

enum {
    APPEAR_MS = 10000,
    APPEAR_POLL_MS = 50,
    MAP_RETENTION_DAYS = 7,
    FLUSH_EVERY = 1000, /* records put: a bound of what is in flight */
};

static void name_it(struct generation *g, int number, const struct config *cfg,
                    const struct topic_list *list)
{
    *g = (struct generation){.number = number, .brokers = list->brokers};
    name_offsets_topic(g->offsets, cfg->relay, number);
    name_map_topic(g->map, cfg->relay, number);
    g->offsets_partitions = topic_list_partitions(list, g->offsets);
    g->map_partitions = topic_list_partitions(list, g->map);
}

/* Lane 0 speaks for all: identities come in one transaction. */
static enum err_kind read_identity(struct generation *g,
                                   const struct config *cfg,
                                   const struct patience *patience,
                                   struct err *e)
{
    struct reader *reader = NULL;
    struct state state;
    enum err_kind rc = reader_open(&reader, &cfg->target, READ_COMMITTED, e);

    state_init(&state, 0);
    if (rc == ERR_NONE) {
        rc = reader_open_log(reader, g->offsets, 0, e);
    }
    if (rc == ERR_NONE) {
        rc = state_read(&state, reader, patience, e);
    }
    g->in_use = rc == ERR_NONE && state.has_identity;
    if (g->in_use) {
        g->identity = state.identity;
    }
    state_free(&state);
    reader_close(&reader);
    return rc;
}

enum err_kind generation_look(struct generation *out, int number,
                              const struct config *cfg, struct admin *target,
                              const struct patience *patience, struct err *e)
{
    struct topic_list list = {0};

    if (admin_topics(target, &list, patience, e) != ERR_NONE) {
        return e->kind;
    }
    name_it(out, number, cfg, &list);
    topic_list_free(&list);
    return out->offsets_partitions > 0 ? read_identity(out, cfg, patience, e)
                                       : ERR_NONE;
}

/* The newest offsets topic older than `below`; -1: none. */
static int newest_below(const struct topic_list *list, const char *relay,
                        int below)
{
    int newest = -1;

    for (size_t i = 0; i < list->count; i++) {
        int number = name_generation(list->items[i].name, relay);
        if (number > newest && number < below) {
            newest = number;
        }
    }
    return newest;
}

enum err_kind generation_find(struct generation *out, const struct config *cfg,
                              struct admin *target,
                              const struct patience *patience, struct err *e)
{
    struct topic_list list = {0};
    enum err_kind rc = ERR_NONE;
    int number;

    if (admin_topics(target, &list, patience, e) != ERR_NONE) {
        return e->kind;
    }
    number = newest_below(&list, cfg->relay, INT32_MAX);
    name_it(out, number > 0 ? number : 0, cfg, &list);
    while (number >= 0 && rc == ERR_NONE && !out->in_use) {
        struct generation g;

        name_it(&g, number, cfg, &list);
        rc = read_identity(&g, cfg, patience, e);
        if (g.in_use) {
            *out = g;
        }
        number = newest_below(&list, cfg->relay, number);
    }
    topic_list_free(&list);
    return rc;
}

static enum err_kind create_missing(const struct generation *g, int32_t lanes,
                                    const struct config *cfg,
                                    struct admin *target,
                                    const struct patience *patience,
                                    struct err *e)
{
    char retention[24];
    const int replication = g->brokers < 3 ? g->brokers : 3;
    const char *const in_sync = replication == 3 ? "2" : "1";
    const char *const offsets[] = {"cleanup.policy",
                                   "compact",
                                   "segment.bytes",
                                   "16777216",
                                   "max.compaction.lag.ms",
                                   "600000",
                                   "min.cleanable.dirty.ratio",
                                   "0.1",
                                   "unclean.leader.election.enable",
                                   "false",
                                   "min.insync.replicas",
                                   in_sync,
                                   NULL};
    const char *const map[] = {"cleanup.policy",
                               "delete",
                               "retention.ms",
                               retention,
                               "unclean.leader.election.enable",
                               "false",
                               "min.insync.replicas",
                               in_sync,
                               NULL};
    const struct topic_wish wishes[] = {
        {g->map, lanes, replication, map},
        {g->offsets, lanes, replication, offsets}};
    const bool missing[] = {g->map_partitions == 0, g->offsets_partitions == 0};

    snprintf(retention, sizeof(retention), "%lld",
             MAP_RETENTION_DAYS * 24LL * 3600 * 1000);
    for (size_t i = 0; i < 2; i++) {
        if (!missing[i]) {
            continue;
        }
        if (admin_create(target, &wishes[i], 1, patience, e) != ERR_NONE) {
            return e->kind;
        }
        log_write(LOG_INFO, LOG_PARTITION(-1, wishes[i].name, -1),
                  "created on %s", cfg->target.name);
    }
    return ERR_NONE;
}

enum err_kind generation_create(struct generation *g, int32_t lanes,
                                const struct config *cfg, struct admin *target,
                                const struct patience *patience, struct err *e)
{
    const struct timespec nap = {.tv_nsec = APPEAR_POLL_MS * 1000000L};
    const struct patience appear = patience_of(APPEAR_MS, patience->stopped, 0);

    if (create_missing(g, lanes, cfg, target, patience, e) != ERR_NONE) {
        return e->kind;
    }
    do {
        struct topic_list list = {0};

        if (admin_topics(target, &list, patience, e) != ERR_NONE) {
            return e->kind;
        }
        g->offsets_partitions = topic_list_partitions(&list, g->offsets);
        g->map_partitions = topic_list_partitions(&list, g->map);
        topic_list_free(&list);
        if (g->offsets_partitions > 0 && g->map_partitions > 0) {
            return ERR_NONE;
        }
        nanosleep(&nap, NULL);
    } while (patience_left(&appear, 1) > 0);
    return err_set(e, ERR_RETRY, "%s: %s does not appear after its creation",
                   cfg->target.name, g->offsets);
}

enum err_kind generation_check(const struct generation *g, int32_t lanes,
                               struct admin *target,
                               const struct patience *patience, struct err *e)
{
    char *policy = NULL;

    if (g->offsets_partitions < lanes) {
        return err_set(e, ERR_STATE,
                       "%s has %d partitions, but this relay has %d lanes: it "
                       "was not made by kafka-relay, or made anew by somebody. "
                       "Delete it, and restore the positions: kafka-relay "
                       "offsets CONFIG import FILE --reason TEXT",
                       g->offsets, (int)g->offsets_partitions, (int)lanes);
    }
    if (admin_topic_config(target, g->offsets, "cleanup.policy", &policy,
                           patience, e) != ERR_NONE) {
        return e->kind;
    }
    e->kind = ERR_NONE;
    if (strcmp(policy, "compact") != 0) {
        err_set(e, ERR_STATE,
                "%s has cleanup.policy=%s: positions would be deleted. Set it "
                "back: kafka-configs --alter --entity-type topics "
                "--entity-name %s --add-config cleanup.policy=compact",
                g->offsets, policy, g->offsets);
    }
    free(policy);
    return e->kind;
}

enum err_kind generation_sink(struct sink **out, const struct generation *g,
                              int32_t lane, const struct config *cfg,
                              const struct patience *patience, struct err *e)
{
    char id[NAME_SIZE];
    const struct sink_settings settings = {
        .target = &cfg->target,
        .transactional_id = id,
        .guarantee = GUARANTEE_EXACTLY_ONCE,
        .in_flight_bytes = 1 << 20,
    };

    name_transactional_id(id, cfg->relay, g->number, lane);
    return sink_open(out, &settings, patience, e) == ERR_NONE
               ? sink_begin(*out, e)
               : e->kind;
}

struct founder {
    const struct generation *g;
    const struct founding *what;
    struct sink *sink;
    const struct patience *patience;
    char nonce[NONCE_SIZE], host[256];
    struct buf key, value;
    int puts;
};

/* What stands in ->value, under the key in ->key. */
static enum err_kind put(struct founder *f, int32_t lane, struct err *e)
{
    buf_add(&f->key, "", 1);
    if (sink_put(f->sink, f->g->offsets, lane, f->key.data, f->value.data,
                 f->value.len, NULL, e) != ERR_NONE) {
        return e->kind;
    }
    buf_clear(&f->key);
    buf_clear(&f->value);
    return ++f->puts % FLUSH_EVERY == 0 ? sink_flush(f->sink, f->patience, e)
                                        : ERR_NONE;
}

static enum err_kind put_lane(struct founder *f, int32_t k, struct err *e)
{
    struct claim claim = {
        .pid = getpid(), .started_ms = clock_wall_ms(), .released = true};

    buf_printf(&f->key, "{\"identity\":%d}", (int)k);
    identity_encode(&f->value, f->what->identity);
    if (put(f, k, e) != ERR_NONE || f->what->rules == NULL) {
        return e->kind;
    }
    snprintf(claim.nonce, sizeof(claim.nonce), "%s", f->nonce);
    snprintf(claim.host, sizeof(claim.host), "%s", f->host);
    snprintf(claim.version, sizeof(claim.version), "%s", KAFKA_RELAY_VERSION);
    snprintf(claim.rules, sizeof(claim.rules), "%s", f->what->rules);
    snprintf(claim.command, sizeof(claim.command), "%s", f->what->command);
    buf_printf(&f->key, "{\"claim\":%d}", (int)k);
    claim_encode(&f->value, &claim);
    return put(f, k, e);
}

static enum err_kind put_position(struct founder *f, struct entry *entry,
                                  struct err *e)
{
    const int32_t lane =
        lane_of(entry->topic, entry->partition, f->what->identity->lanes);

    snprintf(entry->position.claim, sizeof(entry->position.claim), "%s",
             f->nonce);
    position_key(&f->key, entry->topic, entry->partition);
    position_encode(&f->value, &entry->position);
    return put(f, lane, e);
}

static enum err_kind put_all(struct founder *f, struct err *e)
{
    const struct entries *positions = f->what->positions;

    for (int32_t k = 0; k < f->what->identity->lanes; k++) {
        if (put_lane(f, k, e) != ERR_NONE) {
            return e->kind;
        }
    }
    for (size_t i = 0; positions != NULL && i < positions->count; i++) {
        if (put_position(f, &positions->items[i], e) != ERR_NONE) {
            return e->kind;
        }
    }
    return ERR_NONE;
}

enum err_kind generation_found(const struct generation *g,
                               const struct founding *founding,
                               struct sink *sink,
                               const struct patience *patience, struct err *e)
{
    struct founder f = {
        .g = g, .what = founding, .sink = sink, .patience = patience};
    enum err_kind rc;

    e->kind = ERR_NONE;
    nonce_make(f.nonce);
    gethostname(f.host, sizeof(f.host) - 1);
    rc = put_all(&f, e);
    if (rc == ERR_NONE) {
        rc = sink_commit(sink, patience, e);
    }
    buf_free(&f.key);
    buf_free(&f.value);
    return rc;
}
