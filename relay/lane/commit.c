/*
 * commit.c - the end of a transaction: what the target must know to go on.
 *
 * Data first: only their delivery reports tell where they stand. Then segments
 * that do not fit into a position any more, as chunks of the map; then the
 * positions, which point to the chunks; then the commit. All of it is one
 * transaction, so no crash loses or doubles any of it.
 */
#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/lane/internal.h"

enum {
    SPILL_EARLY = TAIL_MAX / 2, /* before the flush: costs no round trip */
    CHUNK_MAX = 4096,           /* segments a chunk: below 100 KiB */
    PACE_MIN_BYTES = 64 << 10,
    PACE_SLOWEST = 12, /* halvings */
    PACE_QUICK = 20,   /* quick commits in a row before it doubles again */
};

static struct patience commit_patience(const struct lane *lane)
{
    return patience_of(COMMIT_MS, &lane->stopped, STOP_MS);
}

/* Less in flight than allowed, where the target is so slow that it could not
 * take as much within a commit. */
static int64_t pace_bytes(const struct lane *lane)
{
    const int64_t bytes = lane_bytes(lane) >> lane->slower;

    return bytes > PACE_MIN_BYTES ? bytes : PACE_MIN_BYTES;
}

/* After each flush: `took_ms`, or failed. What is not delivered in time is
 * aborted and sent again; without this a slow link would only ever carry what
 * is thrown away. */
static void set_pace(struct lane *lane, int64_t took_ms, bool failed)
{
    const int before = lane->slower;

    if (failed) {
        lane->slower += 2;
    } else if (took_ms > COMMIT_MS / 4) {
        lane->slower++;
    } else if (took_ms > COMMIT_MS / 16) {
        lane->quick_commits = 0;
    } else if (++lane->quick_commits >= PACE_QUICK && lane->slower > 0) {
        lane->slower--;
        lane->quick_commits = 0;
    }
    lane->slower = lane->slower < PACE_SLOWEST ? lane->slower : PACE_SLOWEST;
    if (lane->slower != before && lane->sink != NULL) {
        sink_set_limit(lane->sink, pace_bytes(lane));
        log_write(LOG_DEBUG, LOG_LANE(lane->set.index),
                  "at most %lld bytes in flight now",
                  (long long)pace_bytes(lane));
    }
}

enum err_kind commit_open_sink(struct lane *lane, struct err *e)
{
    const struct config *cfg = lane->set.cfg;
    const struct sink_settings settings = {
        .target = &cfg->target,
        .transactional_id = lane->transactional_id,
        .guarantee = cfg->delivery.guarantee,
        .batch_bytes = lane->batch_bytes,
        .in_flight_bytes = pace_bytes(lane),
        .dead_letter_topic = cfg->delivery.dead_letter_topic,
        .source_name = cfg->source.name,
    };
    const struct patience patience = patience_of(TAKE_MS, &lane->stopped, 0);

    if (sink_open(&lane->sink, &settings, &patience, e) != ERR_NONE) {
        return e->kind;
    }
    return sink_begin(lane->sink, e);
}

enum err_kind commit_put_claim(struct lane *lane, struct err *e)
{
    char key[32];

    snprintf(key, sizeof(key), "{\"claim\":%d}", (int)lane->set.index);
    buf_clear(&lane->scratch);
    claim_encode(&lane->scratch, &lane->claim);
    return sink_put(lane->sink, lane->offsets_topic, lane->set.index, key,
                    lane->scratch.data, lane->scratch.len, &lane->own_offset,
                    e);
}

static bool is_pending(const struct part *part)
{
    return part->stream.moved || part->dirty;
}

/* Moves segments, all but the newest, which may still grow, to the map. Where
 * it takes several chunks, the pointer is the first one's: the others follow
 * it in the log. */
static enum err_kind spill(struct lane *lane, struct part *part, struct err *e)
{
    struct segments *tail = &part->stream.tail;
    int64_t *offset = &part->chunk.offset;

    part->chunk = (struct map_pointer){tail->items[0].source, -1};
    while (tail->count > 1) {
        size_t n = tail->count - 1 < CHUNK_MAX ? tail->count - 1 : CHUNK_MAX;

        buf_clear(&lane->scratch);
        chunk_encode(&lane->scratch, part->position.epoch, tail, n);
        segments_drop(tail, n);
        if (sink_put(lane->sink, lane->map_topic, lane->set.index, part->key,
                     lane->scratch.data, lane->scratch.len, offset,
                     e) != ERR_NONE) {
            return e->kind;
        }
        offset = NULL;
    }
    return ERR_NONE;
}

/* Spills where there are more than `limit` segments; *count tells how often. */
static enum err_kind spill_above(struct lane *lane, size_t limit, size_t *count,
                                 struct err *e)
{
    *count = 0;
    for (size_t i = 0; i < lane->part_count; i++) {
        struct part *part = lane->parts[i];

        if (is_pending(part) && part->stream.tail.count > limit) {
            if (spill(lane, part, e) != ERR_NONE) {
                return e->kind;
            }
            ++*count;
        }
    }
    return ERR_NONE;
}

static void note_chunks(struct lane *lane)
{
    for (size_t i = 0; i < lane->part_count; i++) {
        struct part *part = lane->parts[i];

        if (part->chunk.offset >= 0) {
            position_add_map(&part->position, part->chunk.source,
                             part->chunk.offset);
            part->chunk.offset = -1;
        }
    }
}

static enum err_kind timed_flush(struct lane *lane,
                                 const struct patience *patience, struct err *e)
{
    const int64_t start = clock_ms(), in_flight = sink_in_flight(lane->sink);
    const enum err_kind rc = sink_flush(lane->sink, patience, e);
    const int64_t left = sink_in_flight(lane->sink);

    /* Nothing delivered at all, or refused: that is no slowness. */
    if (rc == ERR_NONE || (rc == ERR_RETRY && left > 0 && left < in_flight)) {
        set_pace(lane, clock_ms() - start, rc != ERR_NONE);
    }
    return rc;
}

/* Everything delivered, and no tail longer than a position may hold. */
static enum err_kind flush(struct lane *lane, const struct patience *patience,
                           struct err *e)
{
    size_t spilled;

    if (spill_above(lane, SPILL_EARLY, &spilled, e) != ERR_NONE) {
        return e->kind;
    }
    do {
        if (timed_flush(lane, patience, e) != ERR_NONE) {
            return e->kind;
        }
        note_chunks(lane);
        if (spill_above(lane, TAIL_MAX, &spilled, e) != ERR_NONE) {
            return e->kind;
        }
    } while (spilled > 0);
    return ERR_NONE;
}

/* The position's own view of what the stream knows; the tail is lent. */
static void complete(struct lane *lane, struct part *part)
{
    struct position *p = &part->position;
    const struct stream *s = &part->stream;
    int64_t target = position_target_of(&s->tail, s->anchor.offset);

    p->next = s->next;
    p->anchor = s->anchor;
    p->tail = s->tail;
    snprintf(p->claim, sizeof(p->claim), "%s", lane->nonce);
    refusals_record(part, clock_wall_ms());
    if (p->checked.offset < 0) {
        p->checked = s->anchor; /* the first record ever read is trusted */
    }
    if (target >= 0) {
        p->target_anchor = s->anchor;
        p->target_anchor.offset = target;
        if (s->anchor.timestamp_ms == 0) {
            p->target_anchor.timestamp_ms = -1; /* sent as "now" */
        }
    }
}

static enum err_kind put_positions(struct lane *lane, struct err *e)
{
    for (size_t i = 0; i < lane->part_count; i++) {
        struct part *part = lane->parts[i];

        if (!is_pending(part)) {
            continue;
        }
        complete(lane, part);
        buf_clear(&lane->scratch);
        position_encode(&lane->scratch, &part->position);
        part->position.tail = (struct segments){0}; /* back to the stream */
        if (sink_put(lane->sink, lane->offsets_topic, lane->set.index,
                     part->key, lane->scratch.data, lane->scratch.len,
                     &lane->own_offset, e) != ERR_NONE) {
            return e->kind;
        }
    }
    return ERR_NONE;
}

static void count_committed(struct lane *lane)
{
    for (size_t i = 0; i < lane->part_count; i++) {
        struct part *part = lane->parts[i];

        if (!is_pending(part)) {
            continue;
        }
        atomic_fetch_add(&lane->records,
                         part->stream.records - part->logged_records);
        atomic_fetch_add(&lane->bytes, part->stream.bytes - part->logged_bytes);
        part->logged_records = part->stream.records;
        part->logged_bytes = part->stream.bytes;
        part->stream.moved = part->dirty = false;
        refusals_passed(lane, part);
    }
    atomic_fetch_add(&lane->commits, 1);
    lane->last_commit_ms = clock_ms();
}

enum err_kind commit_now(struct lane *lane, struct err *e)
{
    const struct patience patience = commit_patience(lane);

    if (flush(lane, &patience, e) != ERR_NONE ||
        put_positions(lane, e) != ERR_NONE ||
        sink_commit(lane->sink, &patience, e) != ERR_NONE) {
        return e->kind;
    }
    count_committed(lane);
    if (lane->copy != NULL) {
        copy_reset(lane->copy);
    }
    /* Only a new producer epoch makes a late request harmless (KAFKA-17754). It
     * takes a whole new session: while this one gets its epoch, another process
     * may take the lane, and only the claim protocol sees that. */
    if (sink_is_ambiguous(lane->sink)) {
        return err_set(e, ERR_RETRY,
                       "committed, but a transaction request was sent twice or "
                       "not answered: a new producer is needed");
    }
    return sink_begin(lane->sink, e);
}

enum err_kind commit_all(struct lane *lane, struct err *e)
{
    for (size_t i = 0; i < lane->part_count; i++) {
        if (is_pending(lane->parts[i])) {
            return commit_now(lane, e);
        }
    }
    return ERR_NONE;
}
