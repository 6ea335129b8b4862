/*
 * test_property.c - librdkafka properties, checked without a cluster.
 */
#include "tests/unit/config_text.h"

#include <glob.h>
#include <librdkafka/rdkafka.h>

#include "config/secret.h"
#include "relay/base/clock.h"
#include "relay/io/catalogue.h"
#include "relay/io/owned.h"
#include "relay/io/property.h"

static char *said_of_file(const char *path)
{
    struct problems p = {0};
    struct config *cfg = config_read(path, &p);
    char *text;

    assert_non_null(cfg);
    properties_check(cfg, &p);
    text = printed(&p);
    config_free(&cfg);
    problems_clear(&p);
    return text;
}

/* All that is said of a config with these lines in source and in target. */
static char *said_of_properties(const char *source, const char *target)
{
    char yaml[4096];

    snprintf(yaml, sizeof(yaml),
             "relay: r\n"
             "topics: [{include: a}]\n"
             "source:\n"
             "  bootstrap.servers: a:9092\n%s"
             "target:\n"
             "  bootstrap.servers: b:9092\n%s",
             source, target);
    write_file("relay.yaml", yaml, strlen(yaml));
    return said_of_file("relay.yaml");
}

static void expect_source(const char *line, const char *want)
{
    char *said = said_of_properties(line, "");

    assert_string_equal(said, want);
    free(said);
}

static void expect_target(const char *line, const char *want)
{
    char *said = said_of_properties("", line);

    assert_string_equal(said, want);
    free(said);
}

static void properties_that_a_user_may_set_pass_in_silence(void **state)
{
    static const char both[] = "  client.id: x\n"
                               "  socket.keepalive.enable: true\n"
                               "  socket.timeout.ms: 30000\n"
                               "  reconnect.backoff.ms: 100\n"
                               "  broker.address.family: v4\n"
                               "  metadata.max.age.ms: 60000\n"
                               "  security.protocol: sasl_ssl\n"
                               "  sasl.mechanism: PLAIN\n"
                               "  sasl.username: u\n"
                               "  sasl.password: p\n"
                               "  fetch.wait.max.ms: 100\n"
                               "  fetch.min.bytes: 1\n"
                               "  debug: broker\n";
    static const char producer[] = "  compression.type: zstd\n"
                                   "  compression.level: 3\n"
                                   "  linger.ms: 5\n"
                                   "  batch.size: 500000\n"
                                   "  session.timeout.ms: 20000\n"
                                   "  heartbeat.interval.ms: 1000\n";
    char target[1024];
    char *said;

    (void)state;
    snprintf(target, sizeof(target), "%s%s", both, producer);
    said = said_of_properties(both, target);
    assert_string_equal(said, "");
    free(said);
}

static void an_unknown_property_gets_the_nearest_one(void **state)
{
    char want[256];

    (void)state;
    snprintf(want, sizeof(want),
             "relay.yaml:5:3: source: librdkafka %s has no property "
             "\"sasl.passwrod\"; did you mean \"sasl.password\"?\n",
             kafka_library_version());
    expect_source("  sasl.passwrod: hunter2\n", want);
    snprintf(want, sizeof(want),
             "relay.yaml:5:3: source: librdkafka %s has no property "
             "\"no.such.thing\"\n",
             kafka_library_version());
    expect_source("  no.such.thing: hunter2\n", want);
}

static void what_would_be_refused_next_is_not_suggested(void **state)
{
    char *said = said_of_properties("  group.idd: x\n", "");

    (void)state;
    assert_non_null(strstr(said, "has no property \"group.idd\"\n"));
    free(said);
}

static void a_name_of_the_java_clients_is_translated(void **state)
{
    (void)state;
    expect_target("  sasl.jaas.config: 'x password=\"hunter2\";'\n",
                  "relay.yaml:7:3: target: librdkafka has no property "
                  "\"sasl.jaas.config\"; it has sasl.username and "
                  "sasl.password\n");
}

static void a_value_out_of_range_is_told_with_the_range(void **state)
{
    (void)state;
    expect_source("  socket.timeout.ms: 5\n",
                  "relay.yaml:5:22: source.socket.timeout.ms: Configuration "
                  "property \"socket.timeout.ms\" value 5 is outside allowed "
                  "range 10..300000\n");
}

static void a_property_of_the_topic_level_is_known_too(void **state)
{
    (void)state;
    expect_target("  request.timeout.ms: 20000\n", "");
}

static const char *const must_be_owned[] = {
    "group.id",
    "group.instance.id",
    "group.protocol",
    "transactional.id",
    "transaction.timeout.ms",
    "enable.idempotence",
    "acks",
    "request.required.acks",
    "enable.auto.commit",
    "auto.commit.enable",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "isolation.level",
    "enable.partition.eof",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "retries",
    "message.send.max.retries",
    "partitioner",
    "allow.auto.create.topics",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "message.max.bytes",
    "receive.message.max.bytes",
    "fetch.message.max.bytes",
    "max.partition.fetch.bytes",
    "fetch.max.bytes",
    "partition.assignment.strategy",
    "delivery.report.only.error",
    "dr_cb",
    "dr_msg_cb",
    "error_cb",
    "stats_cb",
    "log_cb",
    "interceptors",
    "opaque",
    "log.queue",
    "plugin.library.paths",
    "sasl.kerberos.kinit.cmd",
    "ssl.engine.location",
    "ssl_engine_callback_data",
    "statistics.interval.ms",
    "enabled_events",
    "check.crcs",
};

static void every_property_that_the_design_rests_on_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(must_be_owned) / sizeof(*must_be_owned);
         i++) {
        char line[128], part[128];
        char *said;

        snprintf(line, sizeof(line), "  %s: 1\n", must_be_owned[i]);
        snprintf(part, sizeof(part),
                 "relay.yaml:5:3: source.%s cannot be set: ", must_be_owned[i]);
        said = said_of_properties(line, "");
        if (strncmp(said, part, strlen(part)) != 0) {
            fail_msg("%s: %s", must_be_owned[i], said);
        }
        free(said);
    }
}

static void a_refusal_says_why(void **state)
{
    (void)state;
    expect_target("  group.id: mine\n",
                  "relay.yaml:7:3: target.group.id cannot be set: the group is "
                  "`kafka-relay.RELAY`, on the target\n");
    expect_target("  transactional.id: mine\n",
                  "relay.yaml:7:3: target.transactional.id cannot be set: "
                  "exactly-once rests on it\n");
}

/* A new librdkafka may bring new aliases: no way around the table. */
static void an_alias_of_an_owned_property_is_owned(void **state)
{
    struct catalogue c;

    (void)state;
    catalogue_open(&c);
    assert_true(c.count > 100);
    for (size_t i = 0; i < c.count; i++) {
        const struct catalogue_row *row = &c.rows[i];
        bool owned = property_owned_reason(row->name) != NULL;

        if (row->alias_of != NULL &&
            strcmp(row->name, "bootstrap.servers") != 0 &&
            owned != (property_owned_reason(row->alias_of) != NULL)) {
            fail_msg("%s is an alias of %s", row->name, row->alias_of);
        }
    }
    catalogue_close(&c);
}

static void what_only_c_code_can_set_is_owned(void **state)
{
    struct catalogue c;

    (void)state;
    catalogue_open(&c);
    for (size_t i = 0; i < c.count; i++) {
        if (c.rows[i].from_c && property_owned_reason(c.rows[i].name) == NULL) {
            fail_msg("%s", c.rows[i].name);
        }
    }
    catalogue_close(&c);
}

static void a_producers_property_on_the_source_is_a_warning(void **state)
{
    (void)state;
    expect_source("  compression.type: lz4\n",
                  "relay.yaml:5:3: warning: source.compression.type does "
                  "nothing: it is a producer's, and the source is only read; "
                  "does it belong in target?\n");
    expect_source("  session.timeout.ms: 10000\n",
                  "relay.yaml:5:3: warning: source.session.timeout.ms does "
                  "nothing: the relay's group is on the target\n");
    expect_target("  socket.blocking.max.ms: 10\n",
                  "relay.yaml:7:3: warning: target.socket.blocking.max.ms does "
                  "nothing: librdkafka ignores it\n");
}

static void bootstrap_servers_are_hosts_with_ports(void **state)
{
    static const char *const good[] = {
        "a", "a:1", "a:9092,b:9093, c", "[::1]:9092", "SSL://a:9092", "[::1]"};
    static const char *const bad[] = {"a:port", "a:0",   "a:65536", ",a",
                                      "a b",    ":9092", "a:9092,"};
    char line[128];

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char yaml[512];
        char *said;

        snprintf(yaml, sizeof(yaml),
                 "relay: r\ntopics: [{include: a}]\n"
                 "source: {bootstrap.servers: '%s'}\n"
                 "target: {bootstrap.servers: 'x:9092'}\n",
                 good[i]);
        write_file("relay.yaml", yaml, strlen(yaml));
        said = said_of_file("relay.yaml");
        assert_string_equal(said, "");
        free(said);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char yaml[512];
        char *said;

        snprintf(line, sizeof(line), "'%s'", bad[i]);
        snprintf(yaml, sizeof(yaml),
                 "relay: r\ntopics: [{include: a}]\n"
                 "source: {bootstrap.servers: %s}\n"
                 "target: {bootstrap.servers: 'x:9092'}\n",
                 line);
        write_file("relay.yaml", yaml, strlen(yaml));
        said = said_of_file("relay.yaml");
        assert_string_equal(said,
                            "relay.yaml:3:29: source.bootstrap.servers: "
                            "expected host:port, or several with commas\n");
        free(said);
    }
}

static void a_file_that_is_not_there_is_told_with_its_place(void **state)
{
    (void)state;
    setenv("SECRET", "nowhere.pem", 1);
    expect_target("  ssl.ca.location: ${SECRET}\n",
                  "relay.yaml:7:20: target.ssl.ca.location: the value (from "
                  "${SECRET}): No such file or directory\n");
    expect_target("  security.protocol: ssl\n  ssl.ca.location: nowhere.pem\n",
                  "relay.yaml:8:20: target.ssl.ca.location: No such file or "
                  "directory\n");
}

static void properties_that_do_not_go_together_are_found(void **state)
{
    char *said = said_of_properties("", "  security.protocol: sasl_plaintext\n"
                                        "  sasl.mechanism: PLAIN\n"
                                        "  sasl.password: hunter2\n");

    (void)state;
    print_message("    %s", said);
    assert_true(strncmp(said, "relay.yaml:", 11) == 0);
    assert_non_null(strstr(said, "sasl.username"));
    assert_null(strstr(said, "hunter2"));
    free(said);
}

static void no_message_shows_a_secret(void **state)
{
    static const char *const lines[] = {
        "  ssl.key.pem: hunter2\n",
        "  sasl.oauthbearer.config: hunter2\n",
        "  security.protocol: ssl\n  ssl.keystore.password: hunter2\n"
        "  ssl.keystore.location: /etc/passwd\n",
        "  socket.timeout.ms: ${SECRET}\n",
        "  security.protocol: ${SECRET}\n",
        "  bootstrap.serverz: ${SECRET}\n",
        "  client.password: hunter2\n",
        "  ssl.ca.location: /${SECRET}\n",
        "  security.protocol: ssl\n  ssl.key.pem: ${SECRET}\n",
        "  group.id: ${SECRET}\n",
    };

    (void)state;
    setenv("SECRET", "hunter2", 1);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char *said = said_of_properties("", lines[i]);

        print_message("    %s", said);
        assert_null(strstr(said, "hunter2"));
        free(said);
    }
}

static void secrets_are_told_by_their_names(void **state)
{
    static const char *const secret[] = {"sasl.password",
                                         "ssl.key.password",
                                         "ssl.key.pem",
                                         "ssl.keystore.password",
                                         "sasl.oauthbearer.config",
                                         "sasl.oauthbearer.client.secret",
                                         "ssl.certificate.pem",
                                         "sasl.jaas.config",
                                         "SASL.PASSWORD",
                                         "some.new.token"};
    static const char *const open[] = {"sasl.username",   "bootstrap.servers",
                                       "ssl.ca.location", "ssl.key.location",
                                       "client.id",       "sasl.mechanism"};

    (void)state;
    for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++) {
        assert_true(property_is_secret(secret[i]));
    }
    for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
        assert_false(property_is_secret(open[i]));
    }
}

static void kerberos_is_checked_without_running_kinit(void **state)
{
    int64_t start = clock_ms();

    (void)state;
    expect_target("  security.protocol: sasl_plaintext\n"
                  "  sasl.kerberos.principal: '\"; touch kinit-ran; \"'\n",
                  "");
    assert_true(clock_ms() - start < 2000);
    assert_int_not_equal(access("kinit-ran", F_OK), 0);
}

/* The folder of the sources: where ctest starts every test. */
static char home[512];

static void every_example_is_good(void **state)
{
    glob_t found = {0};
    char pattern[600];

    (void)state;
    snprintf(pattern, sizeof(pattern), "%s/config/examples/*.yaml", home);
    assert_int_equal(glob(pattern, 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 3);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char *said;

        print_message("    %s\n", found.gl_pathv[i]);
        said = said_of_file(found.gl_pathv[i]);
        assert_string_equal(said, "");
        free(said);
    }
    globfree(&found);
}

static int set_up(void **state)
{
    assert_non_null(getcwd(home, sizeof(home)));
    return enter_folder(state);
}

/* Told before anybody searches for a wrong password. */
static void scram_with_an_old_librdkafka_is_warned_of(void **state)
{
    char *said = said_of_properties("  sasl.mechanism: SCRAM-SHA-256\n"
                                    "  sasl.username: u\n"
                                    "  sasl.password: p\n",
                                    "");

    (void)state;
    if (rd_kafka_version() < 0x020601ff) {
        assert_non_null(strstr(said, "relay.yaml:5:19: warning: "
                                     "source.sasl.mechanism: brokers of Kafka "
                                     "4.0 and later refuse SCRAM"));
    } else {
        assert_string_equal(said, "");
    }
    free(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(properties_that_a_user_may_set_pass_in_silence),
        cmocka_unit_test(scram_with_an_old_librdkafka_is_warned_of),
        cmocka_unit_test(an_unknown_property_gets_the_nearest_one),
        cmocka_unit_test(what_would_be_refused_next_is_not_suggested),
        cmocka_unit_test(a_name_of_the_java_clients_is_translated),
        cmocka_unit_test(a_value_out_of_range_is_told_with_the_range),
        cmocka_unit_test(a_property_of_the_topic_level_is_known_too),
        cmocka_unit_test(every_property_that_the_design_rests_on_is_refused),
        cmocka_unit_test(a_refusal_says_why),
        cmocka_unit_test(an_alias_of_an_owned_property_is_owned),
        cmocka_unit_test(what_only_c_code_can_set_is_owned),
        cmocka_unit_test(a_producers_property_on_the_source_is_a_warning),
        cmocka_unit_test(bootstrap_servers_are_hosts_with_ports),
        cmocka_unit_test(a_file_that_is_not_there_is_told_with_its_place),
        cmocka_unit_test(properties_that_do_not_go_together_are_found),
        cmocka_unit_test(no_message_shows_a_secret),
        cmocka_unit_test(secrets_are_told_by_their_names),
        cmocka_unit_test(kerberos_is_checked_without_running_kinit),
        cmocka_unit_test(every_example_is_good),
    };

    return cmocka_run_group_tests(tests, set_up, leave_folder);
}
