/*
 * sink.h - the target end of a lane: producers, transactions, deliveries.
 *
 * One lane, one sink, one thread: every call, and the delivery reports inside
 * them. A sink is crash-only: after any error but ERR_RETRY close it and open a
 * new one, which fences this one and settles what it left open.
 *
 * exactly_once: one transactional producer carries data and state together.
 * at_least_once: state goes through the transactional producer, so that a
 * process that lost the lane can never overwrite it; data go through a second,
 * idempotent one.
 */
#ifndef RELAY_IO_SINK_H
#define RELAY_IO_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "relay/base/err.h"
#include "relay/base/patience.h"
#include "relay/io/stream.h"

struct sink;
struct rd_kafka_message_s; /* a consumed record: only io looks inside */

struct sink_settings {
    const struct cluster_config *target;
    const char *transactional_id;
    int guarantee;           /* enum guarantee */
    int64_t batch_bytes;     /* at most so large a batch; 0: as configured */
    int64_t in_flight_bytes; /* of records handed over, not yet delivered */
    /* For sink_dead_letter; borrowed. */
    const char *dead_letter_topic, *source_name;
};

/* Opens the producers and runs init_transactions, which fences whoever had
 * the transactional id. ERR_UNREACHABLE, ERR_DENIED, ERR_CONFIG, ... */
enum err_kind sink_open(struct sink **out, const struct sink_settings *settings,
                        const struct patience *patience,
                        struct err *e) MUST_CHECK;

/* Drops what is not delivered, gives all records back, closes. Nulls. */
void sink_close(struct sink **sink);

/* A transaction, open from here on; nothing is sent before its first record. */
enum err_kind sink_begin(struct sink *sink, struct err *e) MUST_CHECK;

/* Makes the stream's target topic known before its first record. The sink asks
 * for metadata once, in sink_warm, for all topics prepared since. */
void sink_prepare(struct sink *sink, struct stream *stream);
void sink_warm(struct sink *sink, const struct patience *patience);

/* Hands a record over; the sink owns `message` from here on.
 * `stream` finds its way back from the delivery report by stream->index. */
enum err_kind sink_send(struct sink *sink, struct stream *stream,
                        struct rd_kafka_message_s *message,
                        struct err *e) MUST_CHECK;

/* The same, but to the dead-letter topic, in the same transaction; see letter.h
 * and stream->divert. A refusal there is a fault of the stream, too. */
enum err_kind sink_dead_letter(struct sink *sink, struct stream *stream,
                               struct rd_kafka_message_s *message,
                               struct err *e) MUST_CHECK;

/* Whether a record of `bytes` may be handed over now: in-flight bytes stay
 * below the limit, but one record alone always passes. */
bool sink_has_room(const struct sink *sink, int64_t bytes);

/* Another limit than the settings'. */
void sink_set_limit(struct sink *sink, int64_t in_flight_bytes);

/* Puts a record of the relay's own into a topic, with the transactional
 * producer. value NULL: a tombstone. Copied. *offset (NULL allowed) is set
 * when it is delivered, and must live until sink_flush or sink_commit. */
enum err_kind sink_put(struct sink *sink, const char *topic, int32_t partition,
                       const char *key, const void *value, size_t len,
                       int64_t *offset, struct err *e) MUST_CHECK;

/* Serves delivery reports; waits up to timeout_ms for one. */
void sink_poll(struct sink *sink, int timeout_ms);

/* The first delivery that failed since sink_open, or ERR_NONE. */
enum err_kind sink_failure(const struct sink *sink, struct err *e);

/* Waits until everything handed over is delivered. ERR_RETRY: patience ended
 * first. */
enum err_kind sink_flush(struct sink *sink, const struct patience *patience,
                         struct err *e) MUST_CHECK;

/* Flushes and commits. After ERR_NONE nothing is open: sink_begin, unless
 * sink_is_ambiguous, which asks for a new sink (KAFKA-17754). */
enum err_kind sink_commit(struct sink *sink, const struct patience *patience,
                          struct err *e) MUST_CHECK;
bool sink_is_ambiguous(const struct sink *sink);

/* Ends the transaction without its records, at once: the next owner of the
 * transactional id need not. Failures do not matter. */
void sink_abort(struct sink *sink, const struct patience *patience);

/* How many connection and broker errors there were since sink_open. */
unsigned sink_errors(const struct sink *sink);

/* Handed over, and not delivered yet. */
int64_t sink_in_flight(const struct sink *sink);

/* The last stable offset of a topic of the relay's own; -1: not to be learnt
 * within timeout_ms. */
int64_t sink_log_end(struct sink *sink, const char *topic, int32_t partition,
                     int timeout_ms);

/* The streams that delivery reports refer to, by index; set when they
 * change. Borrowed. */
void sink_set_streams(struct sink *sink, struct stream *const *streams,
                      uint32_t count);

#endif
