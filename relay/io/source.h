/*
 * source.h - the source end of a lane: one consumer over the lane's streams.
 *
 * librdkafka's partition-level consumer feeds one queue; there is no consumer
 * group behind it, so nothing but the lane decides what is read from where.
 * One lane, one source, one thread.
 */
#ifndef RELAY_IO_SOURCE_H
#define RELAY_IO_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "relay/base/err.h"
#include "relay/base/patience.h"
#include "relay/io/stream.h"

struct source;
struct rd_kafka_message_s;

struct source_settings {
    const struct cluster_config *cluster;
    const char *group;   /* for informational commits only */
    int64_t fetch_bytes; /* of records fetched ahead, as a whole */
};

enum err_kind source_open(struct source **out,
                          const struct source_settings *settings,
                          struct err *e) MUST_CHECK;

/* Stops all streams and closes. Every message must have been given back
 * before: close the sink first. Nulls. */
void source_close(struct source **source);

/* Makes the stream known to the source and gives it its index. */
void source_prepare(struct source *source, struct stream *stream);

/* Metadata of all topics prepared since the last call, in one request. */
void source_warm(struct source *source, const struct patience *patience);

/* Reads from stream->next on. A started stream must be stopped before its
 * memory goes. */
enum err_kind source_start(struct source *source, struct stream *stream,
                           struct err *e) MUST_CHECK;
void source_stop(struct source *source, struct stream *stream);

/* Up to `max` messages: those that are here, or the first that comes within
 * timeout_ms. The caller gives each one back or hands it to the sink. */
size_t source_read(struct source *source, int timeout_ms,
                   struct rd_kafka_message_s **out, size_t max);

/* The stream that a message was read for; NULL when it is read no more. */
struct stream *source_stream_of(const struct rd_kafka_message_s *message);

struct stream *const *source_streams(const struct source *source,
                                     uint32_t *count);

/* Log start and end (high watermark) as the newest fetch told; false while
 * nothing is known. No request is sent. */
bool source_watermarks(const struct source *source, const struct stream *stream,
                       int64_t *low, int64_t *high);

/* Tells the source's group where the moved streams are, so that ordinary lag
 * tools see it. Waited for at most wait_ms (0: not at all); a
 * failure is reported once by source_commit_failure. Nothing rests on it. */
void source_commit(struct source *source, struct stream *const *streams,
                   size_t count, int wait_ms);
const char *source_commit_failure(struct source *source);

/* Serves error callbacks; newest connection error, "" for none. */
const char *source_last_error(struct source *source, bool *denied);

/* How many connection and broker errors there were since source_open. */
unsigned source_errors(const struct source *source);

#endif
