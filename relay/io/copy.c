/*
 * copy.c - see copy.h.
 *
 *     source_read -> [batch] -> sink_send         per record
 *     sink_poll   -> delivery reports -> tails    per batch
 *
 * Records come in runs of one partition; what is needed once a run (the
 * anchor's checksum) is done at its end.
 */
#include "relay/io/copy.h"

#include <stdio.h>
#include <stdlib.h>

#include "relay/base/clock.h"
#include "relay/base/crc.h"
#include "relay/base/mem.h"
#include "relay/io/client.h"

enum {
    BATCH = 1000,
    ROOM_WAIT_MS = 5,
    /* Counted for a record beside its bytes: what is kept of it until the
     * commit (a segment, at worst). So commit_bytes bounds that too. */
    RECORD_BYTES = 64,
};

struct copy {
    struct source *source;
    struct sink *sink;
    rd_kafka_message_t *batch[BATCH];
    size_t at, count;  /* batch[at .. count) is still to be handed over */
    int64_t bytes;     /* since copy_reset */
    bool moved;        /* since copy_reset */
    bool held;         /* batch[at] waits for a commit */
    int letters;       /* dead letters since copy_reset */
    int64_t moved_ms;  /* clock_ms of the first that moved since then */
    int64_t called_ms; /* clock_ms of copy_run's call */
};

struct copy *copy_open(struct source *source, struct sink *sink)
{
    struct copy *copy = mem_calloc(1, sizeof(*copy));

    copy->source = source;
    copy->sink = sink;
    return copy;
}

static void drop_batch(struct copy *copy)
{
    while (copy->at < copy->count) {
        rd_kafka_message_destroy(copy->batch[copy->at++]);
    }
}

void copy_forget(struct copy *copy, const struct stream *stream)
{
    size_t kept = copy->at;

    for (size_t i = copy->at; i < copy->count; i++) {
        if (source_stream_of(copy->batch[i]) == stream) {
            rd_kafka_message_destroy(copy->batch[i]);
        } else {
            copy->batch[kept++] = copy->batch[i];
        }
    }
    copy->count = kept;
}

void copy_close(struct copy **copy)
{
    if (*copy == NULL) {
        return;
    }
    drop_batch(*copy);
    free(*copy);
    *copy = NULL;
}

static void fault(struct stream *s, enum stream_fault kind, const char *text)
{
    if (s->fault == STREAM_OK) {
        s->fault = kind;
        snprintf(s->fault_text, sizeof(s->fault_text), "%s", text);
    }
}

static void note_moved(struct copy *copy, struct stream *s)
{
    if (!copy->moved) {
        copy->moved = true;
        copy->moved_ms = clock_ms();
    }
    s->moved = true;
}

/* The log's end: what lies between are markers and aborted records; but from
 * stop_at on, records were left out. */
static void reached(struct copy *copy, struct stream *s, int64_t end)
{
    if (s->stop_at >= 0 && s->stop_at < end) {
        end = s->stop_at;
    }
    if (end > s->next && s->fault == STREAM_OK) {
        s->next = end;
        note_moved(copy, s);
    }
}

/* Everything on the queue that is not a record. Consumes m. */
static enum err_kind take_event(struct copy *copy, struct stream *s,
                                rd_kafka_message_t *m, struct err *e)
{
    const rd_kafka_resp_err_t code = m->err;

    e->kind = ERR_NONE;
    if (s == NULL || !s->started) {
        /* of a stream that is read no more */
    } else if (code == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        s->at_end = true;
        reached(copy, s, m->offset);
    } else if (code == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
               code == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
        fault(s, STREAM_OUT_OF_RANGE, rd_kafka_message_errstr(m));
    } else if (code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
               code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
               code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
        fault(s, STREAM_MISSING, rd_kafka_message_errstr(m));
    } else if (client_kind(code) == ERR_DENIED) {
        fault(s, STREAM_DENIED, rd_kafka_message_errstr(m));
    } else if (code == RD_KAFKA_RESP_ERR__BAD_MSG ||
               code == RD_KAFKA_RESP_ERR__BAD_COMPRESSION ||
               code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE) {
        fault(s, STREAM_CORRUPT, rd_kafka_message_errstr(m));
    } else {
        err_set(e, ERR_RETRY, "read %s[%d] at offset %lld: %s", s->topic,
                (int)s->partition, (long long)s->next,
                rd_kafka_message_errstr(m));
    }
    rd_kafka_message_destroy(m);
    return e->kind;
}

/* The last record of a run is the newest that was read: fingerprint it while
 * it is here. */
static void set_anchor(struct stream *s, const rd_kafka_message_t *m)
{
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(m, &type);

    s->anchor.offset = m->offset;
    s->anchor.timestamp_ms =
        type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : timestamp;
    s->anchor.crc =
        crc32c_of(crc32c_of(0, m->key, m->key_len), m->payload, m->len);
}

static bool ends_run(const struct copy *copy, const struct stream *s,
                     const rd_kafka_message_t *m)
{
    const rd_kafka_message_t *next;

    if (copy->at + 1 >= copy->count) {
        return true;
    }
    next = copy->batch[copy->at + 1];
    return next->offset >= s->watch_at ||
           next->err != RD_KAFKA_RESP_ERR_NO_ERROR || next->rkt != m->rkt ||
           next->partition != m->partition;
}

/* Not to be copied: read again after a seek, of a stopped stream, or beyond
 * the end that was asked for. */
static bool is_unwanted(struct stream *s, const rd_kafka_message_t *m)
{
    if (s == NULL || !s->started || s->fault != STREAM_OK ||
        m->offset < s->next) {
        return true;
    }
    if (m->offset >= s->watch_at && s->stop_at >= 0 &&
        m->offset >= s->stop_at) {
        if (s->next < s->stop_at) { /* markers at most lie between */
            s->next = s->stop_at;
            s->moved = true; /* written with the next commit */
        }
        return true;
    }
    return false;
}

/* Consumes m. */
static enum err_kind divert(struct copy *copy, struct stream *s,
                            rd_kafka_message_t *m, struct err *e)
{
    e->kind = ERR_NONE;
    if (s->divert == DIVERT_SKIP) {
        rd_kafka_message_destroy(m);
    } else if (sink_dead_letter(copy->sink, s, m, e) != ERR_NONE) {
        return e->kind;
    } else {
        copy->letters++;
    }
    s->diverted++;
    return ERR_NONE;
}

/* True: what comes before is to be committed first; the batch stays as it is.
 */
static bool is_held(const struct copy *copy, struct stream *s,
                    const rd_kafka_message_t *m)
{
    /* One letter a commit: those that share a batch are refused together. */
    if (copy->letters > 0 && m->offset == s->divert_at &&
        s->divert != DIVERT_SKIP) {
        return true;
    }
    if (m->offset < s->watch_at || s->hold_at < 0 || m->offset < s->hold_at) {
        return false;
    }
    if (s->next < s->hold_at) { /* markers at most lie between */
        s->next = s->hold_at;
        s->moved = true;
    }
    return true;
}

/* Hands over the batch's next message. ERR_RETRY: no room in the sink now. */
static enum err_kind take_one(struct copy *copy, struct err *e)
{
    rd_kafka_message_t *m = copy->batch[copy->at];
    struct stream *s = source_stream_of(m);
    const int64_t bytes = (int64_t)(m->len + m->key_len);
    const int64_t next = m->offset + 1;

    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        copy->at++;
        return take_event(copy, s, m, e);
    }
    if (is_unwanted(s, m)) {
        copy->at++;
        rd_kafka_message_destroy(m);
        return ERR_NONE;
    }
    copy->held = is_held(copy, s, m);
    if (copy->held) {
        return ERR_NONE;
    }
    if (ends_run(copy, s, m)) {
        set_anchor(s, m);
    }
    copy->at++;
    if (m->offset == s->divert_at) {
        divert(copy, s, m, e);
    } else if (sink_send(copy->sink, s, m, e) == ERR_NONE) {
        s->records++;
        s->bytes += bytes;
    }
    if (e->kind != ERR_NONE) {
        return e->kind;
    }
    s->next = next;
    s->at_end = false;
    note_moved(copy, s);
    copy->bytes += bytes + RECORD_BYTES;
    return ERR_NONE;
}

/* Until the first record moves, copy_run waits for one; from then on the
 * commit interval counts. */
static int64_t left_ms(const struct copy *copy,
                       const struct copy_limits *limits)
{
    const int64_t now = clock_ms();

    if (limits->stopped != NULL && atomic_load(limits->stopped) != 0) {
        return 0;
    }
    return copy->moved ? copy->moved_ms + limits->interval_ms - now
                       : copy->called_ms + limits->idle_ms - now;
}

/* Waits for room for the batch's next message; false: not in time. */
static bool wait_for_room(struct copy *copy, const struct copy_limits *limits)
{
    const rd_kafka_message_t *m = copy->batch[copy->at];
    const int64_t bytes = (int64_t)(m->len + m->key_len);

    while (!sink_has_room(copy->sink, bytes)) {
        if (left_ms(copy, limits) <= 0) {
            return false;
        }
        sink_poll(copy->sink, ROOM_WAIT_MS);
    }
    return true;
}

static enum err_kind take_batch(struct copy *copy,
                                const struct copy_limits *limits, struct err *e)
{
    while (copy->at < copy->count && copy->bytes < limits->bytes &&
           !copy->held) {
        if (!wait_for_room(copy, limits)) {
            break;
        }
        if (take_one(copy, e) != ERR_NONE) {
            return e->kind;
        }
    }
    return ERR_NONE;
}

enum err_kind copy_run(struct copy *copy, const struct copy_limits *limits,
                       struct err *e)
{
    int64_t left;

    copy->called_ms = clock_ms();
    copy->held = false;
    do {
        if (copy->at == copy->count) {
            left = left_ms(copy, limits);
            copy->at = 0;
            copy->count = source_read(copy->source, left > 0 ? (int)left : 0,
                                      copy->batch, BATCH);
        }
        if (take_batch(copy, limits, e) != ERR_NONE) {
            return e->kind;
        }
        sink_poll(copy->sink, 0);
        if (sink_failure(copy->sink, e) != ERR_NONE) {
            return e->kind;
        }
    } while (copy->bytes < limits->bytes && !copy->held &&
             left_ms(copy, limits) > 0);
    return ERR_NONE;
}

void copy_reset(struct copy *copy)
{
    copy->bytes = 0;
    copy->letters = 0;
    copy->moved = false;
}
