/*
 * ground.c - see ground.h.
 */
#include "relay/sync/ground.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/io/reader.h"
#include "relay/io/sink.h"
#include "relay/lane/names.h"
#include "relay/lane/state.h"

enum { APPEAR_MS = 10000, APPEAR_POLL_MS = 50, MAP_RETENTION_DAYS = 7 };

struct ground {
    const struct config *cfg;
    struct admin *source, *target;
    const struct plan *plan;
    struct identity *identity;
    const struct patience *patience;
    char offsets[NAME_SIZE], map[NAME_SIZE];
    int32_t offsets_partitions, map_partitions; /* 0: not there */
    int brokers;
};

static enum err_kind look(struct ground *g, struct err *e)
{
    const char *relay = g->cfg->relay;
    struct topic_list list = {0};

    if (admin_topics(g->target, &list, g->patience, e) != ERR_NONE) {
        return e->kind;
    }
    g->identity->generation = 0;
    for (size_t i = 0; i < list.count; i++) {
        int generation = name_generation(list.items[i].name, relay);
        if (generation > g->identity->generation) {
            g->identity->generation = generation;
        }
    }
    name_offsets_topic(g->offsets, relay, g->identity->generation);
    name_map_topic(g->map, relay, g->identity->generation);
    g->offsets_partitions = topic_list_partitions(&list, g->offsets);
    g->map_partitions = topic_list_partitions(&list, g->map);
    g->brokers = list.brokers;
    topic_list_free(&list);
    return ERR_NONE;
}

/* The config can't tell when two addresses are of one cluster. */
static enum err_kind refuse_self_copy(struct ground *g, struct err *e)
{
    char *target = NULL;
    bool same;

    if (admin_cluster_id(g->target, &target, g->patience, e) != ERR_NONE) {
        return e->kind;
    }
    same = strcmp(target, g->identity->source) == 0;
    free(target);
    for (size_t i = 0; same && i < g->plan->count; i++) {
        const struct plan_topic *t = &g->plan->topics[i];
        if (strcmp(t->name, t->target) == 0) {
            return err_set(e, ERR_CONFIG,
                           "source and target are the same cluster (%s), and "
                           "topic %s would be copied onto itself: set `rename`",
                           g->identity->source, t->name);
        }
    }
    return ERR_NONE;
}

/* State that is gone while copies are there must never be taken for a new
 * relay: it would copy everything twice. */
static enum err_kind refuse_lost_state(struct ground *g, struct err *e)
{
    struct offset_query *low, *high;
    size_t count = 0;

    for (size_t i = 0; i < g->plan->count; i++) {
        count += (size_t)g->plan->topics[i].target_partitions;
    }
    low = mem_calloc(count, sizeof(*low));
    high = mem_calloc(count, sizeof(*high));
    count = 0;
    for (size_t i = 0; i < g->plan->count; i++) {
        const struct plan_topic *t = &g->plan->topics[i];
        for (int32_t p = 0; p < t->target_partitions; p++) {
            low[count] = (struct offset_query){.topic = t->target,
                                               .partition = p,
                                               .time_ms = OFFSETS_EARLIEST};
            high[count++] = (struct offset_query){
                .topic = t->target, .partition = p, .time_ms = OFFSETS_LATEST};
        }
    }
    if (admin_offsets(g->target, low, count, g->patience, e) == ERR_NONE &&
        admin_offsets(g->target, high, count, g->patience, e) == ERR_NONE) {
        for (size_t i = 0; i < count; i++) {
            if (!low[i].unknown && !high[i].unknown &&
                high[i].offset > low[i].offset) {
                err_set(e, ERR_STATE,
                        "%s: topic %s holds records, but relay %s has no "
                        "offsets topic (%s): it was deleted, or these are not "
                        "this relay's copies. Restore that topic, delete the "
                        "copies to start over, or set `rename` to copy to new "
                        "topics",
                        g->cfg->target.name, high[i].topic, g->cfg->relay,
                        g->offsets);
                break;
            }
        }
    }
    free(low);
    free(high);
    return e->kind;
}

static enum err_kind create(struct ground *g, struct err *e)
{
    static char retention[24];
    const int replication = g->brokers < 3 ? g->brokers : 3;
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
                                   replication == 3 ? "2" : "1",
                                   NULL};
    const char *const map[] = {"cleanup.policy",
                               "delete",
                               "retention.ms",
                               retention,
                               "unclean.leader.election.enable",
                               "false",
                               "min.insync.replicas",
                               replication == 3 ? "2" : "1",
                               NULL};
    struct topic_wish wishes[2];
    size_t count = 0;

    snprintf(retention, sizeof(retention), "%lld",
             MAP_RETENTION_DAYS * 24LL * 3600 * 1000);
    if (g->map_partitions == 0) {
        wishes[count++] = (struct topic_wish){
            g->map, (int32_t)g->cfg->delivery.lanes, replication, map};
    }
    if (g->offsets_partitions == 0) {
        wishes[count++] = (struct topic_wish){
            g->offsets, (int32_t)g->cfg->delivery.lanes, replication, offsets};
    }
    for (size_t i = 0; i < count; i++) {
        if (admin_create(g->target, &wishes[i], 1, g->patience, e) !=
            ERR_NONE) {
            return e->kind;
        }
        log_write(LOG_INFO, LOG_PARTITION(-1, wishes[i].name, -1),
                  "created on %s", g->cfg->target.name);
    }
    return ERR_NONE;
}

static enum err_kind wait_until_there(struct ground *g, struct err *e)
{
    const struct timespec nap = {.tv_nsec = APPEAR_POLL_MS * 1000000L};
    const struct patience appear =
        patience_of(APPEAR_MS, g->patience->stopped, 0);

    do {
        if (look(g, e) != ERR_NONE) {
            return e->kind;
        }
        if (g->offsets_partitions > 0 && g->map_partitions > 0) {
            return ERR_NONE;
        }
        nanosleep(&nap, NULL);
    } while (patience_left(&appear, 1) > 0);
    return err_set(e, ERR_RETRY, "%s: %s does not appear after its creation",
                   g->cfg->target.name, g->offsets);
}

static enum err_kind check_config(struct ground *g, struct err *e)
{
    char *policy = NULL;

    if (g->offsets_partitions < g->cfg->delivery.lanes) {
        return err_set(e, ERR_STATE,
                       "%s has %d partitions, but delivery.lanes is %lld. Set "
                       "delivery.lanes back to what it was",
                       g->offsets, (int)g->offsets_partitions,
                       (long long)g->cfg->delivery.lanes);
    }
    if (admin_topic_config(g->target, g->offsets, "cleanup.policy", &policy,
                           g->patience, e) != ERR_NONE) {
        return e->kind;
    }
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

/* What lane k's partition says; identity->relay takes the uuid of the first
 * that has one. */
static enum err_kind read_identity(struct ground *g, struct reader *reader,
                                   int32_t k, bool *there, struct err *e)
{
    struct state state;

    state_init(&state, k);
    if (reader_open_log(reader, g->offsets, k, e) == ERR_NONE &&
        state_read(&state, reader, g->patience, e) == ERR_NONE) {
        *there = state.has_identity;
        if (*there) {
            if (state_check(&state, g->offsets, g->identity, e) != ERR_NONE) {
                goto done;
            }
            snprintf(g->identity->relay, sizeof(g->identity->relay), "%s",
                     state.identity.relay);
        } else if (state.has_claim || table_count(state.positions) > 0) {
            err_set(e, ERR_STATE,
                    "%s[%d] holds claims or positions but no identity: its "
                    "records were deleted. Delete the topic to start over, or "
                    "give the relay another name",
                    g->offsets, (int)k);
        }
    }
done:
    state_free(&state);
    return e->kind;
}

/* Identities for all lanes, in one transaction under lane 0's transactional
 * id: of two processes that create a relay at once, the later fences the
 * earlier, or finds what it has written. */
static enum err_kind write_identities(struct ground *g, struct reader *reader,
                                      struct err *e)
{
    char id[NAME_SIZE], key[40];
    struct sink_settings settings = {.target = &g->cfg->target,
                                     .transactional_id = id,
                                     .guarantee = GUARANTEE_EXACTLY_ONCE,
                                     .in_flight_bytes = 1 << 20};
    struct sink *sink = NULL;
    struct buf value = {0};
    bool there = false;

    name_transactional_id(id, g->cfg->relay, g->identity->generation, 0);
    if (sink_open(&sink, &settings, g->patience, e) != ERR_NONE ||
        sink_begin(sink, e) != ERR_NONE) {
        goto done;
    }
    for (int32_t k = 0; k < g->cfg->delivery.lanes; k++) {
        if (read_identity(g, reader, k, &there, e) != ERR_NONE) {
            goto done;
        }
        if (there) {
            continue;
        }
        if (g->identity->relay[0] == '\0') {
            uuid_make(g->identity->relay);
        }
        buf_clear(&value);
        identity_encode(&value, g->identity);
        snprintf(key, sizeof(key), "{\"identity\":%d}", (int)k);
        if (sink_put(sink, g->offsets, k, key, value.data, value.len, NULL,
                     e) != ERR_NONE) {
            goto done;
        }
    }
    if (sink_commit(sink, g->patience, e) == ERR_FENCED) {
        e->kind = ERR_RETRY; /* by the process that creates it too */
    }
done:
    sink_close(&sink);
    buf_free(&value);
    return e->kind;
}

static enum err_kind identify(struct ground *g, struct err *e)
{
    struct reader *reader = NULL;
    bool there = false;

    enum err_kind rc = reader_open(&reader, &g->cfg->target, READ_COMMITTED, e);

    if (rc == ERR_NONE) {
        rc = read_identity(g, reader, 0, &there, e);
    }
    if (rc == ERR_NONE && !there) {
        rc = write_identities(g, reader, e);
    }
    reader_close(&reader);
    return rc;
}

enum err_kind ground_prepare(const struct config *cfg, struct admin *source,
                             struct admin *target, const struct plan *plan,
                             struct identity *identity,
                             const struct patience *patience, struct err *e)
{
    struct ground g = {.cfg = cfg,
                       .source = source,
                       .target = target,
                       .plan = plan,
                       .identity = identity,
                       .patience = patience};
    char *cluster = NULL;

    *identity = (struct identity){.lanes = (int32_t)cfg->delivery.lanes};
    e->kind = ERR_NONE;
    if (admin_cluster_id(source, &cluster, patience, e) != ERR_NONE) {
        return e->kind;
    }
    snprintf(identity->source, sizeof(identity->source), "%s", cluster);
    free(cluster);
    if (refuse_self_copy(&g, e) != ERR_NONE || look(&g, e) != ERR_NONE) {
        return e->kind;
    }
    if (g.offsets_partitions == 0 && refuse_lost_state(&g, e) != ERR_NONE) {
        /* Unless another process has made them meanwhile. */
        const struct err refused = *e;
        if (look(&g, e) != ERR_NONE) {
            return e->kind;
        }
        if (g.offsets_partitions == 0) {
            *e = refused;
            return e->kind;
        }
    }
    if (g.offsets_partitions == 0 || g.map_partitions == 0) {
        if (create(&g, e) != ERR_NONE || wait_until_there(&g, e) != ERR_NONE) {
            return e->kind;
        }
    }
    if (check_config(&g, e) != ERR_NONE) {
        return e->kind;
    }
    return identify(&g, e);
}
