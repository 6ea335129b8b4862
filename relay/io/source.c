/*
 * source.c - see source.h.
 *
 * Fetching stops while the queue is full, and librdkafka before 2.2 then
 * sleeps for up to a second, however soon the queue is empty: 58 times slower
 * at worst (FACTS: queued.max.messages.kbytes). A seek wakes the broker's
 * thread, and a seek to where a stream stands anyway changes nothing once the
 * queue is empty. source_read does that when the queue has run dry after it
 * was full.
 */
#include "relay/io/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/base/table.h"
#include "relay/io/client.h"

enum {
    /* Of the fetch share: queued, and one response (compressed, and up to
     * four times that when it is not). */
    QUEUE_PART = 2,
    RESPONSE_PART = 8,
    MESSAGE_BYTES = 512, /* librdkafka's own, and a small record */
    WARM_MS = 5000,
    KICK_AFTER_MS = 2,
    KICK_STREAMS = 64, /* at most so many seeks at once */
    FETCH_QUEUE_BACKOFF_VERSION = 0x020200ff,
};

/* What rd_kafka_topic_opaque gives: finds a message's stream by index. */
struct source_topic {
    rd_kafka_topic_t *rkt;
    struct stream **streams; /* by partition; NULL: not read */
    int32_t count;
};

struct source {
    struct client client;
    rd_kafka_queue_t *queue;
    struct table *topics;
    struct stream **streams; /* by index; NULL: forgotten */
    uint32_t stream_count, stream_capacity;
    bool cold;
    size_t queue_limit;   /* messages */
    bool was_full;        /* since the last kick */
    int64_t dry_since_ms; /* clock_ms at which the queue ran dry; 0: no */
    uint32_t kick_from, kick_count;
    char commit_failure[192];
    bool commit_failed;
};

static void on_commit(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                      rd_kafka_topic_partition_list_t *offsets, void *opaque)
{
    struct source *source = ((struct client *)opaque)->owner;

    (void)rk;
    for (int i = 0; err == RD_KAFKA_RESP_ERR_NO_ERROR && offsets != NULL &&
                    i < offsets->cnt;
         i++) {
        err = offsets->elems[i].err;
    }
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR && !source->commit_failed) {
        source->commit_failed = true;
        snprintf(source->commit_failure, sizeof(source->commit_failure), "%s",
                 rd_kafka_err2str(err));
    }
}

static void prepare(rd_kafka_conf_t *conf, void *arg)
{
    (void)arg;
    rd_kafka_conf_set_offset_commit_cb(conf, on_commit);
}

/* The settings that follow from the lane's share of buffer_memory. */
static enum err_kind open_client(struct source *source,
                                 const struct source_settings *settings,
                                 struct err *e)
{
    const int64_t response = settings->fetch_bytes / RESPONSE_PART;
    const int64_t queued = settings->fetch_bytes / QUEUE_PART;
    char kbytes[24], messages[24], fetch[24];
    const struct client_extra extra[] = {
        {"group.id", settings->group},
        {"queued.max.messages.kbytes", kbytes},
        {"queued.min.messages", messages},
        {"fetch.message.max.bytes", fetch},
        {"fetch.max.bytes", fetch},
        {"message.max.bytes", fetch}, /* may not be above fetch.max.bytes */
        {rd_kafka_version() >= FETCH_QUEUE_BACKOFF_VERSION
             ? "fetch.queue.backoff.ms"
             : NULL,
         "2"},
        {NULL, NULL}};

    source->queue_limit = (size_t)(queued / MESSAGE_BYTES);
    snprintf(kbytes, sizeof(kbytes), "%lld", (long long)(queued / 1024));
    snprintf(messages, sizeof(messages), "%zu", source->queue_limit);
    snprintf(fetch, sizeof(fetch), "%lld", (long long)response);
    return client_open(&source->client, CLIENT_SOURCE, settings->cluster, extra,
                       prepare, source, e);
}

enum err_kind source_open(struct source **out,
                          const struct source_settings *settings, struct err *e)
{
    struct source *source = mem_calloc(1, sizeof(*source));

    source->topics = table_new();
    if (open_client(source, settings, e) != ERR_NONE) {
        table_free(&source->topics, NULL);
        free(source);
        return e->kind;
    }
    source->queue = rd_kafka_queue_new(source->client.rk);
    *out = source;
    return ERR_NONE;
}

static void topic_free(void *value)
{
    struct source_topic *topic = value;

    rd_kafka_topic_destroy(topic->rkt);
    free(topic->streams);
    free(topic);
}

void source_close(struct source **source)
{
    struct source *s = *source;

    if (s == NULL) {
        return;
    }
    for (uint32_t i = 0; i < s->stream_count; i++) {
        if (s->streams[i] != NULL) {
            source_stop(s, s->streams[i]);
        }
    }
    rd_kafka_queue_destroy(s->queue);
    table_free(&s->topics, topic_free);
    client_close(&s->client);
    free(s->streams);
    free(s);
    *source = NULL;
}

static struct source_topic *topic_of(struct source *source, const char *name)
{
    struct source_topic *topic = table_get(source->topics, name);
    rd_kafka_topic_conf_t *conf;

    if (topic == NULL) {
        topic = mem_calloc(1, sizeof(*topic));
        conf = rd_kafka_default_topic_conf_dup(source->client.rk);
        rd_kafka_topic_conf_set_opaque(conf, topic);
        topic->rkt = rd_kafka_topic_new(source->client.rk, name, conf);
        VERIFY(topic->rkt != NULL);
        table_put(source->topics, name, topic);
        source->cold = true;
    }
    return topic;
}

/* The topic's array only grows between reads: no message is in the caller's
 * hands while its stream is looked up. */
static void reserve(struct source_topic *topic, int32_t partition)
{
    if (partition >= topic->count) {
        topic->streams = mem_realloc(topic->streams, (size_t)partition + 1,
                                     sizeof(*topic->streams));
        memset(topic->streams + topic->count, 0,
               (size_t)(partition + 1 - topic->count) *
                   sizeof(*topic->streams));
        topic->count = partition + 1;
    }
}

void source_prepare(struct source *source, struct stream *stream)
{
    struct source_topic *topic = topic_of(source, stream->topic);

    reserve(topic, stream->partition);
    VERIFY(topic->streams[stream->partition] == NULL);
    topic->streams[stream->partition] = stream;
    stream->source_topic = topic;
    if (source->stream_count == source->stream_capacity) {
        source->stream_capacity =
            source->stream_capacity > 0 ? source->stream_capacity * 2 : 64;
        source->streams = mem_realloc(source->streams, source->stream_capacity,
                                      sizeof(*source->streams));
    }
    stream->index = source->stream_count;
    source->streams[source->stream_count++] = stream;
}

void source_warm(struct source *source, const struct patience *patience)
{
    if (source->cold &&
        client_warm(&source->client, patience_left(patience, WARM_MS))) {
        source->cold = false;
    }
}

enum err_kind source_start(struct source *source, struct stream *stream,
                           struct err *e)
{
    struct source_topic *topic = stream->source_topic;

    if (rd_kafka_consume_start_queue(topic->rkt, stream->partition,
                                     stream->next, source->queue) != 0) {
        client_fail(&source->client, rd_kafka_last_error(), "start reading",
                    NULL, e);
        return err_prefix(e, "%s[%d]", stream->topic, (int)stream->partition);
    }
    stream->started = true;
    stream->at_end = false;
    return ERR_NONE;
}

void source_stop(struct source *source, struct stream *stream)
{
    struct source_topic *topic = stream->source_topic;

    (void)source;
    if (stream->started) {
        rd_kafka_consume_stop(topic->rkt, stream->partition);
        stream->started = false;
    }
}

/* Wakes fetching that sleeps although the queue is empty (see above): one
 * stream first, then more and more of them, since each broker has a thread of
 * its own and nobody tells which of them sleep. */
static void kick(struct source *source)
{
    uint32_t left = source->kick_count;

    for (uint32_t i = 0; i < source->stream_count && left > 0; i++) {
        uint32_t at = (source->kick_from + i) % source->stream_count;
        struct stream *s = source->streams[at];

        if (!s->started || s->at_end || s->fault != STREAM_OK) {
            continue;
        }
        rd_kafka_seek(((struct source_topic *)s->source_topic)->rkt,
                      s->partition, s->next, 0);
        left--;
        source->kick_from = at + 1;
    }
    source->kick_count *= 2;
    source->was_full = source->kick_count <= KICK_STREAMS;
    source->dry_since_ms = clock_ms();
}

/* Nothing came at once. While a kick may be due, waits no longer than until
 * then. */
static int dry_timeout(struct source *source, int timeout_ms)
{
    if (!source->was_full ||
        rd_kafka_version() >= FETCH_QUEUE_BACKOFF_VERSION) {
        return timeout_ms;
    }
    if (source->dry_since_ms == 0) {
        source->dry_since_ms = clock_ms();
        source->kick_count = 1;
    } else if (clock_ms() - source->dry_since_ms >= KICK_AFTER_MS) {
        kick(source);
    }
    return timeout_ms < KICK_AFTER_MS ? timeout_ms : KICK_AFTER_MS;
}

size_t source_read(struct source *source, int timeout_ms,
                   rd_kafka_message_t **out, size_t max)
{
    ssize_t n = rd_kafka_consume_batch_queue(source->queue, 0, out, max);

    if (n <= 0) {
        /* A batch would wait for all of `max`; one message ends the wait. */
        timeout_ms = dry_timeout(source, timeout_ms);
        out[0] = timeout_ms > 0
                     ? rd_kafka_consume_queue(source->queue, timeout_ms)
                     : NULL;
        if (out[0] == NULL) {
            client_poll(&source->client, 0);
            return 0;
        }
        n = rd_kafka_consume_batch_queue(source->queue, 0, out + 1, max - 1);
        n = n < 0 ? 1 : n + 1;
    }
    source->dry_since_ms = 0;
    /* Bytes in the queue are not to be seen; a quarter of the messages that
     * would fill it is taken for full. */
    if (!source->was_full && (size_t)n == max) {
        source->was_full =
            rd_kafka_queue_length(source->queue) >= source->queue_limit / 4;
    }
    return (size_t)n;
}

struct stream *source_stream_of(const rd_kafka_message_t *message)
{
    const struct source_topic *topic =
        message->rkt != NULL ? rd_kafka_topic_opaque(message->rkt) : NULL;

    if (topic == NULL || message->partition < 0 ||
        message->partition >= topic->count) {
        return NULL;
    }
    return topic->streams[message->partition];
}

struct stream *const *source_streams(const struct source *source,
                                     uint32_t *count)
{
    *count = source->stream_count;
    return source->streams;
}

bool source_watermarks(const struct source *source, const struct stream *stream,
                       int64_t *low, int64_t *high)
{
    return rd_kafka_get_watermark_offsets(source->client.rk, stream->topic,
                                          stream->partition, low,
                                          high) == RD_KAFKA_RESP_ERR_NO_ERROR &&
           *high >= 0;
}

static void commit_and_wait(struct source *source,
                            rd_kafka_topic_partition_list_t *list, int wait_ms)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(source->client.rk);

    if (rd_kafka_commit_queue(source->client.rk, list, queue, on_commit,
                              &source->client) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_queue_poll_callback(queue, wait_ms);
    }
    rd_kafka_queue_destroy(queue);
}

void source_commit(struct source *source, struct stream *const *streams,
                   size_t count, int wait_ms)
{
    rd_kafka_topic_partition_list_t *list;

    if (source->commit_failed || count == 0) {
        return;
    }
    list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_list_add(list, streams[i]->topic,
                                          streams[i]->partition)
            ->offset = streams[i]->next;
    }
    if (wait_ms > 0) {
        commit_and_wait(source, list, wait_ms);
    } else {
        rd_kafka_commit(source->client.rk, list, 1);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

const char *source_commit_failure(struct source *source)
{
    static const char none[] = "";

    if (source->commit_failure[0] == '\0') {
        return none;
    }
    source->commit_failed = true;
    return source->commit_failure;
}

const char *source_last_error(struct source *source, bool *denied)
{
    client_poll(&source->client, 0);
    *denied = source->client.denied;
    return source->client.last_error;
}

unsigned source_errors(const struct source *source)
{
    return source->client.errors;
}
