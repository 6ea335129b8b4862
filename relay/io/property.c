/*
 * property.c - see property.h.
 */
#include "relay/io/property.h"

#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/secret.h"
#include "relay/base/mem.h"
#include "relay/io/catalogue.h"
#include "relay/io/client.h"
#include "relay/io/owned.h"

enum { SCRAM_FIXED_VERSION = 0x020601ff };

struct check {
    struct catalogue known;
    const struct cluster_config *cluster;
    const char *side; /* "source" or "target" */
    bool is_source;
    struct problems *p;
};

/* Names of the Java clients, which MirrorMaker's users bring along. */
static const struct {
    const char *name, *instead;
} java_names[] = {
    {"sasl.jaas.config", "sasl.username and sasl.password"},
    {"ssl.truststore.location", "ssl.ca.location (a PEM file)"},
    {"ssl.truststore.certificates", "ssl.ca.pem"},
    {"ssl.truststore.password", "ssl.ca.location, which needs none"},
    {"ssl.truststore.type", "ssl.ca.location (a PEM file)"},
    {"ssl.keystore.type", "ssl.keystore.location (PKCS#12)"},
    {"ssl.keystore.key", "ssl.key.pem"},
    {"ssl.keystore.certificate.chain", "ssl.certificate.pem"},
    {"fetch.max.wait.ms", "fetch.wait.max.ms"},
    {"receive.buffer.bytes", "socket.receive.buffer.bytes"},
    {"send.buffer.bytes", "socket.send.buffer.bytes"},
    {"sasl.login.callback.handler.class", "sasl.oauthbearer.method"},
};

static const char *java_instead(const char *name)
{
    for (size_t i = 0; i < sizeof(java_names) / sizeof(java_names[0]); i++) {
        if (strcmp(java_names[i].name, name) == 0) {
            return java_names[i].instead;
        }
    }
    return NULL;
}

static void report_unknown(const struct check *c, const struct property *prop)
{
    const char *instead = java_instead(prop->name);
    const char *near = catalogue_suggest(&c->known, prop->name);

    if (instead != NULL) {
        problem_error(c->p, prop->at,
                      "%s: librdkafka has no property \"%.60s\"; it has %s",
                      c->side, prop->name, instead);
    } else if (near != NULL) {
        problem_error(c->p, prop->at,
                      "%s: librdkafka %s has no property \"%.60s\"; did you "
                      "mean \"%s\"?",
                      c->side, kafka_library_version(), prop->name, near);
    } else {
        problem_error(c->p, prop->at,
                      "%s: librdkafka %s has no property \"%.60s\"", c->side,
                      kafka_library_version(), prop->name);
    }
}

/* A reason that does not repeat the value. */
static void report_value(const struct check *c, const struct property *prop,
                         const char *why)
{
    if (prop->origin != NULL) {
        problem_error(c->p, prop->value_at, "%s.%s: the value (from %.60s): %s",
                      c->side, prop->name, prop->origin, why);
    } else {
        problem_error(c->p, prop->value_at, "%s.%s: %s", c->side, prop->name,
                      why);
    }
}

/* librdkafka's own text repeats it: not for what may be a secret. */
static const char *without_secret(const struct property *prop, const char *why)
{
    return prop->origin != NULL || property_is_secret(prop->name)
               ? "librdkafka refuses it"
               : why;
}

static void check_value(const struct check *c, const struct property *prop)
{
    rd_kafka_conf_t *scratch = rd_kafka_conf_new();
    char why[256];

    if (rd_kafka_conf_set(scratch, prop->name, prop->value, why, sizeof(why)) !=
        RD_KAFKA_CONF_OK) {
        why[strcspn(why, "\n")] = '\0';
        report_value(c, prop, without_secret(prop, why));
    }
    rd_kafka_conf_destroy(scratch);
}

/* librdkafka says of a missing certificate only "x509 ... system lib". */
static void check_file(const struct check *c, const struct property *prop)
{
    static const char *const names[] = {
        "ssl.ca.location",  "ssl.certificate.location", "ssl.key.location",
        "ssl.crl.location", "ssl.keystore.location",    "sasl.kerberos.keytab"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], prop->name) == 0 &&
            strcmp(prop->value, "probe") != 0 && /* ssl.ca.location: look */
            access(prop->value, R_OK) != 0) {
            report_value(c, prop, strerror(errno));
        }
    }
}

/* The source is read by assignment, so these have no group to work on. */
static bool is_group_setting(const char *name)
{
    static const char *const names[] = {
        "session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms",
        "coordinator.query.interval.ms"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* What is accepted but would do nothing. */
static void warn_idle(const struct check *c, const struct property *prop,
                      const struct catalogue_row *row)
{
    if (row->no_effect) {
        problem_warning(c->p, prop->at,
                        "%s.%s does nothing: librdkafka ignores it", c->side,
                        prop->name);
    } else if (c->is_source && row->scope == 'P') {
        problem_warning(c->p, prop->at,
                        "%s.%s does nothing: it is a producer's, and the "
                        "source is only read; does it belong in target?",
                        c->side, prop->name);
    } else if (c->is_source && is_group_setting(prop->name)) {
        problem_warning(c->p, prop->at,
                        "%s.%s does nothing: the relay's group is on the "
                        "target",
                        c->side, prop->name);
    }
}

/* Before 2.6.1 librdkafka sends its nonce twice; Kafka 4.0 began to mind. */
static void warn_scram(const struct check *c, const struct property *prop)
{
    if (rd_kafka_version() < SCRAM_FIXED_VERSION &&
        strncmp(prop->name, "sasl.mechanism", 14) == 0 &&
        strncmp(prop->value, "SCRAM-", 6) == 0) {
        problem_warning(c->p, prop->value_at,
                        "%s.%s: brokers of Kafka 4.0 and later refuse SCRAM as "
                        "librdkafka %s does it, whatever the password; use "
                        "another mechanism there, or librdkafka 2.6.1",
                        c->side, prop->name, rd_kafka_version_str());
    }
}

/* "host", "host:port", "[v6]:port", with or without "PROTOCOL://". */
static bool is_broker(const char *text)
{
    const char *host = strstr(text, "://");
    const char *colon = strrchr(text, ':');
    char *end;
    long port;

    host = host != NULL ? host + 3 : text;
    if (strpbrk(text, " \t") != NULL || *host == '\0' || *host == ':') {
        return false;
    }
    if (colon == NULL || colon < host || strchr(colon, ']') != NULL) {
        return true;
    }
    port = strtol(colon + 1, &end, 10);
    return port >= 1 && port <= 65535 && *end == '\0';
}

static void check_bootstrap(const struct check *c, const struct property *prop)
{
    char *list = mem_strdup(prop->value);
    char *rest = list;
    char *broker;
    bool good = true;

    while ((broker = strsep(&rest, ",")) != NULL) {
        broker += strspn(broker, " ");
        good = good && is_broker(broker);
    }
    free(list);
    if (!good) {
        report_value(c, prop, "expected host:port, or several with commas");
    }
}

static void check_property(const struct check *c, const struct property *prop)
{
    const struct catalogue_row *row = catalogue_find(&c->known, prop->name);
    const char *reason = property_owned_reason(prop->name);

    if (reason == NULL && row != NULL && row->from_c) {
        reason = "it can be set from C code only";
    }
    if (reason != NULL) {
        problem_error(c->p, prop->at, "%s.%s cannot be set: %s", c->side,
                      prop->name, reason);
    } else if (row == NULL) {
        report_unknown(c, prop);
    } else if (strcmp(prop->name, "bootstrap.servers") == 0) {
        check_bootstrap(c, prop);
    } else {
        check_value(c, prop);
        check_file(c, prop);
        warn_idle(c, prop, row);
        warn_scram(c, prop);
    }
}

static const char *value_of(const struct cluster_config *cluster,
                            const char *name, const char *fallback)
{
    for (size_t i = 0; i < cluster->property_count; i++) {
        if (strcmp(cluster->properties[i].name, name) == 0) {
            return cluster->properties[i].value;
        }
    }
    return fallback;
}

/* Opening a client with Kerberos would run kinit. */
static bool uses_kerberos(const struct cluster_config *cluster)
{
    const char *mechanism =
        value_of(cluster, "sasl.mechanism",
                 value_of(cluster, "sasl.mechanisms", "GSSAPI"));

    return strcasecmp(mechanism, "GSSAPI") == 0 &&
           strncasecmp(value_of(cluster, "security.protocol", ""), "sasl", 4) ==
               0;
}

/* True when `text` repeats a value that must not be shown. */
static bool shows_secret(const struct cluster_config *cluster, const char *text)
{
    for (size_t i = 0; i < cluster->property_count; i++) {
        const struct property *prop = &cluster->properties[i];

        if ((prop->origin != NULL || property_is_secret(prop->name)) &&
            prop->value[0] != '\0' && strstr(text, prop->value) != NULL) {
            return true;
        }
    }
    return false;
}

/* Of the property that the text names, else of the cluster. */
static struct place place_of(const struct cluster_config *cluster,
                             const char *text)
{
    for (size_t i = 0; i < cluster->property_count; i++) {
        if (strstr(text, cluster->properties[i].name) != NULL) {
            return cluster->properties[i].value_at;
        }
    }
    return cluster->at;
}

/* False once a client could not be opened: the others say the same. */
static bool try_client(const struct check *c,
                       const struct cluster_config *offline,
                       enum client_role role, const struct client_extra *extra)
{
    struct client client;
    struct err e;

    if (client_open(&client, role, offline, extra, NULL, NULL, &e) ==
        ERR_NONE) {
        client_close(&client);
        return true;
    }
    problem_error(c->p, place_of(c->cluster, e.text), "%s",
                  shows_secret(c->cluster, e.text)
                      ? "librdkafka refuses the properties together"
                      : e.text);
    return false;
}

/* Without bootstrap.servers a client opens no connection. */
static void try_clients(const struct check *c, enum client_role producer)
{
    static const struct client_extra group[] = {{"group.id", "check"},
                                                {NULL, NULL}};
    static const struct client_extra txn[] = {{"transactional.id", "check"},
                                              {NULL, NULL}};
    struct cluster_config offline = *c->cluster;
    size_t n = 0;

    if (uses_kerberos(c->cluster)) {
        return;
    }
    offline.properties =
        mem_calloc(offline.property_count, sizeof(*offline.properties));
    for (size_t i = 0; i < offline.property_count; i++) {
        if (strcmp(c->cluster->properties[i].name, "bootstrap.servers") != 0) {
            offline.properties[n++] = c->cluster->properties[i];
        }
    }
    offline.property_count = n;
    if (c->is_source) {
        (void)try_client(c, &offline, CLIENT_SOURCE, group);
    } else if (try_client(c, &offline, CLIENT_GROUP, group)) {
        (void)try_client(c, &offline, producer,
                         producer == CLIENT_TXN ? txn : NULL);
    }
    free(offline.properties);
}

static void check_cluster(struct check *c, const struct config *cfg)
{
    const size_t before = c->p->errors;

    for (size_t i = 0; i < c->cluster->property_count; i++) {
        check_property(c, &c->cluster->properties[i]);
    }
    if (c->p->errors == before) {
        try_clients(c, cfg->delivery.guarantee == GUARANTEE_EXACTLY_ONCE
                           ? CLIENT_TXN
                           : CLIENT_DATA);
    }
}

void properties_check(const struct config *cfg, struct problems *p)
{
    struct check c = {.p = p};

    catalogue_open(&c.known);
    c.cluster = &cfg->source;
    c.side = "source";
    c.is_source = true;
    check_cluster(&c, cfg);
    c.cluster = &cfg->target;
    c.side = "target";
    c.is_source = false;
    check_cluster(&c, cfg);
    catalogue_close(&c.known);
}

const char *kafka_library_version(void)
{
    return rd_kafka_version_str();
}
