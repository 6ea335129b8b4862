/*
 * admin.c - see admin.h.
 */
#include "relay/io/admin.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "relay/base/mem.h"
#include "relay/io/client.h"

enum {
    SLICE_MS = 1000,
    REQUEST_MS = 15000,
    LEADER_TRIES = 20,
    LEADER_NAP_MS = 100,
    TELL_AFTER = 4, /* slices with a connection error: time to tell it */
};

struct admin {
    struct client client;
    rd_kafka_queue_t *queue;
};

enum err_kind admin_open(struct admin **out,
                         const struct cluster_config *cluster,
                         enum isolation isolation, struct err *e)
{
    struct admin *admin = mem_calloc(1, sizeof(*admin));
    const struct client_extra extra[] = {
        {"isolation.level",
         isolation == READ_COMMITTED ? "read_committed" : "read_uncommitted"},
        {NULL, NULL}};

    if (client_open(&admin->client, CLIENT_ADMIN, cluster, extra, NULL, admin,
                    e) != ERR_NONE) {
        free(admin);
        return e->kind;
    }
    admin->queue = rd_kafka_queue_new(admin->client.rk);
    *out = admin;
    return ERR_NONE;
}

void admin_close(struct admin **admin)
{
    if (*admin == NULL) {
        return;
    }
    rd_kafka_queue_destroy((*admin)->queue);
    client_close(&(*admin)->client);
    free(*admin);
    *admin = NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct topic_info *)a)->name,
                  ((const struct topic_info *)b)->name);
}

static void copy_topics(struct topic_list *out,
                        const struct rd_kafka_metadata *metadata)
{
    out->items = mem_calloc((size_t)metadata->topic_cnt, sizeof(*out->items));
    out->count = 0;
    out->brokers = metadata->broker_cnt;
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *topic = &metadata->topics[i];
        if (topic->err == RD_KAFKA_RESP_ERR_NO_ERROR ||
            topic->err == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
            out->items[out->count++] =
                (struct topic_info){.name = mem_strdup(topic->topic),
                                    .partitions = topic->partition_cnt};
        }
    }
    qsort(out->items, out->count, sizeof(*out->items), by_name);
}

/* Asking on would only delay the news. */
static bool is_hopeless(const struct admin *admin, int tries)
{
    return admin->client.denied ||
           (tries >= TELL_AFTER && admin->client.last_error[0] != '\0');
}

enum err_kind admin_topics(struct admin *admin, struct topic_list *out,
                           const struct patience *patience, struct err *e)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR__TIMED_OUT;
    int slice, tries = 0;

    client_forget_error(&admin->client);
    while (!is_hopeless(admin, tries++) &&
           (slice = patience_left(patience, SLICE_MS)) > 0) {
        code = rd_kafka_metadata(admin->client.rk, 1, NULL, &metadata, slice);
        client_poll(&admin->client, 0);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            copy_topics(out, metadata);
            rd_kafka_metadata_destroy(metadata);
            return ERR_NONE;
        }
        if (client_kind(code) != ERR_UNREACHABLE) {
            break;
        }
    }
    return client_fail(&admin->client, code, "list topics", NULL, e);
}

void topic_list_free(struct topic_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].name);
    }
    free(list->items);
    *list = (struct topic_list){0};
}

int32_t topic_list_partitions(const struct topic_list *list, const char *name)
{
    const struct topic_info key = {.name = (char *)name};
    const struct topic_info *found;

    if (list->count == 0) {
        return 0;
    }
    found = bsearch(&key, list->items, list->count, sizeof(key), by_name);
    return found != NULL ? found->partitions : 0;
}

enum err_kind admin_cluster_id(struct admin *admin, char **out,
                               const struct patience *patience, struct err *e)
{
    char *id = NULL;
    int slice, tries = 0;

    client_forget_error(&admin->client);
    while (id == NULL && !is_hopeless(admin, tries++) &&
           (slice = patience_left(patience, SLICE_MS)) > 0) {
        id = rd_kafka_clusterid(admin->client.rk, slice);
        client_poll(&admin->client, 0);
    }
    if (id == NULL) {
        return client_fail(&admin->client, RD_KAFKA_RESP_ERR__TIMED_OUT,
                           "ask for the cluster id", NULL, e);
    }
    *out = mem_strdup(id);
    rd_kafka_mem_free(admin->client.rk, id);
    return ERR_NONE;
}

/* The answer to an admin request, or NULL with *e set. */
static rd_kafka_event_t *wait_event(struct admin *admin, const char *what,
                                    const struct patience *patience,
                                    struct err *e)
{
    rd_kafka_event_t *event = NULL;
    int slice;

    while (event == NULL && (slice = patience_left(patience, SLICE_MS)) > 0) {
        event = rd_kafka_queue_poll(admin->queue, slice);
        client_poll(&admin->client, 0);
    }
    if (event == NULL) {
        client_fail(&admin->client, RD_KAFKA_RESP_ERR__TIMED_OUT, what, NULL,
                    e);
        return NULL;
    }
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        client_fail(&admin->client, rd_kafka_event_error(event), what,
                    rd_kafka_event_error_string(event), e);
        rd_kafka_event_destroy(event);
        return NULL;
    }
    return event;
}

static rd_kafka_AdminOptions_t *options(struct admin *admin,
                                        rd_kafka_admin_op_t op)
{
    rd_kafka_AdminOptions_t *o =
        rd_kafka_AdminOptions_new(admin->client.rk, op);
    char why[128];

    client_forget_error(&admin->client);
    rd_kafka_AdminOptions_set_request_timeout(o, REQUEST_MS, why, sizeof(why));
    return o;
}

/* Sets *e to the first result that is neither good nor `fine`. */
static enum err_kind check_results(struct admin *admin, const char *what,
                                   const rd_kafka_topic_result_t **results,
                                   size_t count, rd_kafka_resp_err_t fine,
                                   struct err *e)
{
    e->kind = ERR_NONE;
    for (size_t i = 0; i < count; i++) {
        rd_kafka_resp_err_t code = rd_kafka_topic_result_error(results[i]);

        if (code == RD_KAFKA_RESP_ERR_NO_ERROR || code == fine) {
            continue;
        }
        client_fail(&admin->client, code,
                    rd_kafka_topic_result_name(results[i]),
                    rd_kafka_topic_result_error_string(results[i]), e);
        return err_prefix(e, "%s", what);
    }
    return ERR_NONE;
}

static enum err_kind create_some(struct admin *admin,
                                 const struct topic_wish *wishes, size_t count,
                                 const struct patience *patience, struct err *e)
{
    rd_kafka_NewTopic_t **topics = mem_calloc(count, sizeof(*topics));
    rd_kafka_AdminOptions_t *o = options(admin, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_event_t *event;
    char why[256];
    size_t n = 0;

    e->kind = ERR_NONE;
    for (size_t i = 0; i < count; i++) {
        rd_kafka_NewTopic_t *topic =
            rd_kafka_NewTopic_new(wishes[i].name, wishes[i].partitions,
                                  wishes[i].replication, why, sizeof(why));
        if (topic == NULL) {
            err_set(e, ERR_CONFIG, "create topic %s: %s", wishes[i].name, why);
            continue;
        }
        for (const char *const *c = wishes[i].configs; c != NULL && *c != NULL;
             c += 2) {
            rd_kafka_NewTopic_set_config(topic, c[0], c[1]);
        }
        topics[n++] = topic;
    }
    if (n > 0) {
        rd_kafka_CreateTopics(admin->client.rk, topics, n, o, admin->queue);
        event = wait_event(admin, "create topics", patience, e);
        if (event != NULL) {
            size_t results_count;
            const rd_kafka_topic_result_t **results =
                rd_kafka_CreateTopics_result_topics(
                    rd_kafka_event_CreateTopics_result(event), &results_count);
            check_results(admin, "create topic", results, results_count,
                          RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, e);
            rd_kafka_event_destroy(event);
        }
    }
    rd_kafka_NewTopic_destroy_array(topics, n);
    rd_kafka_AdminOptions_destroy(o);
    free(topics);
    return e->kind;
}

static enum err_kind grow_some(struct admin *admin,
                               const struct topic_wish *wishes, size_t count,
                               const struct patience *patience, struct err *e)
{
    rd_kafka_NewPartitions_t **grown = mem_calloc(count, sizeof(*grown));
    rd_kafka_AdminOptions_t *o =
        options(admin, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS);
    rd_kafka_event_t *event;
    char why[256];

    e->kind = ERR_NONE;
    for (size_t i = 0; i < count; i++) {
        grown[i] = rd_kafka_NewPartitions_new(
            wishes[i].name, (size_t)wishes[i].partitions, why, sizeof(why));
        VERIFY(grown[i] != NULL);
    }
    rd_kafka_CreatePartitions(admin->client.rk, grown, count, o, admin->queue);
    event = wait_event(admin, "grow topics", patience, e);
    if (event != NULL) {
        size_t results_count;
        const rd_kafka_topic_result_t **results =
            rd_kafka_CreatePartitions_result_topics(
                rd_kafka_event_CreatePartitions_result(event), &results_count);
        /* INVALID_PARTITIONS: another process has grown it meanwhile. */
        check_results(admin, "grow topic", results, results_count,
                      RD_KAFKA_RESP_ERR_INVALID_PARTITIONS, e);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_NewPartitions_destroy_array(grown, count);
    rd_kafka_AdminOptions_destroy(o);
    free(grown);
    return e->kind;
}

enum { AT_ONCE = 100 }; /* topics a request */

typedef enum err_kind some_fn(struct admin *, const struct topic_wish *, size_t,
                              const struct patience *, struct err *);

static enum err_kind in_parts(some_fn *do_some, struct admin *admin,
                              const struct topic_wish *wishes, size_t count,
                              const struct patience *patience, struct err *e)
{
    struct err first = {0};

    for (size_t i = 0; i < count; i += AT_ONCE) {
        size_t n = count - i < AT_ONCE ? count - i : AT_ONCE;
        if (do_some(admin, wishes + i, n, patience, e) != ERR_NONE &&
            first.kind == ERR_NONE) {
            first = *e;
        }
    }
    *e = first;
    return e->kind;
}

enum err_kind admin_create(struct admin *admin, const struct topic_wish *wishes,
                           size_t count, const struct patience *patience,
                           struct err *e)
{
    return in_parts(create_some, admin, wishes, count, patience, e);
}

enum err_kind admin_grow(struct admin *admin, const struct topic_wish *wishes,
                         size_t count, const struct patience *patience,
                         struct err *e)
{
    return in_parts(grow_some, admin, wishes, count, patience, e);
}

static char *find_config(const rd_kafka_event_t *event, const char *name,
                         struct admin *admin, struct err *e)
{
    size_t resources, entries;
    const rd_kafka_ConfigResource_t **found =
        rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result((rd_kafka_event_t *)event),
            &resources);

    if (resources != 1 ||
        rd_kafka_ConfigResource_error(found[0]) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        client_fail(&admin->client,
                    resources == 1 ? rd_kafka_ConfigResource_error(found[0])
                                   : RD_KAFKA_RESP_ERR__BAD_MSG,
                    "describe configs", NULL, e);
        return NULL;
    }
    const rd_kafka_ConfigEntry_t **entry =
        rd_kafka_ConfigResource_configs(found[0], &entries);
    for (size_t i = 0; i < entries; i++) {
        if (strcmp(rd_kafka_ConfigEntry_name(entry[i]), name) == 0) {
            const char *value = rd_kafka_ConfigEntry_value(entry[i]);
            return mem_strdup(value != NULL ? value : "");
        }
    }
    err_set(e, ERR_FAILED, "%s: no config %s", admin->client.cluster, name);
    return NULL;
}

enum err_kind admin_topic_config(struct admin *admin, const char *topic,
                                 const char *name, char **out,
                                 const struct patience *patience, struct err *e)
{
    rd_kafka_ConfigResource_t *resource =
        rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic);
    rd_kafka_AdminOptions_t *o =
        options(admin, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_event_t *event;

    e->kind = ERR_NONE;
    rd_kafka_DescribeConfigs(admin->client.rk, &resource, 1, o, admin->queue);
    event = wait_event(admin, "describe configs", patience, e);
    if (event != NULL) {
        char *value = find_config(event, name, admin, e);
        if (value != NULL) {
            *out = value;
        } else {
            err_prefix(e, "%s", topic);
        }
        rd_kafka_event_destroy(event);
    }
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_ConfigResource_destroy(resource);
    return e->kind;
}

static rd_kafka_resp_err_t ask_offsets(struct admin *admin,
                                       struct offset_query *queries,
                                       size_t count, int timeout_ms)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)count);
    rd_kafka_resp_err_t code;

    for (size_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_list_add(list, queries[i].topic,
                                          queries[i].partition)
            ->offset = queries[i].time_ms;
    }
    code = rd_kafka_offsets_for_times(admin->client.rk, list, timeout_ms);
    client_poll(&admin->client, 0);
    for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++) {
        code = list->elems[i].err;
        queries[i].offset = list->elems[i].offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return code;
}

/* True for what is wrong with a topic, not with the cluster. */
static bool is_about_topic(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
           code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
           code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
           code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
}

/* Passes by itself, once the client knows who leads now. */
static bool is_about_leader(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
           code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
           code == RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH ||
           code == RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH ||
           code == RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE;
}

static size_t same_topic(const struct offset_query *queries, size_t count)
{
    size_t n = 1;

    while (n < count && strcmp(queries[n].topic, queries[0].topic) == 0) {
        n++;
    }
    return n;
}

enum err_kind admin_offsets(struct admin *admin, struct offset_query *queries,
                            size_t count, const struct patience *patience,
                            struct err *e)
{
    const struct timespec nap = {.tv_nsec = LEADER_NAP_MS * 1000000L};
    rd_kafka_resp_err_t code;

    e->kind = ERR_NONE;
    if (count == 0) {
        return ERR_NONE;
    }
    client_forget_error(&admin->client);
    code =
        ask_offsets(admin, queries, count, patience_left(patience, REQUEST_MS));
    for (int tries = 0; is_about_leader(code) && tries < LEADER_TRIES &&
                        patience_left(patience, 1) > 0;
         tries++) {
        nanosleep(&nap, NULL); /* a topic made just now, or a broker gone */
        client_warm(&admin->client, patience_left(patience, SLICE_MS));
        code = ask_offsets(admin, queries, count,
                           patience_left(patience, REQUEST_MS));
    }
    for (size_t i = 0, n; i < count && is_about_topic(code); i += n) {
        n = same_topic(queries + i, count - i);
        rd_kafka_resp_err_t one = ask_offsets(
            admin, queries + i, n, patience_left(patience, REQUEST_MS));
        for (size_t k = i; k < i + n; k++) {
            queries[k].unknown = one != RD_KAFKA_RESP_ERR_NO_ERROR;
        }
        if (one != RD_KAFKA_RESP_ERR_NO_ERROR && !is_about_topic(one)) {
            code = one;
        }
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR && !is_about_topic(code)) {
        return client_fail(&admin->client, code, "look up offsets", NULL, e);
    }
    return ERR_NONE;
}
