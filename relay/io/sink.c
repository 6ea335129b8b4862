/*
 * sink.c - see sink.h.
 *
 * A delivery report must find its stream and its source offset without a
 * look-up. Both travel in the message's opaque, told apart by two bits:
 *   00  the consumed message itself: its bytes are sent without a copy, and
 *       it is given back when they are delivered; its position says the rest
 *   01  a copied record: stream index (20 bits) and source offset (42 bits)
 *   10  a record of the relay's own: where to store its offset, or nothing
 */
#include "relay/io/sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/base/table.h"
#include "relay/io/client.h"
#include "relay/io/source.h"
#include "relay/io/txn_watch.h"

_Static_assert(sizeof(void *) == 8, "the opaque holds 62 bits");

enum {
    TAG_MESSAGE = 0,
    TAG_COPIED = 1,
    TAG_OWN = 2,
    TAG_MASK = 3,
    OFFSET_BITS = 42,
    STREAM_BITS = 20,

    /* Below this a copy is cheaper than holding the fetched buffer. */
    ZERO_COPY_MIN_BYTES = 256,
    /* What librdkafka holds for a message beside its bytes, on both sides. */
    MESSAGE_OVERHEAD_BYTES = 600,
    SLICE_MS = 500,
    DRAIN_POLL_MS = 10,
    WARM_MS = 5000,
};

struct sink {
    struct client txn;  /* the lane's transactional id */
    struct client data; /* at_least_once only */
    struct client *for_data;
    struct txn_watch watch;
    struct table *topics;     /* name -> rd_kafka_topic_t of for_data */
    struct table *own_topics; /* the same of txn, where that is another */
    int64_t in_flight, in_flight_bytes, in_flight_limit;
    struct stream *const *streams;
    uint32_t stream_count;
    bool cold; /* topics were prepared since the last sink_warm */
    bool in_transaction;
    struct err failure;
};

static int64_t message_cost(size_t key_len, size_t len)
{
    return (int64_t)(key_len + len) + MESSAGE_OVERHEAD_BYTES;
}

static void *pack_copied(const struct stream *s, int64_t offset)
{
    uint64_t low = (uint64_t)offset & ((1ULL << OFFSET_BITS) - 1);

    return (void *)(uintptr_t)((low << (STREAM_BITS + 2)) |
                               ((uint64_t)s->index << 2) | TAG_COPIED);
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

static void delivery_failed(struct sink *sink, struct client *c,
                            const rd_kafka_message_t *m, struct stream *s,
                            int64_t offset)
{
    char what[TOPIC_NAME_MAX + 96];

    if (s != NULL && refused_for_good(m->err) && s->fault == STREAM_OK) {
        s->fault = STREAM_REFUSED;
        s->fault_offset = offset;
        s->too_large = m->err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
        snprintf(s->fault_text, sizeof(s->fault_text),
                 "%s refused offset %lld or one sent with it: %s",
                 sink->txn.cluster, (long long)offset,
                 rd_kafka_err2name(m->err));
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

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m,
                        void *opaque)
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
    case TAG_COPIED: {
        uint32_t index = (bits >> 2) & ((1U << STREAM_BITS) - 1);
        VERIFY(index < sink->stream_count);
        struct stream *s = sink->streams[index];
        delivered(sink, c, m, s, unpack_offset(bits, s->next));
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

static void prepare_txn(rd_kafka_conf_t *conf, void *arg)
{
    struct sink *sink = arg;

    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    txn_watch_install(&sink->watch, conf);
}

static void prepare_data(rd_kafka_conf_t *conf, void *arg)
{
    (void)arg;
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
}

static enum err_kind init_transactions(struct sink *sink,
                                       const struct patience *patience,
                                       struct err *e)
{
    int slice;

    client_warm(&sink->txn, patience_left(patience, SLICE_MS));
    while ((slice = patience_left(patience, SLICE_MS)) > 0) {
        rd_kafka_error_t *error =
            rd_kafka_init_transactions(sink->txn.rk, slice);
        bool again = error != NULL && rd_kafka_error_is_retriable(error);

        client_poll(&sink->txn, 0); /* for the cause in last_error */
        if (client_take(&sink->txn, error, "init transactions", e) ==
                ERR_NONE ||
            !again || sink->txn.denied) {
            return e->kind;
        }
    }
    return e->kind != ERR_NONE
               ? e->kind
               : err_set(e, ERR_RETRY, "init transactions: told to stop");
}

enum err_kind sink_open(struct sink **out, const struct sink_settings *settings,
                        const struct patience *patience, struct err *e)
{
    struct sink *sink = mem_calloc(1, sizeof(*sink));
    char batch[24];
    const bool small = settings->batch_bytes > 0;
    const struct client_extra id[] = {
        {"transactional.id", settings->transactional_id},
        {small ? "batch.size" : NULL, batch},
        {NULL, NULL}};

    sink->in_flight_limit = settings->in_flight_bytes;
    snprintf(batch, sizeof(batch), "%lld", (long long)settings->batch_bytes);
    sink->topics = table_new();
    sink->own_topics = table_new();
    e->kind = ERR_NONE;
    if (client_open(&sink->txn, CLIENT_TXN, settings->target, id, prepare_txn,
                    sink, e) != ERR_NONE) {
        goto fail;
    }
    sink->for_data = &sink->txn;
    if (settings->guarantee == GUARANTEE_AT_LEAST_ONCE) {
        if (client_open(&sink->data, CLIENT_DATA, settings->target, id + 1,
                        prepare_data, sink, e) != ERR_NONE) {
            goto fail;
        }
        sink->for_data = &sink->data;
    }
    if (init_transactions(sink, patience, e) != ERR_NONE) {
        goto fail;
    }
    *out = sink;
    return ERR_NONE;

fail:
    sink_close(&sink);
    return e->kind;
}

/* A message that is never given back would make the consumer's destroy wait
 * for ever. librdkafka reports each purged one through the poll, as soon as its
 * threads look: no limit, since nothing else can be done. */
static void drain(struct client *c)
{
    if (c->rk == NULL) {
        return;
    }
    rd_kafka_purge(c->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    while (c->owner != NULL && rd_kafka_outq_len(c->rk) > 0 &&
           ((struct sink *)c->owner)->in_flight > 0) {
        rd_kafka_poll(c->rk, DRAIN_POLL_MS);
    }
}

static void forget_topic(void *topic)
{
    rd_kafka_topic_destroy(topic);
}

void sink_close(struct sink **sink)
{
    if (*sink == NULL) {
        return;
    }
    drain(&(*sink)->txn);
    drain(&(*sink)->data);
    table_free(&(*sink)->topics, forget_topic);
    table_free(&(*sink)->own_topics, forget_topic);
    client_close(&(*sink)->txn);
    client_close(&(*sink)->data);
    free(*sink);
    *sink = NULL;
}

enum err_kind sink_begin(struct sink *sink, struct err *e)
{
    VERIFY(!sink->in_transaction);
    txn_watch_begin(&sink->watch);
    if (client_take(&sink->txn, rd_kafka_begin_transaction(sink->txn.rk),
                    "begin transaction", e) != ERR_NONE) {
        return e->kind;
    }
    sink->in_transaction = true;
    return ERR_NONE;
}

static rd_kafka_topic_t *topic_handle(struct client *c, struct table *table,
                                      const char *name)
{
    rd_kafka_topic_t *topic = table_get(table, name);

    if (topic == NULL) {
        topic = rd_kafka_topic_new(c->rk, name, NULL);
        VERIFY(topic != NULL);
        table_put(table, name, topic);
    }
    return topic;
}

void sink_prepare(struct sink *sink, struct stream *stream)
{
    VERIFY(stream->index < 1U << STREAM_BITS);
    stream->sink_topic =
        topic_handle(sink->for_data, sink->topics, stream->target_topic);
    sink->cold = true;
}

void sink_warm(struct sink *sink, const struct patience *patience)
{
    if (sink->cold &&
        client_warm(sink->for_data, patience_left(patience, WARM_MS))) {
        sink->cold = false;
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
         .u.ptr = copied ? pack_copied(stream, m->offset) : (void *)m},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
    };

    return rd_kafka_produceva(sink->for_data->rk, vus,
                              sizeof(vus) / sizeof(*vus) - (headers == NULL));
}

enum err_kind sink_send(struct sink *sink, struct stream *stream,
                        rd_kafka_message_t *m, struct err *e)
{
    const bool copied = m->len < ZERO_COPY_MIN_BYTES;
    const int64_t offset = m->offset;
    rd_kafka_headers_t *headers = NULL;
    rd_kafka_error_t *error;
    rd_kafka_resp_err_t code;

    code = rd_kafka_message_detach_headers(m, &headers);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR &&
        code != RD_KAFKA_RESP_ERR__NOENT) {
        rd_kafka_message_destroy(m);
        return err_set(e, ERR_FAILED,
                       "%s[%d] offset %lld: its headers can't "
                       "be read: %s",
                       stream->topic, (int)stream->partition, (long long)offset,
                       rd_kafka_err2str(code));
    }
    error = produce(sink, stream, m, headers, copied);
    if (error != NULL) {
        if (headers != NULL) {
            rd_kafka_headers_destroy(headers);
        }
        client_take(sink->for_data, error, "send", e);
        rd_kafka_message_destroy(m);
        return err_prefix(e, "%s[%d] offset %lld", stream->topic,
                          (int)stream->partition, (long long)offset);
    }
    sink->in_flight++;
    sink->in_flight_bytes += message_cost(m->key_len, m->len);
    if (copied) {
        rd_kafka_message_destroy(m);
    }
    return ERR_NONE;
}

enum err_kind sink_put(struct sink *sink, const char *topic, int32_t partition,
                       const char *key, const void *value, size_t len,
                       int64_t *offset, struct err *e)
{
    const rd_kafka_vu_t vus[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT,
         .u.rkt = topic_handle(&sink->txn,
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

void sink_poll(struct sink *sink, int timeout_ms)
{
    client_poll(sink->for_data, timeout_ms);
    if (sink->for_data != &sink->txn) {
        client_poll(&sink->txn, 0);
    }
}

enum err_kind sink_failure(const struct sink *sink, struct err *e)
{
    if (sink->failure.kind != ERR_NONE) {
        *e = sink->failure;
    }
    return sink->failure.kind;
}

enum err_kind sink_flush(struct sink *sink, const struct patience *patience,
                         struct err *e)
{
    int slice;

    while (sink->in_flight > 0) {
        slice = patience_left(patience, SLICE_MS);
        if (slice == 0) {
            return err_set(e, ERR_RETRY,
                           "%s: %lld records were not delivered in time%s%s",
                           sink->txn.cluster, (long long)sink->in_flight,
                           sink->for_data->last_error[0] ? ": " : "",
                           sink->for_data->last_error);
        }
        rd_kafka_flush(sink->for_data->rk, slice);
        if (sink->for_data != &sink->txn) {
            rd_kafka_flush(sink->txn.rk, slice);
        }
        if (sink_failure(sink, e) != ERR_NONE) {
            return e->kind;
        }
    }
    return sink_failure(sink, e);
}

enum err_kind sink_commit(struct sink *sink, const struct patience *patience,
                          struct err *e)
{
    rd_kafka_error_t *error;
    bool again;
    int slice;

    if (sink_flush(sink, patience, e) != ERR_NONE) {
        return e->kind;
    }
    do {
        slice = patience_left(patience, SLICE_MS);
        if (slice == 0) {
            return err_set(e, ERR_RETRY, "%s: the commit did not end in time",
                           sink->txn.cluster);
        }
        error = rd_kafka_commit_transaction(sink->txn.rk, slice);
        again = error != NULL && rd_kafka_error_is_retriable(error) &&
                !rd_kafka_error_txn_requires_abort(error);
        client_take(&sink->txn, error, "commit", e);
    } while (again);
    if (error != NULL) {
        return e->kind;
    }
    sink->in_transaction = false;
    return ERR_NONE;
}

bool sink_is_ambiguous(const struct sink *sink)
{
    return txn_watch_ambiguous(&sink->watch);
}

void sink_set_streams(struct sink *sink, struct stream *const *streams,
                      uint32_t count)
{
    sink->streams = streams;
    sink->stream_count = count;
}

int64_t sink_log_end(struct sink *sink, const char *topic, int32_t partition,
                     int timeout_ms)
{
    int64_t low, high;

    return rd_kafka_query_watermark_offsets(sink->txn.rk, topic, partition,
                                            &low, &high, timeout_ms) ==
                   RD_KAFKA_RESP_ERR_NO_ERROR
               ? high
               : -1;
}
