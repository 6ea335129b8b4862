/*
 * reposition.c - see reposition.h.
 */
#include "relay/sync/reposition.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/io/reader.h"
#include "relay/lane/edit.h"
#include "relay/lane/names.h"
#include "relay/lane/state.h"
#include "relay/sync/ledger.h"

enum { TRIES = 3, LOOK_MS = 5000 };

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

enum { ALL_LANES = -1 };

static bool is_of(const struct move *m, int32_t lane)
{
    return lane == ALL_LANES || m->lane == lane;
}

static enum err_kind ask(struct job *job, int32_t lane, int64_t time_ms,
                         size_t field, struct err *e)
{
    struct moves *m = job->moves;
    struct offset_query *queries = mem_calloc(m->count, sizeof(*queries));
    size_t n = 0;
    enum err_kind rc;

    for (size_t i = 0; i < m->count; i++) {
        if (is_of(&m->items[i], lane)) {
            queries[n++] =
                (struct offset_query){.topic = job->order->topic,
                                      .partition = m->items[i].partition,
                                      .time_ms = time_ms};
        }
    }
    rc = admin_offsets(job->source, queries, n, job->patience, e);
    n = 0;
    for (size_t i = 0; i < m->count && rc == ERR_NONE; i++) {
        if (!is_of(&m->items[i], lane)) {
            continue;
        }
        if (queries[n].unknown) {
            rc = err_set(e, ERR_FAILED, "%s: the offsets of %s can't be read",
                         job->cfg->source.name, job->order->topic);
        }
        memcpy((char *)&m->items[i] + field, &queries[n].offset,
               sizeof(queries[n].offset));
        n++;
    }
    free(queries);
    return rc;
}

/* Positions must be older than what this gives: a lane that runs moves on. */
static enum err_kind ask_all(struct job *job, int32_t lane, struct err *e)
{
    const struct move_order *order = job->order;

    /* The end first: see first.c. */
    if (ask(job, lane, OFFSETS_LATEST, offsetof(struct move, high), e) !=
            ERR_NONE ||
        ask(job, lane, OFFSETS_EARLIEST, offsetof(struct move, low), e) !=
            ERR_NONE) {
        return e->kind;
    }
    return order->kind == MOVE_START && order->start.kind == START_TIME
               ? ask(job, lane, order->start.time_ms,
                     offsetof(struct move, timed), e)
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

static bool other_source_log(const struct move *m)
{
    return strcmp(m->cleared.reason, HALT_SOURCE_LOG) == 0;
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
    if (other_source_log(m)) {
        return err_set(e, ERR_USAGE,
                       "%s[%d] is halted since its log on %s is another one "
                       "now: there is no place in it to resume at; give one "
                       "with --to, or --restart",
                       job->order->topic, (int)m->partition,
                       job->cfg->source.name);
    }
    m->next = m->before > m->low ? m->before : m->low;
    return m->next > m->high ? out_of_range(job, m, m->before, e) : ERR_NONE;
}

/* Its copies stand in a topic that is no more, or in another one. */
static bool other_target(const struct job *job, const struct move *m,
                         const struct position *p)
{
    return strcmp(m->cleared.reason, HALT_TARGET_LOG) == 0 ||
           strcmp(p->target_topic, job->moves->target) != 0;
}

/* Nothing keeps the lane from going on where it stands. */
static bool is_healthy(const struct job *job, const struct move *m,
                       const struct position *p)
{
    return m->before >= m->low && m->before <= m->high &&
           p->halt.reason[0] == '\0' && !other_target(job, m, p) &&
           p->partitioning == job->moves->partitioning;
}

/* A time may lie before what is copied: it does not say that this is wanted
 * twice. */
static void plan_start(const struct job *job, struct move *m,
                       const struct position *p)
{
    m->next = start_offset(&job->order->start, m);
    if (job->order->start.kind == START_TIME && !job->order->again &&
        m->next < m->before && m->before <= m->high && !other_source_log(m) &&
        !other_target(job, m, p)) {
        m->next = m->before;
        m->kept = is_healthy(job, m, p);
    }
}

static enum err_kind plan_place(const struct job *job, struct move *m,
                                const struct position *p, struct err *e)
{
    switch (job->order->kind) {
    case MOVE_RESUME:
        m->kept = job->order->partition < 0 && is_healthy(job, m, p);
        return resume(job, m, e);
    case MOVE_START:
        plan_start(job, m, p);
        return ERR_NONE;
    case MOVE_OFFSET:
        m->next = job->order->offset;
        break;
    }
    return m->next < m->low || m->next > m->high
               ? out_of_range(job, m, m->next, e)
               : ERR_NONE;
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
    m->kept = false;
    if (plan_place(job, m, p, e) != ERR_NONE) {
        return e->kind;
    }
    m->again =
        m->next < m->before && !other_source_log(m) && !other_target(job, m, p);
    /* Of another log nothing was read. */
    m->unread = other_source_log(m) ? m->low : m->before;
    return ERR_NONE;
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

/* The record before each new place: should the topic be made anew before the
 * next record is read, that tells. Where it can't be read, older marks must do.
 */
static void look_behind(struct job *job, int32_t lane)
{
    const struct patience patience = patience_of(LOOK_MS, NULL, 0);
    struct moves *all = job->moves;
    struct lookup *lookups = mem_calloc(all->count, sizeof(*lookups));
    struct reader *reader = NULL;
    struct err ignored = {0};
    size_t n = 0;

    for (size_t i = 0; i < all->count; i++) {
        struct move *m = &all->items[i];

        m->behind = MARK_NONE;
        if (is_of(m, lane) && !m->kept && m->next > m->low) {
            lookups[n++] = (struct lookup){.topic = job->order->topic,
                                           .partition = m->partition,
                                           .offset = m->next - 1};
        }
    }
    if (n > 0 &&
        reader_open(&reader, &job->cfg->source, READ_COMMITTED, &ignored) ==
            ERR_NONE &&
        reader_look_up(reader, lookups, n, &patience, &ignored) == ERR_NONE) {
        for (size_t i = 0, k = 0; i < all->count && k < n; i++) {
            struct move *m = &all->items[i];

            if (m->partition == lookups[k].partition) {
                m->behind =
                    lookups[k].missing || lookups[k].found.offset != m->next - 1
                        ? MARK_NONE
                        : lookups[k].found;
                k++;
            }
        }
    }
    reader_close(&reader);
    free(lookups);
}

static void keep_mark(struct mark *to, const struct mark *from,
                      const struct move *m)
{
    if (from->offset >= m->low && from->offset < m->next) {
        *to = *from;
    }
}

/* A new epoch forgets the marks; those of a log that is the same one are what
 * tells when it is not any more, and which copies the target has. */
static void begin_epoch(const struct job *job, const struct move *m,
                        struct position *p)
{
    const struct mark anchor = p->anchor, checked = p->checked,
                      target = p->target_anchor;

    position_new_epoch(p);
    if (m->behind.offset >= 0) {
        p->anchor = p->checked = m->behind;
    } else if (!other_source_log(m)) {
        keep_mark(&p->anchor, &anchor, m);
        keep_mark(&p->checked, &checked, m);
    }
    if (!other_target(job, m, p)) {
        p->target_anchor = target;
    }
}

static void change(const struct job *job, const struct move *m,
                   struct position *p)
{
    const int64_t now = clock_wall_ms();

    begin_epoch(job, m, p);
    if (m->before >= 0 && m->next > m->unread) {
        position_add_lost(p, m->unread, m->next - 1, "moved", now);
    } else if (!other_source_log(m)) {
        position_cut_lost(p, m->next);
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
        if (rc == ERR_NONE && put && !m->kept) {
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

    if (ask_all(job, lane, e) != ERR_NONE ||
        do_lane(job, edit, lane, false, e) != ERR_NONE) {
        return edit_commit(edit, EDIT_RELEASE, &ignored) == ERR_NONE
                   ? e->kind
                   : err_prefix(e, "and the lane was not given back (%s)",
                                ignored.text);
    }
    look_behind(job, lane);
    return do_lane(job, edit, lane, true, e) == ERR_NONE
               ? edit_commit(edit, EDIT_RELEASE, e)
               : e->kind;
}

static void note_done(struct job *job, int32_t lane)
{
    for (size_t i = 0; i < job->moves->count; i++) {
        struct move *m = &job->moves->items[i];

        m->done |= m->lane == lane && !m->kept;
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

static bool is_concerned(const struct moves *moves, int32_t lane)
{
    for (size_t i = 0; i < moves->count; i++) {
        if (moves->items[i].lane == lane && !moves->items[i].kept) {
            return true;
        }
    }
    return false;
}

static enum err_kind edit_lanes(struct job *job, struct err *e)
{
    bool some = false;

    for (int32_t k = 0; k < job->ledger.lane_count; k++) {
        if (!is_concerned(job->moves, k)) {
            continue;
        }
        if (edit_lane(job, k, e) != ERR_NONE) {
            /* What is done is no order that was refused. */
            e->kind = some && e->kind == ERR_USAGE ? ERR_FAILED : e->kind;
            return e->kind;
        }
        some = true;
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
        rc = ask_all(&job, ALL_LANES, e);
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
