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
#include <stdarg.h>
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

void part_halt(struct lane *lane, struct part *part, const char *reason,
               const char *fmt, ...)
{
    const struct log_at where = at(lane, part);
    struct halt *halt = &part->position.halt;
    va_list ap;

    if (part->prepared) {
        source_stop(lane->source, &part->stream);
    }
    if (strcmp(part->halt_before, reason) != 0) {
        halt->since_ms = clock_wall_ms();
        snprintf(part->halt_before, sizeof(part->halt_before), "%s", reason);
    }
    snprintf(halt->reason, sizeof(halt->reason), "%s", reason);
    va_start(ap, fmt);
    vsnprintf(halt->detail, sizeof(halt->detail), fmt, ap);
    va_end(ap);
    if (part->state != PART_HALTED) {
        log_write(LOG_ERROR, &where, "halted (%s): %s", reason, halt->detail);
    }
    part->state = PART_HALTED;
    part->dirty = part->stream.next >= 0; /* a halt is part of the position */
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

/* How this session sees a part for the first time. */
static enum err_kind meet(struct lane *lane, struct part *part,
                          const struct plan_topic *topic, struct err *e)
{
    bool found;

    if (load_position(lane, part, &found, e) != ERR_NONE) {
        return e->kind;
    }
    part->state = PART_WAITING;
    part->refused &= part->position.epoch == part->refused_epoch;
    snprintf(part->halt_before, sizeof(part->halt_before), "%s",
             part->position.halt.reason);
    part->position.halt.reason[0] = '\0'; /* judged anew */
    if (strcmp(part->position.target_topic, topic->target) != 0) {
        part_halt(lane, part, "target_changed",
                  "the rules now give target topic %s, but its position "
                  "belongs to %s. Undo the change of the rules",
                  topic->target, part->position.target_topic);
    } else if (part->refused && part->stream.next >= part->refused_at) {
        part_halt(lane, part, "record_refused", "%s", part->stream.fault_text);
    }
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
        source_stop(lane->source, &part->stream);
        part->state = PART_WAITING;
    }
    part->stream.stop_at =
        topic->stop_at != NULL ? topic->stop_at[partition] : -1;
    if (part->refused &&
        (part->stream.stop_at < 0 || part->stream.stop_at > part->refused_at)) {
        part->stream.stop_at = part->refused_at; /* those before it go on */
    }
    if (part->state == PART_GONE) {
        if (!part->met) {
            part->met = true;
            if (meet(lane, part, topic, e) != ERR_NONE) {
                return e->kind;
            }
        } else {
            part->state = PART_WAITING;
        }
    }
    if (topic->blocked != NULL && part->state == PART_WAITING) {
        part_halt(lane, part, "blocked", "%s", topic->blocked);
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
        if (part->prepared) {
            source_stop(lane->source, &part->stream);
        }
        log_write(LOG_WARN, &where,
                  "the source has this partition no more; its position is "
                  "kept at offset %lld",
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

/* At stop_at: the end that was asked for, or a record that can't be copied. */
static void part_done(struct lane *lane, struct part *part)
{
    part->state = PART_DONE;
    if (part->refused && part->stream.next >= part->refused_at) {
        part_halt(lane, part, "record_refused", "%s", part->stream.fault_text);
    }
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
        if (is_done(&part->stream)) {
            part_done(lane, part);
            continue;
        }
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

/* The exact range, when the log does not hold the next offset any more. */
static enum err_kind halt_out_of_range(struct lane *lane, struct part *part,
                                       struct err *e)
{
    struct part *one[] = {part};

    part->state = PART_WAITING; /* anchors_check judges it and says why */
    if (anchors_check(lane, one, 1, e) != ERR_NONE) {
        return e->kind;
    }
    if (part->state != PART_HALTED) {
        part_halt(lane, part, "out_of_range",
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

    source_stop(lane->source, s);
    switch (s->fault) {
    case STREAM_OUT_OF_RANGE:
        return halt_out_of_range(lane, part, e);
    case STREAM_CORRUPT:
        part_halt(lane, part, "corrupt",
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
        } else if (is_done(s)) {
            source_stop(lane->source, s);
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

    lane->last_check_ms = clock_ms();
    for (size_t i = 0; i < lane->part_count && n < CHECK_AT_ONCE; i++) {
        size_t at_part = (from + i) % lane->part_count;

        if (lane->parts[at_part]->state == PART_RUNNING) {
            some[n++] = lane->parts[at_part];
            lane->check_from = at_part + 1;
        }
    }
    if (anchors_check(lane, some, n, e) != ERR_NONE) {
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
