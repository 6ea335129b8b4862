/*
 * restore.c - see restore.h.
 */
#include "relay/sync/restore.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/lane/edit.h"
#include "relay/lane/names.h"
#include "relay/sync/beyond.h"
#include "relay/sync/generation.h"
#include "relay/sync/ledger.h"

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

/* Going on from positions that are older than the copies doubles records. */
static enum err_kind refuse_stale(const struct restore *r,
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

static void note_move(const struct restore *r, struct position *p,
                      int64_t before)
{
    p->moved = (struct moved){.from = before, .time_ms = clock_wall_ms()};
    snprintf(p->moved.reason, sizeof(p->moved.reason), "%s", r->reason);
}

static void drop_maps(struct restore *r)
{
    for (size_t i = 0; i < r->from->positions.count; i++) {
        r->from->positions.items[i].position.map_count = 0;
    }
}

/* ---- the topics are gone ---- */

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
        note_move(r, &r->from->positions.items[i].position, -1);
    }
    return refuse_stale(r, patience, e) == ERR_NONE
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
        drop_maps(r); /* they point into a log that is gone */
    }
    rc = refuse_stale(r, patience, e);
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

/* ---- the topics are there ---- */

static enum restored compare(const struct position *stands, bool found,
                             const struct position *p)
{
    if (!found) {
        return RESTORED_NEW;
    }
    return stands->next == p->next && stands->epoch == p->epoch &&
                   strcmp(stands->target_topic, p->target_topic) == 0
               ? RESTORED_SAME
               : RESTORED_REPLACED;
}

/* What importing entry i into `lane` comes to. ERR_STATE: another one stands
 * there, and force is not given. */
static enum err_kind judge(struct restore *r, const struct state *lane,
                           size_t i, enum restored *outcome,
                           struct position *stands, struct err *e)
{
    const struct entry *entry = &r->from->positions.items[i];
    bool found;

    if (state_position(lane, entry->topic, entry->partition, stands, &found,
                       e) != ERR_NONE) {
        return e->kind;
    }
    if (!found) {
        position_init(stands);
    }
    *outcome = compare(stands, found, &entry->position);
    r->before[i] = found ? stands->next : -1;
    if (*outcome == RESTORED_REPLACED && !r->force) {
        return err_set(e, ERR_STATE,
                       "%s[%d] has another position: offset %" PRId64
                       " (epoch %" PRId64 "), and %" PRId64 " (epoch %" PRId64
                       ") would replace it; --force does",
                       entry->topic, (int)entry->partition, stands->next,
                       stands->epoch, entry->position.next,
                       entry->position.epoch);
    }
    return ERR_NONE;
}

static int32_t lane_at(const struct restore *r, const struct ledger *ledger,
                       size_t i)
{
    const struct entry *entry = &r->from->positions.items[i];

    return lane_of(entry->topic, entry->partition, ledger->at.identity.lanes);
}

static enum err_kind judge_all(struct restore *r, const struct ledger *ledger,
                               bool *concerned, struct err *e)
{
    for (size_t i = 0; i < r->from->positions.count; i++) {
        const int32_t k = lane_at(r, ledger, i);
        struct position stands;
        enum restored outcome;

        if (judge(r, &ledger->lanes[k], i, &outcome, &stands, e) != ERR_NONE) {
            return e->kind;
        }
        position_free(&stands);
        concerned[k] |= outcome != RESTORED_SAME;
        if (outcome == RESTORED_SAME) {
            r->outcome[i] = outcome;
        }
    }
    return ERR_NONE;
}

/* Another place in the log: offsets are not translated across. The marks stay,
 * so that a position that is too old is found out. */
static void replace(struct position *p, const struct position *stands)
{
    segments_free(&p->tail);
    p->map_count = 0;
    p->epoch = (p->epoch > stands->epoch ? p->epoch : stands->epoch) + 1;
}

static enum err_kind put_one(struct restore *r, struct edit *edit, size_t i,
                             bool put, struct err *e)
{
    struct entry *entry = &r->from->positions.items[i];
    struct position stands;
    enum restored outcome;
    enum err_kind rc = judge(r, edit_state(edit), i, &outcome, &stands, e);

    if (rc != ERR_NONE) {
        return rc;
    }
    if (put && outcome != RESTORED_SAME) {
        if (outcome == RESTORED_REPLACED) {
            replace(&entry->position, &stands);
        }
        note_move(r, &entry->position, r->before[i]);
        rc = edit_put_position(edit, entry->topic, entry->partition,
                               &entry->position, e);
    }
    if (put) {
        r->outcome[i] = outcome;
    }
    position_free(&stands);
    return rc;
}

static enum err_kind do_lane(struct restore *r, const struct ledger *ledger,
                             struct edit *edit, int32_t k, bool put,
                             struct err *e)
{
    for (size_t i = 0; i < r->from->positions.count; i++) {
        if (lane_at(r, ledger, i) == k &&
            put_one(r, edit, i, put, e) != ERR_NONE) {
            return e->kind;
        }
    }
    return ERR_NONE;
}

static void not_written(struct restore *r, const struct ledger *ledger,
                        int32_t k)
{
    for (size_t i = 0; i < r->from->positions.count; i++) {
        if (lane_at(r, ledger, i) == k) {
            r->outcome[i] = RESTORED_NOT;
        }
    }
}

static enum err_kind edit_lane(struct restore *r, const struct ledger *ledger,
                               int32_t k, struct err *e)
{
    const struct edit_settings settings = {.cfg = r->cfg,
                                           .identity = &ledger->at.identity,
                                           .command = "offsets import",
                                           .lane = k};
    struct edit *edit = NULL;
    struct err ignored = {0};
    enum err_kind rc = edit_open(&edit, &settings, e);

    if (rc != ERR_NONE) {
        return rc;
    }
    rc = do_lane(r, ledger, edit, k, false, e);
    if (rc != ERR_NONE) {
        /* It has moved on since it was judged: given back as it is. */
        ignored.kind = edit_commit(edit, EDIT_RELEASE, &ignored);
    } else {
        rc = do_lane(r, ledger, edit, k, true, e);
        if (rc == ERR_NONE) {
            rc = edit_commit(edit, EDIT_RELEASE, e);
        }
        if (rc != ERR_NONE) {
            not_written(r, ledger, k);
        }
    }
    edit_close(&edit);
    return rc;
}

static enum err_kind write_into(struct restore *r, const struct ledger *ledger,
                                const struct patience *patience, struct err *e)
{
    const struct identity *id = &ledger->at.identity;
    bool *concerned = mem_calloc((size_t)id->lanes, sizeof(*concerned));
    enum err_kind rc = ledger_check(ledger, r->source_id,
                                    (int32_t)r->cfg->delivery.lanes, false, e);

    if (rc == ERR_NONE && strcmp(id->relay, r->from->identity.relay) != 0) {
        rc = err_set(e, ERR_STATE,
                     "the positions are of relay %s, but %s holds those of %s: "
                     "two relays use the same name. Rename one of them",
                     r->from->identity.relay, ledger->at.offsets, id->relay);
    }
    if (r->from->identity.generation != ledger->at.number ||
        r->from->identity.lanes != id->lanes ||
        ledger->at.map_partitions == 0) {
        drop_maps(r);
    }
    if (rc == ERR_NONE) {
        rc = judge_all(r, ledger, concerned, e);
    }
    if (rc == ERR_NONE) {
        rc = refuse_stale(r, patience, e);
    }
    for (int32_t k = 0; k < id->lanes && rc == ERR_NONE; k++) {
        if (concerned[k]) {
            rc = edit_lane(r, ledger, k, e);
        }
    }
    free(concerned);
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
        rc = write_into(r, &ledger, patience, e);
    }
    ledger_free(&ledger);
    return rc;
}
