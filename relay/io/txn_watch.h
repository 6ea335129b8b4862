/*
 * txn_watch.h - did a transaction request go out more often than it was
 * answered?
 *
 * KAFKA-17754: a request that timed out here may still reach the coordinator
 * later, and an EndTxn that arrives late ends the NEXT transaction of the same
 * producer epoch. Only a new epoch makes such a request harmless. librdkafka
 * retries without telling, so interceptors count what it sends.
 * Threads: counted on librdkafka's threads, read on the sink's.
 */
#ifndef RELAY_IO_TXN_WATCH_H
#define RELAY_IO_TXN_WATCH_H

#include <stdatomic.h>
#include <stdbool.h>

#include "relay/io/client.h"

struct txn_watch {
    atomic_int unanswered; /* sent, less those answered whole */
    atomic_int end_txn;    /* EndTxn requests sent since txn_watch_begin */
};

/* Before rd_kafka_new; the watch must outlive the handle. */
void txn_watch_install(struct txn_watch *w, rd_kafka_conf_t *conf);

/* A transaction begins. */
void txn_watch_begin(struct txn_watch *w);

/* After its end: a request of it may still be on its way. The producer must
 * not begin another transaction; destroy it and make a new one. */
bool txn_watch_ambiguous(const struct txn_watch *w);

#endif
