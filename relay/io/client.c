/*
 * client.c - see client.h.
 */
#include "relay/io/client.h"

#include <string.h>

#include "relay/base/log.h"
#include "relay/base/mem.h"

struct setting {
    unsigned roles; /* bits of enum client_role */
    const char *name;
    const char *value;
};

#define ROLE(r) (1U << (r))
enum {
    CONSUMERS = ROLE(CLIENT_SOURCE) | ROLE(CLIENT_READER) | ROLE(CLIENT_GROUP),
    PRODUCERS = ROLE(CLIENT_TXN) | ROLE(CLIENT_DATA),
    EVERYONE = CONSUMERS | PRODUCERS | ROLE(CLIENT_ADMIN),
};

/* Ours unless the user says otherwise. */
static const struct setting tuned[] = {
    {EVERYONE, "client.id", "kafka-relay"},
    {EVERYONE, "socket.nagle.disable", "true"},
    {EVERYONE, "socket.keepalive.enable", "true"},
    {EVERYONE, "reconnect.backoff.ms", "50"},
    {EVERYONE, "reconnect.backoff.max.ms", "5000"},
    {ROLE(CLIENT_GROUP), "session.timeout.ms", "10000"},
    {ROLE(CLIENT_GROUP), "heartbeat.interval.ms", "2000"},
    {ROLE(CLIENT_DATA) | ROLE(CLIENT_TXN), "compression.type", "lz4"},
    {ROLE(CLIENT_DATA) | ROLE(CLIENT_TXN), "linger.ms", "20"},
    {ROLE(CLIENT_DATA) | ROLE(CLIENT_TXN), "batch.size", "1000000"},
};

/* What the design rests on: refused in the config (property.c says why). */
static const struct setting owned[] = {
    {ROLE(CLIENT_SOURCE), "isolation.level", "read_committed"},
    {CONSUMERS, "enable.auto.commit", "false"},
    {CONSUMERS, "enable.auto.offset.store", "false"},
    {CONSUMERS, "auto.offset.reset", "error"},
    {CONSUMERS, "check.crcs", "true"},
    {ROLE(CLIENT_SOURCE) | ROLE(CLIENT_READER), "enable.partition.eof", "true"},
    {CONSUMERS, "allow.auto.create.topics", "false"},
    {CONSUMERS, "receive.message.max.bytes", "1000000512"},
    /* A log's end shows only when a fetch comes back empty. */
    {ROLE(CLIENT_READER), "fetch.wait.max.ms", "10"},
    {ROLE(CLIENT_READER), "fetch.message.max.bytes", "1048576"},
    {ROLE(CLIENT_READER), "fetch.max.bytes", "8388608"},
    {ROLE(CLIENT_READER), "message.max.bytes", "8388608"},
    {ROLE(CLIENT_READER), "queued.max.messages.kbytes", "16384"},
    {ROLE(CLIENT_GROUP), "partition.assignment.strategy", "range"},
    {PRODUCERS, "enable.idempotence", "true"},
    {PRODUCERS, "max.in.flight.requests.per.connection", "5"},
    {PRODUCERS, "queue.buffering.max.messages", "10000000"},
    {PRODUCERS, "queue.buffering.max.kbytes", "2097151"},
    {PRODUCERS, "batch.num.messages", "1000000"},
    {PRODUCERS, "message.max.bytes", "1000000000"},
    {PRODUCERS, "receive.message.max.bytes", "1000000512"},
    {ROLE(CLIENT_TXN), "transaction.timeout.ms", "30000"},
    {ROLE(CLIENT_DATA), "message.timeout.ms", "120000"},
};

static enum err_kind apply(rd_kafka_conf_t *conf, const char *name,
                           const char *value, struct err *e)
{
    char why[256];

    if (rd_kafka_conf_set(conf, name, value, why, sizeof(why)) !=
        RD_KAFKA_CONF_OK) {
        return err_set(e, ERR_CONFIG, "librdkafka property %s: %s", name, why);
    }
    return ERR_NONE;
}

static enum err_kind apply_table(rd_kafka_conf_t *conf,
                                 const struct setting *table, size_t n,
                                 enum client_role role, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if ((table[i].roles & ROLE(role)) != 0 &&
            apply(conf, table[i].name, table[i].value, e) != ERR_NONE) {
            return e->kind;
        }
    }
    return ERR_NONE;
}

/* A property of the other kind of client (compression on a consumer) only
 * makes librdkafka warn; the property check has told the user already. */
static enum err_kind apply_user(rd_kafka_conf_t *conf,
                                const struct cluster_config *cluster,
                                enum client_role role, struct err *e)
{
    for (size_t i = 0; i < cluster->property_count; i++) {
        const struct property *p = &cluster->properties[i];

        /* Time-outs of membership may be lower than what other roles of the
         * same section accept. */
        if (role != CLIENT_GROUP &&
            (strcmp(p->name, "session.timeout.ms") == 0 ||
             strcmp(p->name, "heartbeat.interval.ms") == 0)) {
            continue;
        }
        if (apply(conf, p->name, p->value, e) != ERR_NONE) {
            return e->kind;
        }
    }
    return ERR_NONE;
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct client *c = opaque;
    char fatal[sizeof(c->last_error)];

    c->errors++;
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        code = rd_kafka_fatal_error(rk, fatal, sizeof(fatal));
        reason = fatal;
    }
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && c->last_error[0]) {
        return; /* the broker's own error before it says more */
    }
    snprintf(c->last_error, sizeof(c->last_error), "%s", reason);
    c->denied = client_kind(code) == ERR_DENIED;
}

/* librdkafka's own lines repeat with every reconnect: they are for debugging.
 * What an operator must know comes up as an error with its cause. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility,
                   const char *text)
{
    (void)level;
    if (log_enabled(LOG_DEBUG)) {
        log_write(LOG_DEBUG, NULL, "librdkafka %s %s: %s", rd_kafka_name(rk),
                  facility, text);
    }
}

enum err_kind client_open(struct client *c, enum client_role role,
                          const struct cluster_config *cluster,
                          const struct client_extra *extra,
                          void (*prepare)(rd_kafka_conf_t *conf, void *arg),
                          void *arg, struct err *e)
{
    const bool producer = (PRODUCERS & ROLE(role)) != 0;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[256];

    *c = (struct client){.cluster = cluster->name, .owner = arg};
    rd_kafka_conf_set_opaque(conf, c);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    if (apply_table(conf, tuned, sizeof(tuned) / sizeof(*tuned), role, e) ||
        apply_user(conf, cluster, role, e) ||
        apply_table(conf, owned, sizeof(owned) / sizeof(*owned), role, e)) {
        goto fail;
    }
    for (; extra != NULL && extra->name != NULL; extra++) {
        if (apply(conf, extra->name, extra->value, e) != ERR_NONE) {
            goto fail;
        }
    }
    if (prepare != NULL) {
        prepare(conf, arg);
    }
    c->rk = rd_kafka_new(producer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf,
                         why, sizeof(why));
    if (c->rk == NULL) {
        err_set(e, ERR_CONFIG, "%s: %s", cluster->name, why);
        goto fail;
    }
    return ERR_NONE; /* rd_kafka_new took conf */

fail:
    rd_kafka_conf_destroy(conf);
    return e->kind;
}

void client_poll(struct client *c, int timeout_ms)
{
    rd_kafka_poll(c->rk, timeout_ms);
}

void client_forget_error(struct client *c)
{
    rd_kafka_poll(c->rk, 0); /* what is on its way is of before, too */
    c->last_error[0] = '\0';
    c->denied = false;
}

bool client_warm(struct client *c, int timeout_ms)
{
    const struct rd_kafka_metadata *metadata;

    if (timeout_ms <= 0 ||
        rd_kafka_metadata(c->rk, 0, NULL, &metadata, timeout_ms) !=
            RD_KAFKA_RESP_ERR_NO_ERROR) {
        return false;
    }
    rd_kafka_metadata_destroy(metadata);
    return true;
}

void client_close(struct client *c)
{
    if (c->rk != NULL) {
        rd_kafka_destroy(c->rk);
        c->rk = NULL;
    }
}

enum err_kind client_kind(rd_kafka_resp_err_t code)
{
    switch ((int)code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return ERR_NONE;
    case RD_KAFKA_RESP_ERR__FENCED:
    case RD_KAFKA_RESP_ERR_PRODUCER_FENCED:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH:
    case RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING:
    case RD_KAFKA_RESP_ERR_INVALID_TXN_STATE:
        return ERR_FENCED;
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        return ERR_DENIED;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__RESOLVE:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
        return ERR_UNREACHABLE;
    default:
        return ERR_FAILED;
    }
}

enum err_kind client_fail(const struct client *c, rd_kafka_resp_err_t code,
                          const char *what, const char *detail, struct err *e)
{
    enum err_kind kind = client_kind(code);
    const char *why = detail != NULL ? detail : rd_kafka_err2str(code);

    if (kind == ERR_UNREACHABLE && c->denied) {
        kind = ERR_DENIED;
    }
    if (kind == ERR_UNREACHABLE && c->last_error[0] != '\0') {
        return err_set(e, kind,
                       "%s: %s: no broker answers: %s; check its "
                       "bootstrap.servers and that the brokers run",
                       c->cluster, what, c->last_error);
    }
    if (c->last_error[0] != '\0' && strstr(why, c->last_error) == NULL) {
        return err_set(e, kind, "%s: %s: %s (%s); last seen: %s", c->cluster,
                       what, why, rd_kafka_err2name(code), c->last_error);
    }
    return err_set(e, kind, "%s: %s: %s (%s)", c->cluster, what, why,
                   rd_kafka_err2name(code));
}

enum err_kind client_take(const struct client *c, rd_kafka_error_t *from,
                          const char *what, struct err *e)
{
    enum err_kind kind;

    if (from == NULL) {
        e->kind = ERR_NONE; /* of an earlier attempt, perhaps */
        return ERR_NONE;
    }
    kind = client_fail(c, rd_kafka_error_code(from), what,
                       rd_kafka_error_string(from), e);
    rd_kafka_error_destroy(from);
    return kind;
}
