/*
 * sink.c - see sink.h.
 *
 * send.c has what happens to a record: into a producer, and its delivery
 * report.
 */
#include "relay/io/sink.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "relay/base/mem.h"
#include "relay/io/sink_internal.h"

enum { SLICE_MS = 500, DRAIN_POLL_MS = 10, WARM_MS = 5000 };

static void prepare_txn(rd_kafka_conf_t *conf, void *arg)
{
    struct sink *sink = arg;

    rd_kafka_conf_set_dr_msg_cb(conf, sink_on_delivery);
    txn_watch_install(&sink->watch, conf);
}

static void prepare_data(rd_kafka_conf_t *conf, void *arg)
{
    (void)arg;
    rd_kafka_conf_set_dr_msg_cb(conf, sink_on_delivery);
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
    sink->dead_letter_topic = settings->dead_letter_topic;
    sink->source_name = settings->source_name;
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

rd_kafka_topic_t *sink_topic(struct client *c, struct table *table,
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
    VERIFY(stream->index < SINK_STREAMS_MAX);
    stream->sink_topic =
        sink_topic(sink->for_data, sink->topics, stream->target_topic);
    sink->cold = true;
}

void sink_warm(struct sink *sink, const struct patience *patience)
{
    if (sink->cold &&
        client_warm(sink->for_data, patience_left(patience, WARM_MS))) {
        sink->cold = false;
    }
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

/* A topic of the producer's that the cluster does not have, as the reason why
 * nothing is delivered; "" when that is not it. */
static void missing_topic(const struct sink *sink, char *out, size_t size)
{
    const struct rd_kafka_metadata *metadata;

    out[0] = '\0';
    if (rd_kafka_metadata(sink->for_data->rk, 0, NULL, &metadata, SLICE_MS) !=
        RD_KAFKA_RESP_ERR_NO_ERROR) {
        return;
    }
    for (int i = 0; i < metadata->topic_cnt; i++) {
        if (metadata->topics[i].err ==
            RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
            snprintf(out, size, ": topic %s is not there; was it deleted?",
                     metadata->topics[i].topic);
        }
    }
    rd_kafka_metadata_destroy(metadata);
}

static enum err_kind not_in_time(const struct sink *sink, struct err *e)
{
    char missing[TOPIC_NAME_MAX + 64];

    missing_topic(sink, missing, sizeof(missing));
    return err_set(
        e, ERR_RETRY, "%s: %lld records were not delivered in time%s%s%s",
        sink->txn.cluster, (long long)sink->in_flight, missing,
        sink->for_data->last_error[0] ? ": " : "", sink->for_data->last_error);
}

enum err_kind sink_flush(struct sink *sink, const struct patience *patience,
                         struct err *e)
{
    int slice;

    while (sink->in_flight > 0) {
        slice = patience_left(patience, SLICE_MS);
        if (slice == 0) {
            return not_in_time(sink, e);
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

void sink_abort(struct sink *sink, const struct patience *patience)
{
    const int ms = patience_left(patience, INT_MAX);
    rd_kafka_error_t *error;

    if (!sink->in_transaction || ms <= 0) {
        return;
    }
    sink->in_transaction = false;
    error = rd_kafka_abort_transaction(sink->txn.rk, ms);
    if (error != NULL) {
        rd_kafka_error_destroy(error);
    }
}

unsigned sink_errors(const struct sink *sink)
{
    return sink->txn.errors + sink->data.errors;
}

int64_t sink_in_flight(const struct sink *sink)
{
    return sink->in_flight;
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
