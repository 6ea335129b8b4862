/*
 * send.c - records into a producer, and their delivery reports; see sink.h.
 *
 * A delivery report must find its stream and its source offset without a
 * look-up. Both travel in the message's opaque, told apart by two bits:
 *   00  the consumed message itself: its bytes are sent without a copy, and
 *       it is given back when they are delivered; its position says the rest
 *   01  a copied record: stream index (20 bits) and source offset (42 bits)
 *   10  a record of the relay's own: where to store its offset, or nothing
 *   11  a dead letter: as 01
 */
#include <stdio.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/io/letter.h"
#include "relay/io/sink_internal.h"
#include "relay/io/source.h"

_Static_assert(sizeof(void *) == 8, "the opaque holds 62 bits");

enum {
    TAG_MESSAGE = 0,
    TAG_COPIED = 1,
    TAG_OWN = 2,
    TAG_LETTER = 3,
    TAG_MASK = 3,
    OFFSET_BITS = 42,
    STREAM_BITS = 20,

    /* Below this a copy is cheaper than holding the fetched buffer. */
    ZERO_COPY_MIN_BYTES = 256,
    /* What librdkafka holds for a message beside its bytes, on both sides. */
    MESSAGE_OVERHEAD_BYTES = 600,
};

_Static_assert(1 << STREAM_BITS == SINK_STREAMS_MAX, "as many as bits tell");

static int64_t message_cost(size_t key_len, size_t len)
{
    return (int64_t)(key_len + len) + MESSAGE_OVERHEAD_BYTES;
}

static void *pack(const struct stream *s, int64_t offset, unsigned tag)
{
    uint64_t low = (uint64_t)offset & ((1ULL << OFFSET_BITS) - 1);

    return (void *)(uintptr_t)((low << (STREAM_BITS + 2)) |
                               ((uint64_t)s->index << 2) | tag);
}

/* The offset's upper bits are those of the stream's next offset, which is less
 * than 2^42 records ahead of anything in flight. */
static int64_t unpack_offset(uint64_t bits, int64_t next)
{
    const int64_t span = 1LL << OFFSET_BITS;
    int64_t offset = (int64_t)(bits >> (STREAM_BITS + 2)) | (next & -span);

    return offset < next ? offset : offset - span;
}

/* A record that the target will refuse whenever it is sent again. */
static bool refused_for_good(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
           code == RD_KAFKA_RESP_ERR_INVALID_MSG ||
           code == RD_KAFKA_RESP_ERR_INVALID_RECORD ||
           code == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP ||
           code == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE ||
           code == RD_KAFKA_RESP_ERR_POLICY_VIOLATION;
}

static bool is_purged(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
           code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
}

/* librdkafka gives up what is in flight after an error of the whole producer:
 * that one says what to do. */
static void purged(struct sink *sink, const struct client *c)
{
    char why[256] = "";
    rd_kafka_resp_err_t code = rd_kafka_fatal_error(c->rk, why, sizeof(why));

    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        client_fail(c, code, "producer", why, &sink->failure);
    } else {
        err_set(&sink->failure, ERR_RETRY,
                "%s: the transaction was given up%s%s", c->cluster,
                c->last_error[0] ? ": " : "", c->last_error);
    }
}

/* The target refuses whole batches: any of these records may be meant. */
static void note_refusal(struct stream *s, rd_kafka_resp_err_t code,
                         int64_t offset)
{
    if (s->fault == STREAM_REFUSED) {
        s->fault_last = offset > s->fault_last ? offset : s->fault_last;
        return;
    }
    s->fault = STREAM_REFUSED;
    s->fault_first = s->fault_last = offset;
    s->too_large = code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    s->letter_refused = false;
    snprintf(s->fault_why, sizeof(s->fault_why), "%s", rd_kafka_err2name(code));
}

static void delivery_failed(struct sink *sink, struct client *c,
                            const rd_kafka_message_t *m, struct stream *s,
                            int64_t offset)
{
    char what[TOPIC_NAME_MAX + 96];

    if (s != NULL && refused_for_good(m->err)) {
        note_refusal(s, m->err, offset);
    }
    if (sink->failure.kind != ERR_NONE) {
        return;
    }
    if (is_purged(m->err)) {
        purged(sink, c);
        return;
    }
    snprintf(what, sizeof(what), "delivery to %s[%d]",
             rd_kafka_topic_name(m->rkt), (int)m->partition);
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        client_fail(c, m->err, what, NULL, &sink->failure);
    } else {
        err_set(&sink->failure, ERR_FAILED,
                "%s: %s: delivered without an offset", c->cluster, what);
    }
}

static void delivered(struct sink *sink, struct client *c,
                      const rd_kafka_message_t *m, struct stream *s,
                      int64_t offset)
{
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR || m->offset < 0) {
        delivery_failed(sink, c, m, s, offset);
    } else if (segments_add(&s->tail, offset, m->partition, m->offset) != 0 &&
               sink->failure.kind == ERR_NONE) {
        err_set(&sink->failure, ERR_FAILED,
                "%s: the delivery of %s[%d] offset %lld came out of order, or "
                "its target was made anew",
                c->cluster, s->topic, (int)s->partition, (long long)offset);
    }
}

/* A letter is no copy: it takes no place in the tail. */
static void letter_delivered(struct sink *sink, struct client *c,
                             const rd_kafka_message_t *m, struct stream *s,
                             int64_t offset)
{
    const bool first = s->fault == STREAM_OK;

    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        delivery_failed(sink, c, m, s, offset);
        s->letter_refused = first && s->fault == STREAM_REFUSED;
    }
}

void sink_on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct client *c = opaque;
    struct sink *sink = c->owner;
    uint64_t bits = (uint64_t)(uintptr_t)m->_private;

    (void)rk;
    sink->in_flight--;
    sink->in_flight_bytes -= message_cost(m->key_len, m->len);
    switch (bits & TAG_MASK) {
    case TAG_MESSAGE: {
        rd_kafka_message_t *source = m->_private;
        struct stream *s = source_stream_of(source);
        VERIFY(s != NULL); /* a lane stops streams between transactions */
        delivered(sink, c, m, s, source->offset);
        rd_kafka_message_destroy(source);
        return;
    }
    case TAG_COPIED:
    case TAG_LETTER: {
        uint32_t index = (bits >> 2) & ((1U << STREAM_BITS) - 1);
        VERIFY(index < sink->stream_count);
        struct stream *s = sink->streams[index];
        int64_t offset = unpack_offset(bits, s->next);
        ((bits & TAG_MASK) == TAG_COPIED ? delivered : letter_delivered)(
            sink, c, m, s, offset);
        return;
    }
    default: {
        int64_t *offset = (int64_t *)(uintptr_t)(bits & ~(uint64_t)TAG_MASK);
        if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR || m->offset < 0) {
            delivery_failed(sink, c, m, NULL, -1);
        } else if (offset != NULL) {
            *offset = m->offset;
        }
    }
    }
}

void sink_set_limit(struct sink *sink, int64_t in_flight_bytes)
{
    sink->in_flight_limit = in_flight_bytes;
}

bool sink_has_room(const struct sink *sink, int64_t bytes)
{
    return sink->in_flight == 0 ||
           sink->in_flight_bytes + bytes + MESSAGE_OVERHEAD_BYTES <=
               sink->in_flight_limit;
}

static rd_kafka_error_t *produce(struct sink *sink, struct stream *stream,
                                 rd_kafka_message_t *m,
                                 rd_kafka_headers_t *headers, bool copied)
{
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(m, &type);
    const rd_kafka_vu_t vus[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = stream->sink_topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = stream->target_partition},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {m->key, m->key_len}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {m->payload, m->len}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP,
         .u.i64 = type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? timestamp : 0},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS,
         .u.i = copied ? RD_KAFKA_MSG_F_COPY : 0},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE,
         .u.ptr = copied ? pack(stream, m->offset, TAG_COPIED) : (void *)m},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
    };

    return rd_kafka_produceva(sink->for_data->rk, vus,
                              sizeof(vus) / sizeof(*vus) - (headers == NULL));
}

/* Destroys m when its headers can't be read. */
static enum err_kind take_headers(const struct stream *stream,
                                  rd_kafka_message_t *m,
                                  rd_kafka_headers_t **headers, struct err *e)
{
    const rd_kafka_resp_err_t code =
        rd_kafka_message_detach_headers(m, headers);

    e->kind = ERR_NONE;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR &&
        code != RD_KAFKA_RESP_ERR__NOENT) {
        err_set(e, ERR_FAILED,
                "%s[%d] offset %lld: its headers can't "
                "be read: %s",
                stream->topic, (int)stream->partition, (long long)m->offset,
                rd_kafka_err2str(code));
        rd_kafka_message_destroy(m);
    }
    return e->kind;
}

/* What both ways of sending a record do with librdkafka's answer. Consumes
 * `error`, and m unless it is lent to the producer. */
static enum err_kind sent(struct sink *sink, const struct stream *stream,
                          rd_kafka_message_t *m, rd_kafka_headers_t *headers,
                          bool lent, int64_t cost, rd_kafka_error_t *error,
                          struct err *e)
{
    const int64_t offset = m->offset;

    e->kind = ERR_NONE;
    if (!lent || error != NULL) {
        rd_kafka_message_destroy(m);
    }
    if (error == NULL) {
        sink->in_flight++;
        sink->in_flight_bytes += cost;
        return ERR_NONE;
    }
    if (headers != NULL) {
        rd_kafka_headers_destroy(headers);
    }
    client_take(sink->for_data, error, "send", e);
    return err_prefix(e, "%s[%d] offset %lld", stream->topic,
                      (int)stream->partition, (long long)offset);
}

enum err_kind sink_send(struct sink *sink, struct stream *stream,
                        rd_kafka_message_t *m, struct err *e)
{
    const bool copied = m->len < ZERO_COPY_MIN_BYTES;
    const int64_t cost = message_cost(m->key_len, m->len);
    rd_kafka_headers_t *headers = NULL;

    if (take_headers(stream, m, &headers, e) != ERR_NONE) {
        return e->kind;
    }
    rd_kafka_error_t *error = produce(sink, stream, m, headers, copied);
    return sent(sink, stream, m, headers, !copied, cost, error, e);
}

static rd_kafka_error_t *produce_letter(struct sink *sink,
                                        const struct stream *stream,
                                        const struct letter *letter,
                                        int64_t offset)
{
    const rd_kafka_vu_t vus[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT,
         .u.rkt =
             sink_topic(sink->for_data, sink->topics, sink->dead_letter_topic)},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = 0},
        {.vtype = RD_KAFKA_VTYPE_KEY,
         .u.mem = {(void *)letter->key, letter->key_len}},
        {.vtype = RD_KAFKA_VTYPE_VALUE,
         .u.mem = {(void *)letter->value, letter->len}},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE,
         .u.ptr = pack(stream, offset, TAG_LETTER)},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = letter->headers},
    };

    return rd_kafka_produceva(sink->for_data->rk, vus,
                              sizeof(vus) / sizeof(*vus));
}

enum err_kind sink_dead_letter(struct sink *sink, struct stream *stream,
                               rd_kafka_message_t *m, struct err *e)
{
    rd_kafka_headers_t *headers = NULL;
    struct letter letter;

    if (take_headers(stream, m, &headers, e) != ERR_NONE) {
        return e->kind;
    }
    letter_write(&letter, stream, m, headers, sink->source_name);
    rd_kafka_error_t *error = produce_letter(sink, stream, &letter, m->offset);
    return sent(sink, stream, m, letter.headers, false,
                message_cost(letter.key_len, letter.len), error, e);
}

enum err_kind sink_put(struct sink *sink, const char *topic, int32_t partition,
                       const char *key, const void *value, size_t len,
                       int64_t *offset, struct err *e)
{
    const rd_kafka_vu_t vus[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT,
         .u.rkt = sink_topic(&sink->txn,
                             sink->for_data == &sink->txn ? sink->topics
                                                          : sink->own_topics,
                             topic)},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = partition},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)key, strlen(key)}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)value, len}},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE,
         .u.ptr = (void *)((uintptr_t)offset | TAG_OWN)},
    };

    if (client_take(
            &sink->txn,
            rd_kafka_produceva(sink->txn.rk, vus, sizeof(vus) / sizeof(*vus)),
            "send state", e) != ERR_NONE) {
        return err_prefix(e, "%s[%d]", topic, (int)partition);
    }
    sink->in_flight++;
    sink->in_flight_bytes += message_cost(strlen(key), len);
    return ERR_NONE;
}
