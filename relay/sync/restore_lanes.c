/*
 * restore_lanes.c - `offsets import` into lanes that are there: each position
 * is compared with what stands, and written in a lane taken for it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/lane/edit.h"
#include "relay/lane/names.h"
#include "relay/sync/restore_internal.h"

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
    e->kind = ERR_NONE;
    if (*outcome == RESTORED_REPLACED && !r->force) {
        err_set(e, ERR_STATE,
                "%s[%d] has another position: offset %" PRId64
                " (epoch %" PRId64 "), and %" PRId64 " (epoch %" PRId64
                ") would replace it; --force does",
                entry->topic, (int)entry->partition, stands->next,
                stands->epoch, entry->position.next, entry->position.epoch);
        position_free(stands);
    }
    return e->kind;
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
 * so that a position that is too old is found out. What is known to be lost is
 * what stands, not what the file knew when it was made. */
static void replace(struct position *p, const struct position *stands)
{
    memcpy(p->lost, stands->lost, sizeof(p->lost));
    p->lost_count = stands->lost_count;
    if (p->next > stands->next) {
        position_add_lost(p, stands->next, p->next - 1, "moved",
                          clock_wall_ms());
    } else {
        position_cut_lost(p, p->next);
    }
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
        restore_note_move(r, &entry->position, r->before[i]);
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

enum err_kind restore_into(struct restore *r, const struct ledger *ledger,
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
        restore_drop_maps(r);
    }
    if (rc == ERR_NONE) {
        rc = judge_all(r, ledger, concerned, e);
    }
    if (rc == ERR_NONE) {
        rc = restore_refuse_stale(r, patience, e);
    }
    for (int32_t k = 0; k < id->lanes && rc == ERR_NONE; k++) {
        if (concerned[k]) {
            rc = edit_lane(r, ledger, k, e);
        }
    }
    free(concerned);
    return rc;
}
