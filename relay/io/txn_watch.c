/*
 * txn_watch.c - see txn_watch.h.
 */
#include "relay/io/txn_watch.h"

/* ApiKeys of https://kafka.apache.org/protocol#protocol_api_keys */
enum {
    API_INIT_PRODUCER_ID = 22,
    API_ADD_PARTITIONS_TO_TXN = 24,
    API_ADD_OFFSETS_TO_TXN = 25,
    API_END_TXN = 26,
    API_TXN_OFFSET_COMMIT = 28,
};

static bool watched(int16_t api)
{
    return api == API_INIT_PRODUCER_ID || api == API_ADD_PARTITIONS_TO_TXN ||
           api == API_ADD_OFFSETS_TO_TXN || api == API_END_TXN ||
           api == API_TXN_OFFSET_COMMIT;
}

static rd_kafka_resp_err_t on_sent(rd_kafka_t *rk, int sockfd,
                                   const char *broker, int32_t broker_id,
                                   int16_t api, int16_t version,
                                   int32_t corr_id, size_t size, void *opaque)
{
    struct txn_watch *w = opaque;

    (void)rk, (void)sockfd, (void)broker, (void)broker_id;
    (void)version, (void)corr_id, (void)size;
    if (watched(api)) {
        atomic_fetch_add(&w->unanswered, 1);
    }
    if (api == API_END_TXN) {
        atomic_fetch_add(&w->end_txn, 1);
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t
on_received(rd_kafka_t *rk, int sockfd, const char *broker, int32_t broker_id,
            int16_t api, int16_t version, int32_t corr_id, size_t size,
            int64_t rtt, rd_kafka_resp_err_t err, void *opaque)
{
    struct txn_watch *w = opaque;

    (void)rk, (void)sockfd, (void)broker, (void)broker_id;
    (void)version, (void)corr_id, (void)size, (void)rtt;
    if (watched(api) && err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        atomic_fetch_sub(&w->unanswered, 1);
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t on_new(rd_kafka_t *rk, const rd_kafka_conf_t *conf,
                                  void *opaque, char *why, size_t why_size)
{
    rd_kafka_resp_err_t err;

    (void)conf, (void)why, (void)why_size;
    err = rd_kafka_interceptor_add_on_request_sent(rk, "txn_watch", on_sent,
                                                   opaque);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return err;
    }
    return rd_kafka_interceptor_add_on_response_received(rk, "txn_watch",
                                                         on_received, opaque);
}

void txn_watch_install(struct txn_watch *w, rd_kafka_conf_t *conf)
{
    atomic_init(&w->unanswered, 0);
    atomic_init(&w->end_txn, 0);
    rd_kafka_conf_interceptor_add_on_new(conf, "txn_watch", on_new, w);
}

void txn_watch_begin(struct txn_watch *w)
{
    atomic_store(&w->end_txn, 0);
}

bool txn_watch_ambiguous(const struct txn_watch *w)
{
    return atomic_load(&w->unanswered) > 0 || atomic_load(&w->end_txn) > 1;
}
