/*
 * restore.c - see restore.h. Here: what is common, and a generation that is
 * gone; restore_lanes.c: lanes that are there.
 */
#include "relay/sync/restore.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/sync/beyond.h"
#include "relay/sync/generation.h"
#include "relay/sync/ledger.h"
#include "relay/sync/restore_internal.h"

static enum err_kind check_file(const struct restore *r, struct err *e)
{
    const struct export *from = r->from;

    if (strcmp(from->name, r->cfg->relay) != 0) {
        return err_set(e, ERR_STATE,
                       "the positions are of relay %s, but this config's is %s",
                       from->name, r->cfg->relay);
    }
    if (strcmp(from->identity.source, r->source_id) != 0) {
        return err_set(e, ERR_STATE,
                       "the positions are of source cluster %s, but %s is "
                       "cluster %s",
                       from->identity.source, r->cfg->source.name,
                       r->source_id);
    }
    return ERR_NONE;
}

enum err_kind restore_refuse_stale(const struct restore *r,
                                   const struct patience *patience,
                                   struct err *e)
{
    const struct entry *old;
    int64_t offset = -1;

    if (beyond_find(&old, &offset, &r->from->positions, r->cfg, r->target,
                    patience, e) != ERR_NONE) {
        return e->kind;
    }
    if (old == NULL) {
        return ERR_NONE;
    }
    if (r->force) {
        log_write(LOG_WARN, NULL,
                  "%s[%d] on %s holds a record at offset %" PRId64 " that the "
                  "position of %s[%d] does not know: records are copied again",
                  old->position.target_topic, (int)old->partition,
                  r->cfg->target.name, offset, old->topic, (int)old->partition);
        return ERR_NONE;
    }
    return err_set(e, ERR_STATE,
                   "the positions are too old: %s[%d] on %s holds a record at "
                   "offset %" PRId64 ", but the newest copy that they know is "
                   "at %" PRId64 ". Import newer ones, or with --force copy "
                   "records again",
                   old->position.target_topic, (int)old->partition,
                   r->cfg->target.name, offset,
                   old->position.target_anchor.offset);
}

void restore_note_move(const struct restore *r, struct position *p,
                       int64_t before)
{
    p->moved = (struct moved){.from = before, .time_ms = clock_wall_ms()};
    snprintf(p->moved.reason, sizeof(p->moved.reason), "%s", r->reason);
}

void restore_drop_maps(struct restore *r)
{
    for (size_t i = 0; i < r->from->positions.count; i++) {
        r->from->positions.items[i].position.map_count = 0;
    }
}

/* Every lane's owner of old, should one be frozen somewhere. Lane 0's sink
 * stays: whoever does the same after us fences it. */
static enum err_kind fence_all(struct restore *r, const struct generation *g,
                               struct sink **lane_0,
                               const struct patience *patience, struct err *e)
{
    for (int32_t k = r->from->identity.lanes - 1; k >= 0; k--) {
        struct sink *sink = NULL;

        if (generation_sink(&sink, g, k, r->cfg, patience, e) != ERR_NONE) {
            sink_close(&sink);
            return e->kind;
        }
        if (k > 0) {
            sink_close(&sink);
        } else {
            *lane_0 = sink;
        }
    }
    return ERR_NONE;
}

static enum err_kind found_again(struct restore *r, struct generation *g,
                                 struct sink *sink,
                                 const struct patience *patience, struct err *e)
{
    const struct founding founding = {.identity = &r->from->identity,
                                      .command = "offsets import",
                                      .rules = r->from->rules,
                                      .positions = &r->from->positions};

    /* Both again, now that nobody else can write there. */
    if (generation_look(g, g->number, r->cfg, r->target, patience, e) !=
        ERR_NONE) {
        return e->kind;
    }
    if (g->in_use) {
        return err_set(e, ERR_RETRY,
                       "%s was restored by somebody else meanwhile; look with "
                       "`offsets show`",
                       g->offsets);
    }
    for (size_t i = 0; i < r->from->positions.count; i++) {
        restore_note_move(r, &r->from->positions.items[i].position, -1);
    }
    return restore_refuse_stale(r, patience, e) == ERR_NONE
               ? generation_found(g, &founding, sink, patience, e)
               : e->kind;
}

static enum err_kind make_anew(struct restore *r,
                               const struct patience *patience, struct err *e)
{
    struct export *from = r->from;
    struct generation g;
    struct sink *sink = NULL;
    enum err_kind rc;

    if (from->identity.lanes != r->cfg->delivery.lanes) {
        return err_set(e, ERR_STATE,
                       "the positions are of %d lanes, but delivery.lanes is "
                       "%" PRId64 ". Set delivery.lanes: %d; `offsets rescale` "
                       "changes it later",
                       (int)from->identity.lanes, r->cfg->delivery.lanes,
                       (int)from->identity.lanes);
    }
    if (generation_look(&g, from->identity.generation, r->cfg, r->target,
                        patience, e) != ERR_NONE) {
        return e->kind;
    }
    if (g.map_partitions < from->identity.lanes) {
        restore_drop_maps(r); /* they point into a log that is gone */
    }
    rc = restore_refuse_stale(r, patience, e);
    if (rc == ERR_NONE) {
        rc = generation_create(&g, from->identity.lanes, r->cfg, r->target,
                               patience, e);
    }
    if (rc == ERR_NONE) {
        rc = generation_check(&g, from->identity.lanes, r->target, patience, e);
    }
    if (rc == ERR_NONE) {
        rc = fence_all(r, &g, &sink, patience, e);
    }
    if (rc == ERR_NONE) {
        rc = found_again(r, &g, sink, patience, e);
    }
    for (size_t i = 0; rc == ERR_NONE && i < from->positions.count; i++) {
        r->outcome[i] = RESTORED_NEW;
    }
    r->made_anew = rc == ERR_NONE;
    sink_close(&sink);
    return rc;
}

/* A generation that all lanes of the one before were moved to, and that is not
 * there any more, is restored under its own number. */
static bool is_gone(const struct ledger *ledger, const struct export *from)
{
    return !ledger->at.in_use ||
           (ledger->lanes[0].is_rescaled &&
            ledger->lanes[0].rescaled.generation == from->identity.generation &&
            strcmp(ledger->at.identity.relay, from->identity.relay) == 0);
}

enum err_kind restore_run(struct restore *r, const struct patience *patience,
                          struct err *e)
{
    struct ledger ledger;
    enum err_kind rc;

    if (check_file(r, e) != ERR_NONE ||
        ledger_try(&ledger, r->cfg, r->target, patience, e) != ERR_NONE) {
        return e->kind;
    }
    r->outcome = mem_calloc(r->from->positions.count, sizeof(*r->outcome));
    r->before = mem_calloc(r->from->positions.count, sizeof(*r->before));
    for (size_t i = 0; i < r->from->positions.count; i++) {
        r->before[i] = -1;
    }
    if (is_gone(&ledger, r->from)) {
        r->generation = r->from->identity.generation;
        rc = make_anew(r, patience, e);
    } else {
        r->generation = ledger.at.number;
        rc = restore_into(r, &ledger, patience, e);
    }
    ledger_free(&ledger);
    return rc;
}
