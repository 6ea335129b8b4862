/*
 * sink_internal.h - what sink.c (producers, transactions) and send.c (records,
 * delivery reports) share. Private to those two.
 */
#ifndef RELAY_IO_SINK_INTERNAL_H
#define RELAY_IO_SINK_INTERNAL_H

#include "relay/base/table.h"
#include "relay/io/client.h"
#include "relay/io/sink.h"
#include "relay/io/txn_watch.h"

enum { SINK_STREAMS_MAX = 1 << 20 }; /* what an opaque can tell apart */

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
    const char *dead_letter_topic, *source_name;
    bool cold; /* topics were prepared since the last sink_warm */
    bool in_transaction;
    struct err failure;
};

/* The producer's handle for a topic, made at first use. */
rd_kafka_topic_t *sink_topic(struct client *c, struct table *table,
                             const char *name);

/* librdkafka's delivery report callback for both producers. */
void sink_on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m,
                      void *opaque);

#endif
