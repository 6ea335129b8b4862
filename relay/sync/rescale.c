/*
 * rescale.c - see rescale.h.
 */
#include "relay/sync/rescale.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/lane/edit.h"
#include "relay/lane/names.h"
#include "relay/sync/beyond.h"
#include "relay/sync/ledger.h"
#include "relay/sync/remap.h"

enum {
    STEP_MS = 60000,
    FOUND_MS = 25000, /* below transaction.timeout.ms */
    APPEAR_MS = 10000,
    TRIES = 3,
};

/* One attempt. */
struct attempt {
    struct rescale *r;
    struct generation from;
    struct rescaled to;
    struct edit *lane_0; /* stays taken: the lock of the whole, and the one
                          * whose producer writes all of it */
    struct entries positions;
    struct remap map;
    char rules[16];
};

static enum err_kind open_lane(struct attempt *a, int32_t k, struct edit **out,
                               struct err *e)
{
    const struct edit_settings settings = {.cfg = a->r->cfg,
                                           .identity = &a->from.identity,
                                           .command = "offsets rescale",
                                           .lane = k,
                                           .rescaled_too = true};

    return edit_open(out, &settings, e);
}

static enum err_kind put_marker(struct attempt *a, int32_t k, bool moved,
                                struct err *e)
{
    struct buf value = {0};
    char key[32];
    enum err_kind rc;

    snprintf(key, sizeof(key), "{\"moved\":%d}", (int)k);
    rescaled_encode(&value, &a->to);
    rc = sink_put(edit_sink(a->lane_0), a->from.offsets, k, key,
                  moved ? value.data : NULL, moved ? value.len : 0, NULL, e);
    buf_free(&value);
    return rc;
}

/* The next generation in use would mean that somebody else was faster. */
static enum err_kind look_at_next(struct attempt *a, struct generation *next,
                                  struct err *e)
{
    const struct patience patience = patience_of(STEP_MS, NULL, 0);

    return generation_look(next, a->to.generation, a->r->cfg, a->r->target,
                           &patience, e);
}

/* All lanes were marked before: that rescale may have ended, and its generation
 * been used and lost. Then the old positions are stale. They stand still. */
static enum err_kind refuse_stale(struct rescale *r,
                                  const struct ledger *ledger, struct err *e)
{
    const struct patience patience = patience_of(STEP_MS, NULL, 0);
    const struct entry *old;
    int64_t offset = -1;

    if (r->force) {
        return ERR_NONE;
    }
    if (beyond_find(&old, &offset, &ledger->positions, r->cfg, r->target,
                    &patience, e) != ERR_NONE) {
        return e->kind;
    }
    if (old == NULL) {
        return ERR_NONE;
    }
    return err_set(e, ERR_STATE,
                   "%s[%d] holds a record at offset %" PRId64 " that the "
                   "positions of generation %d do not know: generation %d was "
                   "used, and is gone. Restore it: kafka-relay offsets CONFIG "
                   "import FILE --reason TEXT. If somebody else writes to that "
                   "topic: --force",
                   old->position.target_topic, (int)old->partition, offset,
                   ledger->at.number, ledger->at.number + 1);
}

/* ---- phase 1 ---- */

static enum err_kind check_lane(struct attempt *a, const struct state *lane,
                                struct err *e)
{
    const char *rules = lane->before.rules;

    if (lane->lane == 0) {
        snprintf(a->rules, sizeof(a->rules), "%s", rules);
    } else if (strcmp(rules, a->rules) != 0) {
        return err_set(e, ERR_STATE,
                       "lanes 0 and %d have begun different rules. Undo the "
                       "rescale (--lanes %d), run the relay until all lanes "
                       "run, and try again",
                       (int)lane->lane, (int)a->from.identity.lanes);
    }
    for (size_t i = 0; i < a->positions.count; i++) {
        struct entry *entry = &a->positions.items[i];

        if (entry->raw == NULL) {
            continue; /* of a lane before */
        }
        entry->raw = NULL;
        if (lane_of(entry->topic, entry->partition, a->from.identity.lanes) !=
            lane->lane) {
            return err_set(e, ERR_STATE,
                           "lane %d holds a position of %s[%d], which belongs "
                           "to another lane: kafka-relay has not written that",
                           (int)lane->lane, entry->topic,
                           (int)entry->partition);
        }
    }
    return ERR_NONE;
}

static bool is_marked(const struct attempt *a, const struct state *lane)
{
    return lane->is_rescaled && lane->rescaled.lanes == a->to.lanes &&
           lane->rescaled.generation == a->to.generation;
}

/* First the mark, then the lane is taken: who took it before is fenced by that,
 * and what he committed is read; who takes it after that reads the mark. */
static enum err_kind stop_lane(struct attempt *a, int32_t k, struct err *e)
{
    struct edit *edit = NULL;
    enum err_kind rc = ERR_NONE;

    if (put_marker(a, k, true, e) != ERR_NONE ||
        edit_commit(a->lane_0, EDIT_KEEP, e) != ERR_NONE) {
        return e->kind;
    }
    a->r->begun = true;
    if (k > 0 && open_lane(a, k, &edit, e) != ERR_NONE) {
        return e->kind;
    }
    const struct state *lane = edit_state(k > 0 ? edit : a->lane_0);
    if (k > 0) {
        rc = edit_commit(edit, EDIT_RELEASE, e);
    }
    if (rc == ERR_NONE && k > 0 && !is_marked(a, lane)) {
        rc = err_set(e, ERR_FENCED, "lane %d is not marked any more", (int)k);
    }
    if (rc == ERR_NONE) {
        rc = entries_add_state(&a->positions, lane, e);
    }
    if (rc == ERR_NONE) {
        rc = check_lane(a, lane, e);
    }
    edit_close(&edit);
    return rc;
}

static enum err_kind stop_all(struct attempt *a, struct err *e)
{
    for (int32_t k = 0; k < a->from.identity.lanes; k++) {
        if (stop_lane(a, k, e) != ERR_NONE) {
            return e->kind;
        }
    }
    entries_sort(&a->positions);
    log_write(LOG_INFO, NULL, "all %d lanes of generation %d stand still",
              (int)a->from.identity.lanes, a->from.number);
    return ERR_NONE;
}

/* ---- phase 2 ---- */

/* One that was begun for fewer lanes is grown; more partitions do no harm. */
static enum err_kind make_topics(struct attempt *a, struct generation *next,
                                 struct err *e)
{
    const struct patience patience = patience_of(STEP_MS, NULL, 0);
    const struct topic_wish wishes[] = {{next->offsets, a->to.lanes, -1, NULL},
                                        {next->map, a->to.lanes, -1, NULL}};
    const int32_t have[] = {next->offsets_partitions, next->map_partitions};

    for (size_t i = 0; i < 2; i++) {
        if (have[i] > 0 && have[i] < a->to.lanes &&
            admin_grow(a->r->target, &wishes[i], 1, &patience, e) != ERR_NONE) {
            return e->kind;
        }
    }
    if (generation_create(next, a->to.lanes, a->r->cfg, a->r->target, &patience,
                          e) != ERR_NONE) {
        return e->kind;
    }
    return generation_check(next, a->to.lanes, a->r->target, &patience, e);
}

static enum err_kind carry_over(struct attempt *a, struct generation *next,
                                struct err *e)
{
    struct identity identity = a->from.identity;
    const struct founding founding = {.identity = &identity,
                                      .command = "offsets rescale",
                                      .rules = a->rules,
                                      .positions = &a->positions};
    enum err_kind rc;

    identity.generation = a->to.generation;
    identity.lanes = a->to.lanes;
    if (make_topics(a, next, e) != ERR_NONE) {
        return e->kind;
    }
    a->map = (struct remap){.cfg = a->r->cfg,
                            .from = &a->from,
                            .to = next,
                            .lanes = a->to.lanes,
                            .sink = edit_sink(a->lane_0)};
    rc = remap(&a->map, &a->positions, e);
    a->r->chunks = a->map.chunks;
    if (rc == ERR_NONE) {
        const struct patience patience = patience_of(FOUND_MS, NULL, 0);
        rc = generation_found(next, &founding, edit_sink(a->lane_0), &patience,
                              e);
    }
    a->r->positions = a->positions.count;
    return rc;
}

static enum err_kind move_on(struct attempt *a, struct err *e)
{
    const struct state *lane_0 = edit_state(a->lane_0);
    struct generation next;

    if (look_at_next(a, &next, e) != ERR_NONE) {
        return e->kind;
    }
    if (next.in_use || (lane_0->is_rescaled && !is_marked(a, lane_0))) {
        return err_set(e, ERR_RETRY, "somebody else has rescaled meanwhile");
    }
    if (stop_all(a, e) != ERR_NONE || carry_over(a, &next, e) != ERR_NONE) {
        return e->kind;
    }
    a->r->result = RESCALE_DONE;
    return ERR_NONE;
}

/* ---- back ---- */

static int32_t marked(const struct ledger *ledger)
{
    int32_t count = 0;

    for (int32_t k = 0; k < ledger->lane_count; k++) {
        count += ledger->lanes[k].is_rescaled;
    }
    return count;
}

/* A commit is answered before all partitions show it; a process that starts now
 * would still see a mark. */
static void wait_unmarked(const struct rescale *r)
{
    const struct timespec nap = {.tv_nsec = 50 * 1000000L};
    const struct patience patience = patience_of(APPEAR_MS, NULL, 0);
    bool seen = false;

    while (!seen && patience_left(&patience, 1) > 0) {
        struct ledger ledger = {0};
        struct err e = {0};

        seen = ledger_read(&ledger, r->cfg, r->target, &patience, &e) ==
                   ERR_NONE &&
               marked(&ledger) == 0;
        ledger_free(&ledger);
        if (!seen) {
            nanosleep(&nap, NULL);
        }
    }
}

/* All marks in one transaction. */
static enum err_kind take_back(struct attempt *a, struct err *e)
{
    struct generation next;

    if (look_at_next(a, &next, e) != ERR_NONE) {
        return e->kind;
    }
    if (next.in_use) {
        return err_set(e, ERR_RETRY, "the rescale has ended meanwhile");
    }
    for (int32_t k = 0; k < a->from.identity.lanes; k++) {
        if (put_marker(a, k, false, e) != ERR_NONE) {
            return e->kind;
        }
    }
    if (edit_commit(a->lane_0, EDIT_RELEASE, e) != ERR_NONE) {
        return e->kind;
    }
    wait_unmarked(a->r);
    a->r->result = RESCALE_UNDONE;
    return ERR_NONE;
}

/* ---- what is to be done ---- */

/* An attempt that others were faster than goes on only where it has begun. */
static enum err_kind check_again(const struct rescale *r,
                                 const struct ledger *ledger, struct err *e)
{
    const int32_t lanes = ledger->at.identity.lanes;

    if (ledger->at.number != r->before.generation && lanes != r->lanes) {
        return err_set(e, ERR_STATE,
                       "somebody else has rescaled meanwhile: generation %d, "
                       "%d lanes",
                       ledger->at.number, (int)lanes);
    }
    if (ledger->at.number == r->before.generation && r->begun &&
        marked(ledger) == 0) {
        return err_set(e, ERR_STATE,
                       "somebody else has taken this rescale back meanwhile");
    }
    return ERR_NONE;
}

static enum err_kind check(struct attempt *a, const struct ledger *ledger,
                           struct err *e)
{
    for (int32_t k = 0; k < ledger->lane_count; k++) {
        const struct state *lane = &ledger->lanes[k];

        if (lane->is_rescaled && lane->rescaled.lanes != a->r->lanes &&
            a->r->lanes != ledger->at.identity.lanes) {
            return err_set(e, ERR_STATE,
                           "a rescale to %d lanes did not end. Finish it "
                           "(--lanes %d) or undo it (--lanes %d) first",
                           (int)lane->rescaled.lanes, (int)lane->rescaled.lanes,
                           (int)ledger->at.identity.lanes);
        }
    }
    if (a->r->lanes != ledger->at.identity.lanes && !a->r->resumed &&
        ledger_rules(ledger) == NULL) {
        return err_set(e, ERR_STATE,
                       "not all lanes have begun the same rules: a topic that "
                       "is new in them could start at the wrong place. Run "
                       "the relay until all lanes run, then rescale");
    }
    if (a->r->lanes != ledger->at.identity.lanes &&
        a->to.generation > GENERATION_MAX) {
        return err_set(e, ERR_STATE, "there is no generation after %d",
                       ledger->at.number);
    }
    return marked(ledger) == ledger->lane_count ? refuse_stale(a->r, ledger, e)
                                                : ERR_NONE;
}

/* From what is there now to what is to be done, before anybody is fenced. */
static enum err_kind plan(struct attempt *a, struct err *e)
{
    const struct patience patience = patience_of(STEP_MS, NULL, 0);
    struct rescale *r = a->r;
    struct ledger ledger;
    enum err_kind rc;

    if (ledger_read(&ledger, r->cfg, r->target, &patience, e) != ERR_NONE) {
        return e->kind;
    }
    a->from = ledger.at;
    a->to = (struct rescaled){ledger.at.number + 1, r->lanes};
    r->resumed |= marked(&ledger) > 0;
    r->positions = ledger.positions.count;
    rc = ledger_check(&ledger, r->source_id, ledger.at.identity.lanes, true, e);
    if (rc == ERR_NONE && r->tried) {
        rc = check_again(r, &ledger, e);
    }
    r->tried = true;
    r->before =
        (struct generation_size){ledger.at.number, ledger.at.identity.lanes};
    r->after = (struct generation_size){a->to.generation, r->lanes};
    if (rc == ERR_NONE) {
        rc = check(a, &ledger, e);
    }
    r->result = r->lanes == ledger.at.identity.lanes && marked(&ledger) == 0
                    ? RESCALE_NOTHING
                    : RESCALE_PLANNED;
    ledger_free(&ledger);
    return rc;
}

static enum err_kind try_once(struct rescale *r, struct err *e)
{
    struct attempt a = {.r = r};
    enum err_kind rc = plan(&a, e);

    if (rc == ERR_NONE && r->result == RESCALE_PLANNED && !r->dry_run) {
        rc = open_lane(&a, 0, &a.lane_0, e);
        if (rc == ERR_NONE) {
            rc = r->lanes == a.from.identity.lanes ? take_back(&a, e)
                                                   : move_on(&a, e);
        }
    }
    edit_close(&a.lane_0);
    remap_free(&a.map);
    entries_free(&a.positions);
    return rc;
}

enum err_kind rescale_run(struct rescale *r, struct err *e)
{
    enum err_kind rc = ERR_RETRY;

    /* Fenced: by an owner that took its lane back just before it was marked, or
     * by another rescale, which the next attempt finds. */
    for (int tries = 0; (rc == ERR_RETRY || rc == ERR_FENCED) && tries < TRIES;
         tries++) {
        if (tries > 0) {
            log_write(LOG_WARN, NULL, "%s; trying again", e->text);
        }
        e->kind = ERR_NONE;
        rc = try_once(r, e);
    }
    if (rc == ERR_FENCED) {
        err_prefix(e, "another command or process has taken a lane meanwhile; "
                      "run this again");
    }
    return rc;
}
