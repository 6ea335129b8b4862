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
#include "relay/lane/state.h"
#include "relay/sync/generation.h"

enum { APPEAR_MS = 10000, APPEAR_POLL_MS = 100 };

struct ground {
    const struct config *cfg;
    struct admin *source, *target;
    const struct plan *plan;
    struct identity *identity;
    const struct patience *patience;
    struct generation at;
};

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
                        "offsets topic in use (%s): it was deleted, or these "
                        "are not this relay's copies. Restore it: kafka-relay "
                        "offsets CONFIG import FILE --reason TEXT; or delete "
                        "the copies to start over, or set `rename`",
                        g->cfg->target.name, high[i].topic, g->cfg->relay,
                        g->at.offsets);
                break;
            }
        }
    }
    free(low);
    free(high);
    return e->kind;
}

/* An offsets topic without identities may only be an empty one: a relay that
 * died while it made it. */
static enum err_kind refuse_remains(struct ground *g, struct err *e)
{
    struct reader *reader = NULL;
    enum err_kind rc = reader_open(&reader, &g->cfg->target, READ_COMMITTED, e);

    for (int32_t k = 0; k < g->cfg->delivery.lanes && rc == ERR_NONE; k++) {
        struct state state;

        state_init(&state, k);
        rc = reader_open_log(reader, g->at.offsets, k, e);
        if (rc == ERR_NONE) {
            rc = state_read(&state, reader, g->patience, e);
        }
        if (rc == ERR_NONE && (state.has_identity || state.has_claim ||
                               table_count(state.positions) > 0)) {
            rc = err_set(e, ERR_STATE,
                         "%s[%d] holds records of a relay, but lane 0 has no "
                         "identity: some were deleted. Delete the topic, then "
                         "restore the positions: kafka-relay offsets CONFIG "
                         "import FILE --reason TEXT",
                         g->at.offsets, (int)k);
        }
        state_free(&state);
    }
    reader_close(&reader);
    return rc;
}

/* Records without an identity may be those of a process that creates the relay
 * at this moment: a commit is answered before all of it can be read. True when
 * the identity comes. */
static bool is_found_meanwhile(struct ground *g)
{
    const struct timespec nap = {.tv_nsec = APPEAR_POLL_MS * 1000000L};
    const struct patience appear =
        patience_of(APPEAR_MS, g->patience->stopped, 0);
    struct err ignored = {0};

    do {
        if (generation_look(&g->at, g->at.number, g->cfg, g->target,
                            g->patience, &ignored) != ERR_NONE) {
            return false;
        }
        if (g->at.in_use) {
            return true;
        }
        nanosleep(&nap, NULL);
    } while (patience_left(&appear, 1) > 0);
    return false;
}

/* Identities for all lanes, under lane 0's transactional id: of two processes
 * that create a relay at once, the later fences the earlier, or finds what it
 * has written. */
static enum err_kind write_identities(struct ground *g, struct err *e)
{
    const struct founding founding = {.identity = g->identity};
    struct sink *sink = NULL;
    enum err_kind rc =
        generation_sink(&sink, &g->at, 0, g->cfg, g->patience, e);

    if (rc == ERR_NONE) {
        rc = generation_look(&g->at, g->at.number, g->cfg, g->target,
                             g->patience, e);
    }
    if (rc == ERR_NONE && !g->at.in_use) {
        rc = refuse_remains(g, e);
        if (rc == ERR_NONE) {
            uuid_make(g->identity->relay);
            rc = generation_found(&g->at, &founding, sink, g->patience, e);
        } else if (rc == ERR_STATE && is_found_meanwhile(g)) {
            rc = e->kind = ERR_NONE;
        }
    }
    sink_close(&sink);
    if (rc == ERR_FENCED) {
        e->kind = rc = ERR_RETRY; /* by the process that creates it too */
    }
    return rc;
}

/* Generation 0, where there was none. Anything else is a loss. */
static enum err_kind begin(struct ground *g, struct err *e)
{
    if (g->at.number > 0) {
        return err_set(e, ERR_STATE,
                       "%s has no identities, and no older generation is "
                       "there: topics of this relay were deleted. Restore "
                       "them, or the positions: kafka-relay offsets CONFIG "
                       "import FILE --reason TEXT",
                       g->at.offsets);
    }
    if (refuse_lost_state(g, e) != ERR_NONE) {
        /* Unless another process has made them meanwhile. */
        const struct err refused = *e;
        if (generation_find(&g->at, g->cfg, g->target, g->patience, e) !=
            ERR_NONE) {
            return e->kind;
        }
        if (!g->at.in_use) {
            *e = refused;
        }
        return e->kind;
    }
    if (generation_create(&g->at, (int32_t)g->cfg->delivery.lanes, g->cfg,
                          g->target, g->patience, e) != ERR_NONE ||
        generation_check(&g->at, (int32_t)g->cfg->delivery.lanes, g->target,
                         g->patience, e) != ERR_NONE) {
        return e->kind;
    }
    return write_identities(g, e);
}

/* What lane 0 says; *identity takes its uuid. */
static enum err_kind check_lane_0(struct ground *g, struct err *e)
{
    struct reader *reader = NULL;
    struct state state;
    enum err_kind rc = reader_open(&reader, &g->cfg->target, READ_COMMITTED, e);

    state_init(&state, 0);
    if (rc == ERR_NONE) {
        rc = reader_open_log(reader, g->at.offsets, 0, e);
    }
    if (rc == ERR_NONE) {
        rc = state_read(&state, reader, g->patience, e);
    }
    if (rc == ERR_NONE && state.is_rescaled) {
        rc = err_set(e, ERR_STATE,
                     "a rescale of relay %s from %d to %d lanes did not end. "
                     "Finish it: kafka-relay offsets CONFIG rescale --lanes "
                     "%d; or undo it: the same with --lanes %d",
                     g->cfg->relay, (int)state.identity.lanes,
                     (int)state.rescaled.lanes, (int)state.rescaled.lanes,
                     (int)state.identity.lanes);
    }
    if (rc == ERR_NONE) {
        rc = state_check(&state, g->at.offsets, g->identity, e);
        snprintf(g->identity->relay, sizeof(g->identity->relay), "%s",
                 state.identity.relay);
    }
    state_free(&state);
    reader_close(&reader);
    return rc;
}

static enum err_kind use(struct ground *g, struct err *e)
{
    g->identity->generation = g->at.number;
    /* What was written just now need not be readable yet. */
    if (g->identity->relay[0] == '\0' && check_lane_0(g, e) != ERR_NONE) {
        return e->kind;
    }
    if (g->at.map_partitions == 0 &&
        generation_create(&g->at, g->identity->lanes, g->cfg, g->target,
                          g->patience, e) != ERR_NONE) {
        return e->kind;
    }
    return generation_check(&g->at, g->identity->lanes, g->target, g->patience,
                            e);
}

static enum err_kind ask_source_id(struct ground *g, struct err *e)
{
    char *cluster = NULL;

    if (admin_cluster_id(g->source, &cluster, g->patience, e) != ERR_NONE) {
        return e->kind;
    }
    snprintf(g->identity->source, sizeof(g->identity->source), "%s", cluster);
    free(cluster);
    return ERR_NONE;
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

    *identity = (struct identity){.lanes = (int32_t)cfg->delivery.lanes};
    e->kind = ERR_NONE;
    if (ask_source_id(&g, e) != ERR_NONE ||
        refuse_self_copy(&g, e) != ERR_NONE ||
        generation_find(&g.at, cfg, target, patience, e) != ERR_NONE) {
        return e->kind;
    }
    if (!g.at.in_use && begin(&g, e) != ERR_NONE) {
        return e->kind;
    }
    return use(&g, e);
}

enum err_kind ground_still_there(const struct config *cfg, struct admin *target,
                                 const struct identity *identity,
                                 const struct patience *patience, struct err *e)
{
    struct topic_list list = {0};
    char name[NAME_SIZE];
    bool there;

    if (admin_topics(target, &list, patience, e) != ERR_NONE) {
        return e->kind;
    }
    name_offsets_topic(name, cfg->relay, identity->generation);
    there = topic_list_partitions(&list, name) > 0;
    topic_list_free(&list);
    return there ? ERR_NONE
                 : err_set(e, ERR_FAILED,
                           "%s is gone from %s: nothing more is copied, since "
                           "nobody knows how far. Stop the relay, then restore "
                           "the topic, or its positions: kafka-relay offsets "
                           "CONFIG import FILE --reason TEXT",
                           name, cfg->target.name);
}
