/*
 * reader.c - see reader.h.
 */
#include "relay/io/reader.h"

#include <stdlib.h>

#include "relay/base/crc.h"
#include "relay/base/mem.h"
#include "relay/base/table.h"
#include "relay/io/client.h"

enum { SLICE_MS = 100, WARM_MS = 2000 };

struct reader {
    struct client client;
    rd_kafka_queue_t *queue;
    rd_kafka_topic_t *log; /* held open by reader_open_log, or NULL */
    int32_t log_partition;
    bool log_at_end;
};

enum err_kind reader_open(struct reader **out,
                          const struct cluster_config *cluster,
                          enum isolation isolation, struct err *e)
{
    struct reader *reader = mem_calloc(1, sizeof(*reader));
    const struct client_extra extra[] = {
        {"isolation.level",
         isolation == READ_COMMITTED ? "read_committed" : "read_uncommitted"},
        {NULL, NULL}};

    if (client_open(&reader->client, CLIENT_READER, cluster, extra, NULL,
                    reader, e) != ERR_NONE) {
        free(reader);
        return e->kind;
    }
    reader->queue = rd_kafka_queue_new(reader->client.rk);
    *out = reader;
    return ERR_NONE;
}

static void close_log(struct reader *reader)
{
    if (reader->log != NULL) {
        rd_kafka_consume_stop(reader->log, reader->log_partition);
        rd_kafka_topic_destroy(reader->log);
        reader->log = NULL;
    }
}

void reader_close(struct reader **reader)
{
    if (*reader == NULL) {
        return;
    }
    close_log(*reader);
    rd_kafka_queue_destroy((*reader)->queue);
    client_close(&(*reader)->client);
    free(*reader);
    *reader = NULL;
}

enum err_kind reader_open_log(struct reader *reader, const char *topic,
                              int32_t partition, struct err *e)
{
    struct patience patience = patience_of(WARM_MS, NULL, 0);

    close_log(reader);
    reader->log = rd_kafka_topic_new(reader->client.rk, topic, NULL);
    VERIFY(reader->log != NULL);
    reader->log_partition = partition;
    reader->log_at_end = false;
    client_warm(&reader->client, patience_left(&patience, WARM_MS));
    if (rd_kafka_consume_start_queue(reader->log, partition,
                                     RD_KAFKA_OFFSET_BEGINNING,
                                     reader->queue) != 0) {
        return client_fail(&reader->client, rd_kafka_last_error(), "read",
                           topic, e);
    }
    return ERR_NONE;
}

/* ERR_NONE: looked at, *enough and reader->log_at_end say what it was. */
static enum err_kind see_message(struct reader *reader,
                                 const rd_kafka_message_t *m,
                                 log_record_fn *see, void *arg, bool *enough,
                                 struct err *e)
{
    struct log_record r = {.offset = m->offset,
                           .key = m->key != NULL ? m->key : "",
                           .key_len = m->key_len,
                           .value = m->payload,
                           .value_len = m->len};

    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        reader->log_at_end = true;
        return ERR_NONE;
    }
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return client_fail(&reader->client, m->err,
                           rd_kafka_topic_name(reader->log),
                           rd_kafka_message_errstr(m), e);
    }
    reader->log_at_end = false;
    switch (see(arg, &r, e)) {
    case LOG_ENOUGH:
        *enough = true;
        return ERR_NONE;
    case LOG_BAD:
        return e->kind;
    case LOG_GO_ON:
        break;
    }
    return ERR_NONE;
}

enum err_kind reader_read_log(struct reader *reader, bool past_end,
                              log_record_fn *see, void *arg,
                              const struct patience *patience, struct err *e)
{
    bool enough = false;
    int slice;

    VERIFY(reader->log != NULL);
    e->kind = ERR_NONE;
    while (!enough && (past_end || !reader->log_at_end)) {
        slice = patience_left(patience, SLICE_MS);
        if (slice == 0) {
            return err_set(e, ERR_RETRY, "%s: reading %s[%d] took too long%s%s",
                           reader->client.cluster,
                           rd_kafka_topic_name(reader->log),
                           (int)reader->log_partition,
                           reader->client.last_error[0] ? ": " : "",
                           reader->client.last_error);
        }
        rd_kafka_message_t *m = rd_kafka_consume_queue(reader->queue, slice);
        client_poll(&reader->client, 0);
        if (m != NULL) {
            see_message(reader, m, see, arg, &enough, e);
            rd_kafka_message_destroy(m);
            if (e->kind != ERR_NONE) {
                return e->kind;
            }
        }
    }
    return ERR_NONE;
}

static void take_answer(struct lookup *l, const rd_kafka_message_t *m)
{
    rd_kafka_timestamp_type_t type;

    l->done = true;
    l->found = MARK_NONE;
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        return;
    }
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        l->missing = true;
        return;
    }
    l->found.offset = m->offset;
    l->found.timestamp_ms = rd_kafka_message_timestamp(m, &type);
    l->broker_time = type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME;
    l->found.crc =
        crc32c_of(crc32c_of(0, m->key, m->key_len), m->payload, m->len);
}

static bool is_answer(const rd_kafka_message_t *m)
{
    switch ((int)m->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
        return true;
    default:
        return false; /* librdkafka goes on trying */
    }
}

/* All lookups of one topic share a handle whose opaque is their array by
 * partition. */
struct looked_topic {
    rd_kafka_topic_t *rkt;
    struct lookup **by_partition;
    int32_t count;
};

static void looked_topic_free(void *value)
{
    struct looked_topic *topic = value;

    rd_kafka_topic_destroy(topic->rkt);
    free(topic->by_partition);
    free(topic);
}

static struct looked_topic *topic_for(struct reader *reader,
                                      struct table *topics, struct lookup *l)
{
    struct looked_topic *topic = table_get(topics, l->topic);

    if (topic == NULL) {
        topic = mem_calloc(1, sizeof(*topic));
        topic->rkt = rd_kafka_topic_new(reader->client.rk, l->topic, NULL);
        VERIFY(topic->rkt != NULL);
        table_put(topics, l->topic, topic);
    }
    if (l->partition >= topic->count) {
        topic->by_partition =
            mem_realloc(topic->by_partition, (size_t)l->partition + 1,
                        sizeof(*topic->by_partition));
        for (int32_t p = topic->count; p <= l->partition; p++) {
            topic->by_partition[p] = NULL;
        }
        topic->count = l->partition + 1;
    }
    VERIFY(topic->by_partition[l->partition] == NULL); /* one at a time */
    topic->by_partition[l->partition] = l;
    return topic;
}

static struct lookup *lookup_of(const struct table *topics,
                                const rd_kafka_message_t *m)
{
    const struct looked_topic *topic =
        m->rkt != NULL ? table_get(topics, rd_kafka_topic_name(m->rkt)) : NULL;

    return topic != NULL && m->partition >= 0 && m->partition < topic->count
               ? topic->by_partition[m->partition]
               : NULL;
}

static enum err_kind collect(struct reader *reader, const struct table *topics,
                             size_t left, const struct patience *patience,
                             struct err *e)
{
    while (left > 0) {
        int slice = patience_left(patience, SLICE_MS);
        if (slice == 0) {
            return err_set(e, ERR_RETRY,
                           "%s: looking up %zu records took too long%s%s",
                           reader->client.cluster, left,
                           reader->client.last_error[0] ? ": " : "",
                           reader->client.last_error);
        }
        rd_kafka_message_t *m = rd_kafka_consume_queue(reader->queue, slice);
        client_poll(&reader->client, 0);
        if (m == NULL) {
            continue;
        }
        struct lookup *l = lookup_of(topics, m);
        if (l != NULL && !l->done && is_answer(m)) {
            take_answer(l, m);
            rd_kafka_consume_stop(m->rkt, m->partition);
            left--;
        }
        rd_kafka_message_destroy(m);
    }
    return ERR_NONE;
}

enum err_kind reader_look_up(struct reader *reader, struct lookup *lookups,
                             size_t count, const struct patience *patience,
                             struct err *e)
{
    struct table *topics = table_new();
    enum err_kind rc;

    for (size_t i = 0; i < count; i++) {
        lookups[i].done = lookups[i].missing = false;
        topic_for(reader, topics, &lookups[i]);
    }
    client_warm(&reader->client, patience_left(patience, WARM_MS));
    for (size_t i = 0; i < count; i++) {
        struct looked_topic *topic = table_get(topics, lookups[i].topic);
        rd_kafka_consume_start_queue(topic->rkt, lookups[i].partition,
                                     lookups[i].offset, reader->queue);
    }
    rc = collect(reader, topics, count, patience, e);
    for (size_t i = 0; i < count; i++) {
        struct looked_topic *topic = table_get(topics, lookups[i].topic);
        if (!lookups[i].done) {
            rd_kafka_consume_stop(topic->rkt, lookups[i].partition);
        }
    }
    table_free(&topics, looked_topic_free);
    return rc;
}
