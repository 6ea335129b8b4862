/*
 * group.c - see group.h.
 */
#include "relay/io/group.h"

#include <stdlib.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/io/client.h"

enum { WARM_MS = 500, POLL_MAX = 100 };

struct group {
    struct client client;
    rd_kafka_topic_partition_list_t *none;
    rd_kafka_queue_t *queue; /* its own; watched */
    group_assigned_fn *assigned;
    group_wake_fn *wake;
    void *arg;
};

static void on_event(rd_kafka_t *rk, void *opaque)
{
    struct group *group = opaque;

    (void)rk;
    group->wake(group->arg);
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *partitions,
                         void *opaque)
{
    struct group *group = ((struct client *)opaque)->owner;
    int32_t *lanes;

    if (code != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        rd_kafka_assign(rk, NULL);
        return;
    }
    /* An empty list keeps the membership and fetches nothing. */
    rd_kafka_assign(rk, group->none);
    lanes = mem_calloc((size_t)partitions->cnt, sizeof(*lanes));
    for (int i = 0; i < partitions->cnt; i++) {
        lanes[i] = partitions->elems[i].partition;
    }
    group->assigned(group->arg, lanes, (size_t)partitions->cnt);
    free(lanes);
}

static void prepare(rd_kafka_conf_t *conf, void *arg)
{
    (void)arg;
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
}

static enum err_kind subscribe(struct group *group, const char *topic,
                               struct err *e)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(1);
    rd_kafka_resp_err_t code;

    rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
    code = rd_kafka_subscribe(group->client.rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code == RD_KAFKA_RESP_ERR_NO_ERROR
               ? ERR_NONE
               : client_fail(&group->client, code, "subscribe", topic, e);
}

static void unwatch(struct group *group)
{
    if (group->queue != NULL) {
        rd_kafka_queue_cb_event_enable(group->queue, NULL, NULL);
        rd_kafka_queue_destroy(group->queue);
        group->queue = NULL;
    }
}

enum err_kind group_open(struct group **out,
                         const struct cluster_config *cluster, const char *id,
                         const char *topic, group_assigned_fn *assigned,
                         group_wake_fn *wake, void *arg, struct err *e)
{
    struct group *group = mem_calloc(1, sizeof(*group));
    const struct client_extra extra[] = {{"group.id", id}, {NULL, NULL}};

    group->assigned = assigned;
    group->wake = wake;
    group->arg = arg;
    group->none = rd_kafka_topic_partition_list_new(0);
    if (client_open(&group->client, CLIENT_GROUP, cluster, extra, prepare,
                    group, e) != ERR_NONE) {
        goto fail;
    }
    rd_kafka_poll_set_consumer(group->client.rk);
    client_warm(&group->client, WARM_MS);
    group->queue = rd_kafka_queue_get_consumer(group->client.rk);
    rd_kafka_queue_cb_event_enable(group->queue, on_event, group);
    if (subscribe(group, topic, e) != ERR_NONE) {
        goto fail;
    }
    *out = group;
    return ERR_NONE;

fail:
    unwatch(group);
    client_close(&group->client);
    rd_kafka_topic_partition_list_destroy(group->none);
    free(group);
    return e->kind;
}

void group_poll(struct group *group, struct err *error)
{
    rd_kafka_message_t *m;

    /* The queue tells of its first event only: take all of them. A poll that
     * served a callback gives no message. */
    for (int i = 0; i < POLL_MAX; i++) {
        m = rd_kafka_consumer_poll(group->client.rk, 0);
        if (m == NULL && rd_kafka_queue_length(group->queue) == 0) {
            break;
        }
        if (m == NULL) {
            continue;
        }
        if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
            m->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            client_fail(&group->client, m->err, "lane group",
                        rd_kafka_message_errstr(m), error);
        }
        rd_kafka_message_destroy(m);
    }
}

void group_close(struct group **group, int timeout_ms)
{
    struct group *g = *group;
    const int64_t until_ms = clock_ms() + timeout_ms;
    rd_kafka_queue_t *queue;

    if (g == NULL) {
        return;
    }
    unwatch(g);
    queue = rd_kafka_queue_new(g->client.rk);
    rd_kafka_error_t *error =
        rd_kafka_consumer_close_queue(g->client.rk, queue);
    if (error != NULL) {
        rd_kafka_error_destroy(error);
    }
    while (!rd_kafka_consumer_closed(g->client.rk) && clock_ms() < until_ms) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 50);
        if (event == NULL) {
            continue;
        }
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE) {
            rd_kafka_assign(g->client.rk, NULL);
        }
        rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy_flags(g->client.rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    rd_kafka_topic_partition_list_destroy(g->none);
    free(g);
    *group = NULL;
}
