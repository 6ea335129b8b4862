/*
 * reposition.c - see reposition.h.
 */
#include "relay/sync/reposition.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/lane/edit.h"
#include "relay/lane/names.h"
#include "relay/lane/state.h"
#include "relay/sync/ledger.h"

enum { TRIES = 3 };

struct job {
    const struct config *cfg;
    const struct move_order *order;
    struct admin *source;
    const struct patience *patience;
    struct ledger ledger;
    struct moves *moves;
};

/* ---- which, and where to ---- */

static enum err_kind match(struct job *job, struct err *e)
{
    const char *topic = job->order->topic;
    const struct rule *rule = NULL;

    switch (config_match(job->cfg, topic, job->moves->target, &rule)) {
    case TOPIC_COPIED:
        job->moves->partitioning = rule->partition;
        return ERR_NONE;
    case TOPIC_EXCLUDED:
        return err_set(e, ERR_USAGE, "the rules exclude topic %s", topic);
    case TOPIC_BAD_TARGET:
        return err_set(e, ERR_USAGE,
                       "the rule's rename gives topic %s no valid name", topic);
    default:
        return err_set(e, ERR_USAGE,
                       "no rule matches topic %s: --topic is its name on the "
                       "source",
                       topic);
    }
}

static enum err_kind choose(struct job *job, struct err *e)
{
    const struct move_order *order = job->order;
    const int32_t lanes = job->ledger.at.identity.lanes;
    struct topic_list list = {0};
    int32_t partitions;

    if (admin_topics(job->source, &list, job->patience, e) != ERR_NONE) {
        return e->kind;
    }
    partitions = topic_list_partitions(&list, order->topic);
    topic_list_free(&list);
    if (partitions == 0) {
        return err_set(e, ERR_USAGE, "%s has no topic %s",
                       job->cfg->source.name, order->topic);
    }
    if (order->partition >= partitions) {
        return err_set(e, ERR_USAGE, "%s has partitions 0 to %d on %s",
                       order->topic, (int)partitions - 1,
                       job->cfg->source.name);
    }
    job->moves->items = mem_calloc((size_t)partitions, sizeof(struct move));
    for (int32_t p = 0; p < partitions; p++) {
        if (order->partition < 0 || order->partition == p) {
            job->moves->items[job->moves->count++] = (struct move){
                .partition = p, .lane = lane_of(order->topic, p, lanes)};
        }
    }
    return ERR_NONE;
}

static enum err_kind ask(struct job *job, int64_t time_ms, size_t field,
                         struct err *e)
{
    struct moves *m = job->moves;
    struct offset_query *queries = mem_calloc(m->count, sizeof(*queries));
    enum err_kind rc;

    for (size_t i = 0; i < m->count; i++) {
        queries[i] = (struct offset_query){.topic = job->order->topic,
                                           .partition = m->items[i].partition,
                                           .time_ms = time_ms};
    }
    rc = admin_offsets(job->source, queries, m->count, job->patience, e);
    for (size_t i = 0; i < m->count && rc == ERR_NONE; i++) {
        if (queries[i].unknown) {
            rc = err_set(e, ERR_FAILED, "%s: the offsets of %s can't be read",
                         job->cfg->source.name, job->order->topic);
        }
        memcpy((char *)&m->items[i] + field, &queries[i].offset,
               sizeof(queries[i].offset));
    }
    free(queries);
    return rc;
}

static enum err_kind ask_all(struct job *job, struct err *e)
{
    const struct move_order *order = job->order;

    /* The end first: see first.c. */
    if (ask(job, OFFSETS_LATEST, offsetof(struct move, high), e) != ERR_NONE ||
        ask(job, OFFSETS_EARLIEST, offsetof(struct move, low), e) != ERR_NONE) {
        return e->kind;
    }
    return order->kind == MOVE_START && order->start.kind == START_TIME
               ? ask(job, order->start.time_ms, offsetof(struct move, timed), e)
               : ERR_NONE;
}

static int64_t start_offset(const struct start *start, const struct move *m)
{
    switch (start->kind) {
    case START_EARLIEST:
        return m->low;
    case START_LATEST:
        return m->high;
    case START_TIME:
        break;
    }
    /* No record that late: at the end. One may have aged out meanwhile. */
    if (m->timed < 0 || m->timed > m->high) {
        return m->high;
    }
    return m->timed > m->low ? m->timed : m->low;
}

static enum err_kind out_of_range(const struct job *job, const struct move *m,
                                  int64_t offset, struct err *e)
{
    return err_set(e, ERR_USAGE,
                   "%s[%d]: offset %" PRId64 " is not in the log on %s, which "
                   "goes from %" PRId64 " to %" PRId64 " (its end: what comes "
                   "next); give one of these with --to",
                   job->order->topic, (int)m->partition, offset,
                   job->cfg->source.name, m->low, m->high);
}

static enum err_kind resume(const struct job *job, struct move *m,
                            struct err *e)
{
    if (m->before < 0) {
        return err_set(e, ERR_USAGE,
                       "%s[%d] has no position to resume at; give one with "
                       "--to, or --restart",
                       job->order->topic, (int)m->partition);
    }
    m->next = m->before > m->low ? m->before : m->low;
    return m->next > m->high ? out_of_range(job, m, m->before, e) : ERR_NONE;
}

/* From the position as it stands in `state` now. */
static enum err_kind plan(const struct job *job, const struct state *state,
                          struct move *m, struct position *p, struct err *e)
{
    bool found;

    if (state_position(state, job->order->topic, m->partition, p, &found, e) !=
        ERR_NONE) {
        return e->kind;
    }
    if (!found) {
        position_init(p);
    }
    m->before = found ? p->next : -1;
    m->cleared = p->halt;
    switch (job->order->kind) {
    case MOVE_RESUME:
        return resume(job, m, e);
    case MOVE_START:
        m->next = start_offset(&job->order->start, m);
        return ERR_NONE;
    case MOVE_OFFSET:
        m->next = job->order->offset;
        break;
    }
    return m->next < m->low || m->next > m->high
               ? out_of_range(job, m, m->next, e)
               : ERR_NONE;
}

static enum err_kind plan_all(struct job *job, struct err *e)
{
    struct position p;

    for (size_t i = 0; i < job->moves->count; i++) {
        struct move *m = &job->moves->items[i];
        enum err_kind rc = plan(job, &job->ledger.lanes[m->lane], m, &p, e);

        position_free(&p);
        if (rc != ERR_NONE) {
            return rc;
        }
    }
    return ERR_NONE;
}

/* ---- doing it ---- */

static void change(const struct job *job, const struct move *m,
                   struct position *p)
{
    const int64_t now = clock_wall_ms();

    if (m->before >= 0) {
        position_new_epoch(p);
    }
    if (m->before >= 0 && m->next > m->before) {
        position_add_lost(p, m->before, m->next - 1, "moved", now);
    }
    p->next = m->next;
    p->halt = (struct halt){0};
    p->moved = (struct moved){.from = m->before, .time_ms = now};
    snprintf(p->moved.reason, sizeof(p->moved.reason), "%s",
             job->order->reason);
    snprintf(p->target_topic, sizeof(p->target_topic), "%s",
             job->moves->target);
    p->partitioning = job->moves->partitioning;
    p->filters = 0;
}

/* Plans the moves of one lane, or with `put` puts them. */
static enum err_kind do_lane(struct job *job, struct edit *edit, int32_t lane,
                             bool put, struct err *e)
{
    for (size_t i = 0; i < job->moves->count; i++) {
        struct move *m = &job->moves->items[i];
        struct position p;
        enum err_kind rc;

        if (m->lane != lane) {
            continue;
        }
        rc = plan(job, edit_state(edit), m, &p, e);
        if (rc == ERR_NONE && put) {
            change(job, m, &p);
            rc =
                edit_put_position(edit, job->order->topic, m->partition, &p, e);
        }
        position_free(&p);
        if (rc != ERR_NONE) {
            return rc;
        }
    }
    return ERR_NONE;
}

/* The lane was running: what could be moved a moment ago may not be any more.
 * Then it is given back as it is. */
static enum err_kind change_lane(struct job *job, struct edit *edit,
                                 int32_t lane, struct err *e)
{
    struct err ignored = {0};

    if (do_lane(job, edit, lane, false, e) != ERR_NONE) {
        return edit_commit(edit, EDIT_RELEASE, &ignored) == ERR_NONE
                   ? e->kind
                   : err_prefix(e, "and the lane was not given back (%s)",
                                ignored.text);
    }
    return do_lane(job, edit, lane, true, e) == ERR_NONE
               ? edit_commit(edit, EDIT_RELEASE, e)
               : e->kind;
}

static void note_done(struct job *job, int32_t lane)
{
    for (size_t i = 0; i < job->moves->count; i++) {
        job->moves->items[i].done |= job->moves->items[i].lane == lane;
    }
}

static enum err_kind edit_once(struct job *job, int32_t lane, struct err *e)
{
    const struct edit_settings settings = {.cfg = job->cfg,
                                           .identity = &job->ledger.at.identity,
                                           .command = "offsets set",
                                           .lane = lane};
    struct edit *edit = NULL;
    enum err_kind rc = edit_open(&edit, &settings, e);

    if (rc == ERR_NONE) {
        rc = change_lane(job, edit, lane, e);
    }
    if (rc == ERR_NONE) {
        note_done(job, lane);
    }
    edit_close(&edit);
    return rc;
}

/* An owner that takes the lane back at the same moment fences us: again. */
static enum err_kind edit_lane(struct job *job, int32_t lane, struct err *e)
{
    enum err_kind rc = ERR_FENCED;

    for (int tries = 0; rc == ERR_FENCED && tries < TRIES; tries++) {
        rc = edit_once(job, lane, e);
    }
    return rc == ERR_FENCED
               ? err_prefix(e, "somebody takes this lane again and again")
               : rc;
}

static enum err_kind edit_lanes(struct job *job, struct err *e)
{
    for (int32_t k = 0; k < job->ledger.lane_count; k++) {
        bool concerned = false;

        for (size_t i = 0; i < job->moves->count; i++) {
            concerned |= job->moves->items[i].lane == k;
        }
        if (concerned && edit_lane(job, k, e) != ERR_NONE) {
            return e->kind;
        }
    }
    return ERR_NONE;
}

enum err_kind reposition(struct moves *out, const struct move_order *order,
                         const struct move_where *where,
                         const struct patience *patience, struct err *e)
{
    const struct config *cfg = where->cfg;
    struct job job = {.cfg = cfg,
                      .order = order,
                      .source = where->source,
                      .patience = patience,
                      .moves = out};
    enum err_kind rc;

    *out = (struct moves){0};
    e->kind = ERR_NONE;
    if (match(&job, e) != ERR_NONE ||
        ledger_read(&job.ledger, cfg, where->target, patience, e) != ERR_NONE) {
        return e->kind;
    }
    rc = ledger_check(&job.ledger, where->source_id,
                      (int32_t)cfg->delivery.lanes, false, e);
    if (rc == ERR_NONE) {
        rc = choose(&job, e);
    }
    if (rc == ERR_NONE) {
        rc = ask_all(&job, e);
    }
    if (rc == ERR_NONE) {
        rc = plan_all(&job, e);
    }
    if (rc == ERR_NONE && !order->dry_run) {
        rc = edit_lanes(&job, e);
    }
    ledger_free(&job.ledger);
    return rc;
}

void moves_free(struct moves *moves)
{
    free(moves->items);
    *moves = (struct moves){0};
}
