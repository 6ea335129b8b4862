/*
 * partitions.c - which partitions the lane carries, and the state of each.
 *
 *     WAITING -> RUNNING -> DONE          (--until-end)
 *        ^  \______ | ___-> HALTED        a gap, another log, a refused record
 *        |_________ |                     the topic is gone, or not readable
 *     any -> GONE                         not in the plan any more
 *
 * All of it between transactions.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/lane/internal.h"

enum { CHECK_AT_ONCE = 256 };

static struct log_at at(const struct lane *lane, const struct part *part)
{
    return *LOG_PARTITION(lane->set.index, part->topic, part->stream.partition);
}

void part_stop(struct lane *lane, struct part *part)
{
    if (part->prepared) {
        source_stop(lane->source, &part->stream);
        copy_forget(lane->copy, &part->stream);
    }
}

static struct part *part_new(struct lane *lane, const struct plan_topic *topic,
                             int32_t partition, const char *key)
{
    struct part *part = mem_calloc(1, sizeof(*part));
    struct stream *s = &part->stream;

    part->topic = mem_strdup(topic->name);
    part->target = mem_strdup(topic->target);
    part->key = mem_strdup(key);
    s->topic = part->topic;
    s->target_topic = part->target;
    s->partition = s->target_partition = partition;
    s->owner = part;
    part->state = PART_GONE;
    part->chunk.offset = -1;
    part->held_at = part->plan_stop = part->new_end = -1;
    refusals_forget(part);
    position_init(&part->position);
    if (lane->part_count == lane->part_capacity) {
        lane->part_capacity = lane->part_capacity * 2 + 16;
        lane->parts = mem_realloc(lane->parts, lane->part_capacity,
                                  sizeof(struct part *));
    }
    lane->parts[lane->part_count++] = part;
    table_put(lane->by_key, key, part);
    return part;
}

static struct part *find_or_add(struct lane *lane,
                                const struct plan_topic *topic,
                                int32_t partition)
{
    struct part *part;
    struct buf key = {0};

    position_key(&key, topic->name, partition);
    buf_add(&key, "", 1);
    part = table_get(lane->by_key, key.data);
    if (part == NULL) {
        part = part_new(lane, topic, partition, key.data);
    }
    buf_free(&key);
    return part;
}

/* The stored position, if there is one, becomes the stream's. */
static enum err_kind load_position(struct lane *lane, struct part *part,
                                   bool *found, struct err *e)
{
    struct position *p = &part->position;
    struct stream *s = &part->stream;

    if (state_position(&lane->stored, part->topic, s->partition, p, found, e) !=
        ERR_NONE) {
        return e->kind;
    }
    if (!*found) {
        position_init(p);
        s->next = -1;
        s->anchor = MARK_NONE;
        snprintf(p->target_topic, sizeof(p->target_topic), "%s", part->target);
    } else {
        s->next = p->next;
        s->anchor = p->anchor;
        s->tail = p->tail; /* moves */
        p->tail = (struct segments){0};
    }
    return ERR_NONE;
}

/* What was found out of refused records belongs to this place in this log. */
static void meet_refusals(struct part *part)
{
    if (part->epoch != part->position.epoch) {
        part->epoch = part->position.epoch;
        refusals_forget(part);
    }
    part_watch(part);
}

/* What its position and the rules say. Whatever halted it before is judged
 * anew, here or (logs, refused records) when it is to be started. */
static void judge(struct lane *lane, struct part *part,
                  const struct plan_topic *topic)
{
    struct halt *halt = &part->position.halt;

    part->state = PART_WAITING;
    snprintf(part->halt_before, sizeof(part->halt_before), "%s", halt->reason);
    if (halt_is_lasting(halt->reason) &&
        lane->set.cfg->delivery.on_gap == ON_GAP_STOP) {
        part_halt(lane, part, halt->reason, "%s", halt->detail);
        return;
    }
    halt->reason[0] = '\0';
    if (strcmp(part->position.target_topic, topic->target) != 0) {
        part_halt(lane, part, HALT_TARGET_CHANGED,
                  "the rules now give target topic %s, but its position "
                  "belongs to %s; undo the change of the rules, or decide",
                  topic->target, part->position.target_topic);
        return;
    }
    meet_refusals(part);
}

/* A part that the plan names (again). */
static enum err_kind meet(struct lane *lane, struct part *part,
                          const struct plan_topic *topic, struct err *e)
{
    bool found;

    e->kind = ERR_NONE;
    if (!part->met) {
        part->met = true;
        if (load_position(lane, part, &found, e) != ERR_NONE) {
            return e->kind;
        }
    }
    judge(lane, part, topic);
    return ERR_NONE;
}

/* What the plan says of one partition. */
static enum err_kind plan_part(struct lane *lane,
                               const struct plan_topic *topic,
                               int32_t partition, struct part **out,
                               struct err *e)
{
    struct part *part = find_or_add(lane, topic, partition);

    *out = part;
    part->in_plan = true;
    part->has_target = partition < topic->target_partitions;
    if (part->state == PART_RUNNING &&
        (!part->has_target || topic->target_made)) {
        /* It is gone, or not the one that was written to: anchors tell. */
        part_stop(lane, part);
        part->state = PART_WAITING;
    }
    part->plan_stop = topic->stop_at != NULL ? topic->stop_at[partition] : -1;
    part_watch(part);
    if (part->state == PART_GONE && meet(lane, part, topic, e) != ERR_NONE) {
        return e->kind;
    }
    if (topic->blocked != NULL && part->state == PART_WAITING) {
        part_halt(lane, part, HALT_BLOCKED, "%s", topic->blocked);
    }
    return ERR_NONE;
}

struct work {
    struct part **fresh, **ready; /* need a position; can be started */
    size_t fresh_count, ready_count;
};

static enum err_kind collect(struct lane *lane, struct work *work,
                             struct err *e)
{
    const struct plan *plan = lane->plan;
    const int32_t lanes = (int32_t)lane->set.cfg->delivery.lanes;

    for (size_t i = 0; i < lane->part_count; i++) {
        lane->parts[i]->in_plan = false;
    }
    for (size_t i = 0; i < plan->count; i++) {
        for (int32_t p = 0; p < plan->topics[i].partitions; p++) {
            struct part *part;

            if (lane_of(plan->topics[i].name, p, lanes) != lane->set.index) {
                continue;
            }
            if (plan_part(lane, &plan->topics[i], p, &part, e) != ERR_NONE) {
                return e->kind;
            }
            if (part->state == PART_WAITING && part->stream.next < 0) {
                work->fresh = mem_realloc(work->fresh, work->fresh_count + 1,
                                          sizeof(struct part *));
                work->fresh[work->fresh_count++] = part;
            }
        }
    }
    return ERR_NONE;
}

static void drop_missing(struct lane *lane)
{
    for (size_t i = 0; i < lane->part_count; i++) {
        struct part *part = lane->parts[i];
        const struct log_at where = at(lane, part);

        if (part->in_plan || part->state == PART_GONE) {
            continue;
        }
        part_stop(lane, part);
        log_write(LOG_WARN, &where,
                  "the source has this partition no more: records from offset "
                  "%lld on, if there were any, are not copied. Its position is "
                  "kept",
                  (long long)part->stream.next);
        part->state = PART_GONE;
    }
}

static void find_ready(struct lane *lane, struct work *work)
{
    work->ready = mem_calloc(lane->part_count, sizeof(struct part *));
    for (size_t i = 0; i < lane->part_count; i++) {
        struct part *part = lane->parts[i];

        if (part->state == PART_WAITING && part->has_target &&
            part->stream.next >= 0) {
            work->ready[work->ready_count++] = part;
        }
    }
}

/* First positions are on the target before the first record is; so is the
 * news that all of these rules' first positions are. */
static enum err_kind settle(struct lane *lane, struct work *work, struct err *e)
{
    if (first_positions(lane, work->fresh, work->fresh_count, e) != ERR_NONE) {
        return e->kind;
    }
    if (!lane->settled) {
        snprintf(lane->claim.rules, sizeof(lane->claim.rules), "%s",
                 lane->plan->rules);
        if (commit_put_claim(lane, e) != ERR_NONE ||
            commit_now(lane, e) != ERR_NONE) {
            return e->kind;
        }
        lane->settled = true;
        return ERR_NONE;
    }
    return commit_all(lane, e);
}

static bool is_done(const struct stream *s)
{
    return s->stop_at >= 0 && s->next >= s->stop_at;
}

static void part_done(const struct lane *lane, struct part *part)
{
    const struct log_at where = at(lane, part);

    log_write(LOG_DEBUG, &where, "done at offset %lld, asked for up to %lld",
              (long long)part->stream.next, (long long)part->plan_stop);
    part->state = PART_DONE;
}

static enum err_kind start_ready(struct lane *lane, struct work *work,
                                 struct err *e)
{
    const struct patience patience = patience_of(LOOKUP_MS, &lane->stopped, 0);
    uint32_t count;

    for (size_t i = 0; i < work->ready_count; i++) {
        struct part *part = work->ready[i];

        part->stream.fault = STREAM_OK;
        if (part->state != PART_HALTED && !part->unknown && !part->prepared) {
            source_prepare(lane->source, &part->stream);
            sink_prepare(lane->sink, &part->stream);
            part->prepared = true;
        }
    }
    struct stream *const *streams = source_streams(lane->source, &count);
    sink_set_streams(lane->sink, streams, count);
    source_warm(lane->source, &patience);
    sink_warm(lane->sink, &patience);
    for (size_t i = 0; i < work->ready_count; i++) {
        struct part *part = work->ready[i];

        if (part->state == PART_HALTED || part->unknown) {
            continue;
        }
        if (part->halt_before[0] != '\0') {
            part->halt_before[0] = '\0';
            part->dirty = true; /* its record still says halted */
        }
        refusals_look(lane, part);
        if (part->state == PART_HALTED) {
            continue;
        }
        if (is_done(&part->stream)) {
            part_done(lane, part);
            continue;
        }
        part_stop(lane, part);
        if (source_start(lane->source, &part->stream, e) != ERR_NONE) {
            return e->kind;
        }
        part->state = PART_RUNNING;
    }
    return ERR_NONE;
}

enum err_kind parts_apply_plan(struct lane *lane, struct err *e)
{
    struct work work = {0};

    lane->settled = strcmp(lane->claim.rules, lane->plan->rules) == 0;
    if (collect(lane, &work, e) != ERR_NONE) {
        goto done;
    }
    drop_missing(lane);
    if (settle(lane, &work, e) != ERR_NONE) {
        goto done;
    }
    find_ready(lane, &work);
    if (anchors_check(lane, work.ready, work.ready_count, e) != ERR_NONE) {
        goto done;
    }
    if (start_ready(lane, &work, e) != ERR_NONE) {
        goto done;
    }
done:
    free(work.fresh);
    free(work.ready);
    return e->kind;
}

/* Anchors are checked; parts that go on behind a gap are started there. */
static enum err_kind check_and_start(struct lane *lane, struct part **parts,
                                     size_t count, struct err *e)
{
    struct work work = {.ready = mem_calloc(count, sizeof(struct part *))};

    if (anchors_check(lane, parts, count, e) == ERR_NONE) {
        for (size_t i = 0; i < count; i++) {
            if (parts[i]->state == PART_WAITING && parts[i]->dirty) {
                work.ready[work.ready_count++] = parts[i];
            }
        }
        if (work.ready_count > 0) {
            start_ready(lane, &work, e);
        }
    }
    free(work.ready);
    return e->kind;
}

/* The exact range, when the log does not hold the next offset any more. */
static enum err_kind take_out_of_range(struct lane *lane, struct part *part,
                                       struct err *e)
{
    struct part *one[] = {part};

    part->state = PART_WAITING; /* the anchors tell what happened */
    if (check_and_start(lane, one, 1, e) != ERR_NONE) {
        return e->kind;
    }
    if (part->state == PART_WAITING) {
        part_halt(lane, part, HALT_OUT_OF_RANGE,
                  "the source does not hold offset %lld: %s",
                  (long long)part->stream.next, part->stream.fault_text);
    }
    return ERR_NONE;
}

static enum err_kind take_fault(struct lane *lane, struct part *part,
                                struct err *e)
{
    const struct log_at where = at(lane, part);
    struct stream *s = &part->stream;

    part_stop(lane, part);
    switch (s->fault) {
    case STREAM_OUT_OF_RANGE:
        return take_out_of_range(lane, part, e);
    case STREAM_CORRUPT:
        part_halt(lane, part, HALT_CORRUPT,
                  "the record after offset %lld can't be read: %s",
                  (long long)s->next - 1, s->fault_text);
        return ERR_NONE;
    case STREAM_REFUSED:
        return ERR_NONE; /* the transaction fails: the session ends */
    default:
        log_write(LOG_WARN, &where,
                  "can't be read: %s; trying again after the next refresh",
                  s->fault_text);
        part->state = PART_WAITING;
        return ERR_NONE;
    }
}

enum err_kind parts_look(struct lane *lane, struct err *e)
{
    e->kind = ERR_NONE;
    for (size_t i = 0; i < lane->part_count; i++) {
        struct part *part = lane->parts[i];
        struct stream *s = &part->stream;

        if (part->state != PART_RUNNING) {
            continue;
        }
        if (s->fault != STREAM_OK) {
            if (take_fault(lane, part, e) != ERR_NONE) {
                return e->kind;
            }
            continue;
        }
        refusals_look(lane, part);
        if (part->state == PART_RUNNING && is_done(s)) {
            part_stop(lane, part);
            part_done(lane, part);
        }
    }
    return ERR_NONE;
}

enum err_kind parts_check(struct lane *lane, struct err *e)
{
    struct part *some[CHECK_AT_ONCE];
    size_t n = 0;

    const size_t from = lane->check_from;

    for (size_t i = 0; i < lane->part_count && n < CHECK_AT_ONCE; i++) {
        size_t at_part = (from + i) % lane->part_count;

        if (lane->parts[at_part]->state == PART_RUNNING) {
            some[n++] = lane->parts[at_part];
            lane->check_from = at_part + 1;
        }
    }
    if (n > 0 && check_and_start(lane, some, n, e) != ERR_NONE) {
        return e->kind;
    }
    log_write(LOG_DEBUG, LOG_LANE(lane->set.index),
              "anchors of %zu partitions checked", n);
    return ERR_NONE;
}

void parts_reset(struct lane *lane)
{
    for (size_t i = 0; i < lane->part_count; i++) {
        struct part *part = lane->parts[i];

        part->state = PART_GONE;
        part->met = part->prepared = part->dirty = false;
        part->unverified = part->told_unverified = false;
        part->stream.diverted = 0;
        part->stream.moved = part->stream.started = false;
        part->stream.fault = STREAM_OK;
        part->stream.records = part->logged_records;
        part->stream.bytes = part->logged_bytes;
        part->chunk.offset = -1;
        segments_free(&part->stream.tail);
    }
}

bool parts_all_done(const struct lane *lane)
{
    for (size_t i = 0; i < lane->part_count; i++) {
        enum part_state state = lane->parts[i]->state;

        if (state == PART_RUNNING || state == PART_WAITING) {
            return false;
        }
    }
    return true;
}
