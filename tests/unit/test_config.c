/*
 * test_config.c - a config as a whole: what a good one comes to, and what is
 * said of each kind of bad one, with its place.
 */
#include "tests/unit/config_text.h"

#define V KAFKA_RELAY_VERSION

static void a_minimal_config_has_the_documented_defaults(void **state)
{
    struct config *cfg = good_config(GOOD);

    (void)state;
    assert_string_equal(cfg->relay, "r");
    assert_string_equal(cfg->source.name, "source");
    assert_string_equal(cfg->target.name, "target");
    assert_int_equal(cfg->delivery.guarantee, GUARANTEE_EXACTLY_ONCE);
    assert_int_equal(cfg->delivery.lanes, 4);
    assert_int_equal(cfg->delivery.commit_interval_ms, 100);
    assert_int_equal(cfg->delivery.commit_bytes, 64 << 20);
    assert_int_equal(cfg->delivery.buffer_memory, 256 << 20);
    assert_int_equal(cfg->delivery.start.kind, START_EARLIEST);
    assert_int_equal(cfg->delivery.on_gap, ON_GAP_STOP);
    assert_int_equal(cfg->delivery.on_record_error, ON_RECORD_ERROR_STOP);
    assert_true(cfg->sync.topics_create);
    assert_true(cfg->sync.topics_partitions);
    assert_int_equal(cfg->sync.topics_interval_ms, 30000);
    assert_int_equal(cfg->log.level, LOG_INFO);
    assert_int_equal(cfg->log.format, LOG_TEXT);
    assert_string_equal(cfg->rules[0].rename, "{topic}");
    assert_int_equal(cfg->rules[0].partition, PARTITION_PRESERVE);
    config_free(&cfg);
    assert_null(cfg);
}

static void every_setting_reaches_its_field(void **state)
{
    struct config *cfg = good_config(
        "relay: east-to_west.1\n"
        "source: {name: east, bootstrap.servers: 'a:9092', client.id: x}\n"
        "target: {name: west, bootstrap.servers: 'b:9092'}\n"
        "topics:\n"
        "  - {include: [a, b], exclude: c, rename: 'x.{topic}', partition: "
        "preserve}\n"
        "delivery: {guarantee: at_least_once, lanes: 8, commit_interval: 2s,\n"
        "  commit_bytes: 1MiB, buffer_memory: 64MiB,\n"
        "  start: '2026-01-01T00:00:00Z', on_gap: stop, on_record_error: "
        "stop}\n"
        "sync: {topics: {create: no, partitions: no, interval: 5m}}\n"
        "log: {level: debug, format: json}\n");

    (void)state;
    assert_string_equal(cfg->relay, "east-to_west.1");
    assert_string_equal(cfg->source.name, "east");
    assert_int_equal(cfg->source.property_count, 2);
    assert_string_equal(cfg->source.properties[1].name, "client.id");
    assert_string_equal(cfg->source.properties[1].value, "x");
    assert_null(cfg->source.properties[1].origin);
    assert_int_equal(cfg->source.properties[1].at.line, 2);
    assert_int_equal(cfg->source.properties[1].at.column, 51);
    assert_int_equal(cfg->source.properties[1].value_at.column, 62);
    assert_int_equal(cfg->rules[0].include_count, 2);
    assert_int_equal(cfg->rules[0].exclude_count, 1);
    assert_int_equal(cfg->rules[0].at.line, 5);
    assert_string_equal(cfg->rules[0].rename, "x.{topic}");
    assert_int_equal(cfg->delivery.guarantee, GUARANTEE_AT_LEAST_ONCE);
    assert_int_equal(cfg->delivery.lanes, 8);
    assert_int_equal(cfg->delivery.commit_interval_ms, 2000);
    assert_int_equal(cfg->delivery.commit_bytes, 1 << 20);
    assert_int_equal(cfg->delivery.buffer_memory, 64 << 20);
    assert_int_equal(cfg->delivery.start.time_ms, 1767225600000);
    assert_false(cfg->sync.topics_create);
    assert_false(cfg->sync.topics_partitions);
    assert_int_equal(cfg->sync.topics_interval_ms, 300000);
    assert_int_equal(cfg->log.level, LOG_DEBUG);
    assert_int_equal(cfg->log.format, LOG_JSON);
    config_free(&cfg);
}

static void a_section_with_nothing_in_it_is_as_good_as_none(void **state)
{
    struct config *cfg = good_config(GOOD "delivery:\nsync:\nlog:\n");

    (void)state;
    assert_int_equal(cfg->delivery.lanes, 4);
    assert_int_equal(cfg->sync.topics_interval_ms, 30000);
    config_free(&cfg);
}

/* What one thing wrong gives: all of it, with its place. */
struct broken {
    const char *yaml, *want;
};

static const struct broken keys_and_types[] = {
    {GOOD "delivry: {}\n",
     "relay.yaml:5:1: unknown key \"delivry\" in the config; did you mean "
     "\"delivery\"?\n"},
    {GOOD "delivery:\n  comit_bytes: 1MiB\n",
     "relay.yaml:6:3: unknown key \"comit_bytes\" in delivery; did you mean "
     "\"commit_bytes\"?\n"},
    {GOOD "sync:\n  topics:\n    intervall: 5s\n",
     "relay.yaml:7:5: unknown key \"intervall\" in sync.topics; did you mean "
     "\"interval\"?\n"},
    {GOOD "lanes: 4\n", "relay.yaml:5:1: unknown key \"lanes\" in the config; "
                        "it belongs in delivery\n"},
    {GOOD "bananas: 4\n",
     "relay.yaml:5:1: unknown key \"bananas\" in the config\n"},
    {GOOD "log: {level: info, level: warn}\n",
     "relay.yaml:5:20: \"level\" is given twice; it is already at line 5\n"},
    {GOOD "delivery: 4\n",
     "relay.yaml:5:11: delivery is text; expected a map of settings\n"},
    {GOOD "delivery: {lanes: [4]}\n",
     "relay.yaml:5:19: delivery.lanes is a list; expected a single value\n"},
    {GOOD "delivery: {lanes: }\n",
     "relay.yaml:5:19: delivery.lanes is empty; expected a single value\n"},
    {"- a\n", "relay.yaml:1:1: the config is a list; expected a map of "
              "settings\n"},
    {GOOD "a: b: c\n",
     "relay.yaml:5:5: not valid YAML: mapping values are not allowed in this "
     "context; quote a text that holds \": \"\n"},
};

static const struct broken required[] = {
    {"source: {bootstrap.servers: 'a:1'}\ntarget: {bootstrap.servers: 'b:1'}\n"
     "topics: [{include: a}]\n",
     "relay.yaml:1:1: \"relay\" is missing in the config\n"},
    {"relay: r\ntarget: {bootstrap.servers: 'b:1'}\ntopics: [{include: a}]\n",
     "relay.yaml:1:1: \"source\" is missing\n"},
    {"relay: r\nsource: {name: x}\ntarget: {bootstrap.servers: 'b:1'}\n"
     "topics: [{include: a}]\n",
     "relay.yaml:2:1: \"bootstrap.servers\" is missing in source\n"},
    {GOOD_HEAD, "relay.yaml:1:1: \"topics\" is missing\n"},
    {GOOD_HEAD "topics: []\n",
     "relay.yaml:4:9: topics has 0 rules; expected 1 to 1000\n"},
    {GOOD_HEAD "topics:\n  - rename: x\n",
     "relay.yaml:5:5: \"include\" is missing in topics[0]\n"},
    {GOOD_HEAD "topics:\n  - inclde: x\n",
     "relay.yaml:5:5: unknown key \"inclde\" in topics[0]; did you mean "
     "\"include\"?\n"},
    {GOOD_HEAD "topics:\n  -\n",
     "relay.yaml:5:4: \"include\" is missing in topics[0]\n"},
};

static const struct broken values[] = {
    {"relay: a b\nsource: {bootstrap.servers: 'a:1'}\n"
     "target: {bootstrap.servers: 'b:1'}\ntopics: [{include: a}]\n",
     "relay.yaml:1:8: relay: \"a b\" is not a name of letters, digits, \".\", "
     "\"_\" and \"-\"\n"},
    {GOOD "delivery:\n  lanes: many\n",
     "relay.yaml:6:10: delivery.lanes: \"many\" is not a whole number\n"},
    {GOOD "delivery:\n  lanes: 257\n  buffer_memory: 2GiB\n",
     "relay.yaml:6:10: delivery.lanes: \"257\" is out of range: 1 to 256\n"},
    {GOOD "delivery:\n  commit_interval: 30s\n",
     "relay.yaml:6:20: delivery.commit_interval: \"30s\" is out of range: 10ms "
     "to 10s\n"},
    {GOOD "delivery:\n  commit_interval: 5\n",
     "relay.yaml:6:20: delivery.commit_interval: \"5\" is not a time such as "
     "100ms, 30s, 5m, 12h or 7d\n"},
    {GOOD "delivery:\n  commit_bytes: 64MB\n",
     "relay.yaml:6:17: delivery.commit_bytes: \"64MB\" is not a size such as "
     "4096, 64KiB or 64MiB\n"},
    {GOOD "delivery:\n  start: yesterday\n",
     "relay.yaml:6:10: delivery.start: \"yesterday\" is not earliest, latest, "
     "a time such as 2026-01-31T08:00:00Z, or back from now such as -2h\n"},
    {GOOD "delivery:\n  guarantee: exactly-once\n",
     "relay.yaml:6:14: delivery.guarantee: \"exactly-once\" is unknown; "
     "expected exactly_once or at_least_once; did you mean "
     "\"exactly_once\"?\n"},
    {GOOD "sync:\n  topics: {create: true}\n",
     "relay.yaml:6:20: sync.topics.create: \"true\" is not yes or no\n"},
    {GOOD "sync:\n  topics: {interval: 500ms}\n",
     "relay.yaml:6:22: sync.topics.interval: \"500ms\" is out of range: 1s to "
     "1d\n"},
    {GOOD "delivery:\n  lanes: 8\n  buffer_memory: 16MiB\n",
     "relay.yaml:7:18: delivery.buffer_memory is 16MiB for 8 lanes; each needs "
     "4MiB: set it to 32MiB, or use fewer lanes\n"},
    {GOOD "delivery:\n  lanes: 100\n",
     "relay.yaml:6:10: delivery.buffer_memory is 256MiB for 100 lanes; each "
     "needs 4MiB: set it to 400MiB, or use fewer lanes\n"},
};

static const struct broken dead_letters[] = {
    {GOOD "delivery: {dead_letter_topic: 'a b'}\n",
     "relay.yaml:5:31: delivery.dead_letter_topic: \"a b\" is no valid topic "
     "name; it may hold {relay} once\n"},
    {GOOD "delivery: {dead_letter_topic: '{relay}.{relay}'}\n",
     "relay.yaml:5:31: delivery.dead_letter_topic: \"r.{relay}\" is no valid "
     "topic name; it may hold {relay} once\n"},
};

static const struct broken rules[] = {
    {GOOD_HEAD "topics:\n  - include: '(a'\n",
     "relay.yaml:5:14: topics[0].include: \"(a\" is no regex: missing closing "
     "parenthesis at column 3 of the regex\n"},
    {GOOD_HEAD "topics:\n  - include: [a, '*.b']\n",
     "relay.yaml:5:18: topics[0].include: \"*.b\" is no regex: quantifier does "
     "not follow a repeatable item at column 1 of the regex; this is a regex "
     "and no glob: write .* for any text\n"},
    {GOOD_HEAD "topics:\n  - include: []\n",
     "relay.yaml:5:14: topics[0].include is empty: the rule matches "
     "nothing\n"},
    {GOOD_HEAD "topics:\n  - include: [[a]]\n",
     "relay.yaml:5:15: topics[0].include is a list; expected a single "
     "value\n"},
    {GOOD_HEAD "topics:\n  - include: a\n    exclude: {b: c}\n",
     "relay.yaml:6:14: topics[0].exclude is a map; expected a single value: "
     "put 'quotes' around a text that begins with {\n"},
    {GOOD_HEAD "topics:\n  - include: a\n    rename: {topic}\n",
     "relay.yaml:6:13: topics[0].rename is a map; expected a single value: put "
     "'quotes' around a text that begins with {\n"},
    {GOOD_HEAD "topics:\n  - include: a\n    rename: 'x.{tpic}'\n",
     "relay.yaml:6:13: topics[0].rename: \"x.{tpic}\": {tpic} is no "
     "placeholder; there are {topic}, {cluster} and {1} to {9}\n"},
    {GOOD_HEAD "topics:\n  - include: ['(a)', b]\n    rename: '{1}'\n",
     "relay.yaml:6:13: topics[0].rename: {1} needs 1 capture groups (...) in "
     "each regex of include\n"},
    {GOOD_HEAD "topics:\n  - include: a\n    rename: ''\n",
     "relay.yaml:6:13: topics[0].rename: \"\": a template cannot be empty\n"},
    {GOOD_HEAD "topics: a\n", "relay.yaml:4:9: topics is text; expected a "
                              "list\n"},
    {"relay: r\nsource: {bootstrap.servers: 'a:1'}\n"
     "target: {bootstrap.servers: 'a:1'}\ntopics:\n  - include: a\n",
     "relay.yaml:5:5: topics[0] copies topics onto themselves: source and "
     "target are one cluster; set rename\n"},
};

static const struct broken of_later_versions[] = {
    {GOOD "http: {listen: '127.0.0.1:9640'}\n",
     "relay.yaml:5:1: \"http\" is not supported by this version (" V
     "); remove it\n"},
    {GOOD_HEAD "topics:\n  - include: a\n    filters: [{sample: {}}]\n",
     "relay.yaml:6:5: \"filters\" is not supported by this version (" V
     "); remove it\n"},
    {GOOD_HEAD "topics:\n  - include: a\n    merge: yes\n",
     "relay.yaml:6:5: \"merge\" is not supported by this version (" V
     "); remove it\n"},
    {GOOD_HEAD "topics:\n  - include: a\n    partition: key\n",
     "relay.yaml:6:16: topics[0].partition: \"key\" is not supported by this "
     "version (" V "); expected preserve\n"},
    {GOOD_HEAD "topics:\n  - include: a\n    partition: {header: x}\n",
     "relay.yaml:6:16: topics[0].partition: a map is not supported by this "
     "version (" V ")\n"},
    {GOOD "delivery: {max_records: 5}\n",
     "relay.yaml:5:12: \"max_records\" is not supported by this version "
     "(" V "); remove it\n"},
    {GOOD "sync: {groups: {include: []}}\n",
     "relay.yaml:5:8: \"groups\" is not supported by this version (" V
     "); remove it\n"},
    {GOOD "sync: {topics: {configs: yes}}\n",
     "relay.yaml:5:17: \"configs\" is not supported by this version (" V
     "); remove it\n"},
};

static void expect_said(const struct broken *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *said = said_of(cases[i].yaml);

        assert_string_equal(said, cases[i].want);
        free(said);
    }
}

#define EXPECT_SAID(table) expect_said(table, sizeof(table) / sizeof(*(table)))

static void keys_and_types_are_checked(void **state)
{
    (void)state;
    EXPECT_SAID(keys_and_types);
}

static void a_dead_letter_topic_must_be_a_topic_name(void **state)
{
    (void)state;
    EXPECT_SAID(dead_letters);
}

static void what_must_be_there_is_missed(void **state)
{
    (void)state;
    EXPECT_SAID(required);
}

static void values_are_checked_with_their_range(void **state)
{
    (void)state;
    EXPECT_SAID(values);
}

static void rules_are_checked(void **state)
{
    (void)state;
    EXPECT_SAID(rules);
}

static void settings_of_later_versions_are_not_unknown_but_refused(void **state)
{
    (void)state;
    EXPECT_SAID(of_later_versions);
}

static void a_regex_given_twice_is_a_warning_and_the_config_loads(void **state)
{
    static const struct broken cases[] = {
        {GOOD_HEAD "topics:\n  - include: [a, b]\n  - include: b\n"
                   "    rename: 'x'\n",
         "relay.yaml:6:14: warning: topics[1].include: this regex never "
         "applies; line 5 has it already\n"},
        {GOOD_HEAD "topics:\n  - include: [a, a]\n",
         "relay.yaml:5:18: warning: topics[0].include: this regex never "
         "applies; line 5 has it already\n"},
    };

    (void)state;
    EXPECT_SAID(cases);
}

static void all_problems_come_at_once_in_the_order_of_the_file(void **state)
{
    char *said = said_of("log: {level: loud}\n"
                         "delivery: {lanes: 0, on_gap: ignore}\n"
                         "topics: [{include: '('}]\n"
                         "relay: 'a b'\n"
                         "source: {name: x}\n"
                         "foo: 1\n");

    (void)state;
    assert_string_equal(
        said,
        "relay.yaml:1:1: \"target\" is missing\n"
        "relay.yaml:1:14: log.level: \"loud\" is unknown; expected error, "
        "warn, "
        "info or debug\n"
        "relay.yaml:2:19: delivery.lanes: \"0\" is out of range: 1 to 256\n"
        "relay.yaml:2:30: delivery.on_gap: \"ignore\" is unknown; expected "
        "stop or continue\n"
        "relay.yaml:3:20: topics[0].include: \"(\" is no regex: missing "
        "closing "
        "parenthesis at column 2 of the regex\n"
        "relay.yaml:4:8: relay: \"a b\" is not a name of letters, digits, "
        "\".\", \"_\" and \"-\"\n"
        "relay.yaml:5:1: \"bootstrap.servers\" is missing in source\n"
        "relay.yaml:6:1: unknown key \"foo\" in the config\n");
    free(said);
}

static void what_was_put_in_is_named_by_its_origin_and_never_shown(void **state)
{
    static const char *const yamls[] = {
        GOOD "delivery: {lanes: '${SECRET}'}\n",
        GOOD "delivery: {commit_interval: '${file:secret}'}\n",
        GOOD "delivery: {guarantee: 'x${SECRET}'}\n",
        GOOD "delivery: {start: '${UNSET:-hunter2}'}\n",
        GOOD_HEAD "topics: [{include: '(${SECRET}'}]\n",
        GOOD_HEAD "topics: [{include: a, rename: '{${SECRET}}'}]\n",
        GOOD_HEAD "topics: [{include: ['${SECRET}', '${SECRET}']}]\n",
        "relay: '${SECRET} '\n",
    };

    (void)state;
    setenv("SECRET", "hunter2", 1);
    unsetenv("UNSET");
    write_file("secret", "hunter2\n", 8);
    for (size_t i = 0; i < sizeof(yamls) / sizeof(yamls[0]); i++) {
        char *said = said_of(yamls[i]);

        print_message("    %s", said);
        assert_string_not_equal(said, "");
        assert_null(strstr(said, "hunter"));
        free(said);
    }
}

static void
a_value_that_could_not_be_put_in_is_one_problem_not_two(void **state)
{
    char *said = said_of(GOOD "delivery: {lanes: '${UNSET}'}\n");

    (void)state;
    assert_string_equal(said, "relay.yaml:5:19: environment variable UNSET is "
                              "not set\n");
    free(said);
}

static void a_property_keeps_where_its_value_came_from(void **state)
{
    struct config *cfg;

    (void)state;
    setenv("SECRET", "hunter2", 1);
    cfg = good_config("relay: r\n"
                      "source:\n"
                      "  bootstrap.servers: a:9092\n"
                      "  sasl.password: ${SECRET}\n"
                      "target: {bootstrap.servers: 'b:9092'}\n"
                      "topics: [{include: a}]\n");
    assert_string_equal(cfg->source.properties[1].value, "hunter2");
    assert_string_equal(cfg->source.properties[1].origin, "${SECRET}");
    config_free(&cfg);
}

static void a_key_cannot_forge_a_line_or_drive_a_terminal(void **state)
{
    char *said = said_of(GOOD "\"x\\nrelay.yaml:1:1: \\e[2J\\x9b\": 1\n");

    (void)state;
    assert_string_equal(said,
                        "relay.yaml:5:1: unknown key "
                        "\"x\\u000arelay.yaml:1:1: \\u001b[2J\\u009b\" in "
                        "the config\n");
    free(said);
}

static void a_file_that_is_not_there_is_a_problem_without_a_place(void **state)
{
    struct problems p = {0};
    struct config *cfg = NULL;
    char *said;

    (void)state;
    assert_int_equal(config_load(&cfg, "nowhere.yaml", &p), ERR_CONFIG);
    said = printed(&p);
    assert_string_equal(said, "nowhere.yaml: cannot open nowhere.yaml: No such "
                              "file or directory\n");
    free(said);
    problems_clear(&p);
}

static void config_read_gives_what_could_be_read_despite_errors(void **state)
{
    static const char yaml[] = GOOD "delivery: {lanes: x}\n";
    struct problems p = {0};
    struct config *cfg;

    (void)state;
    write_file("relay.yaml", yaml, strlen(yaml));
    cfg = config_read("relay.yaml", &p);
    assert_non_null(cfg);
    assert_int_equal(p.errors, 1);
    assert_int_equal(cfg->target.property_count, 1);
    config_free(&cfg);
    problems_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minimal_config_has_the_documented_defaults),
        cmocka_unit_test(every_setting_reaches_its_field),
        cmocka_unit_test(a_section_with_nothing_in_it_is_as_good_as_none),
        cmocka_unit_test(keys_and_types_are_checked),
        cmocka_unit_test(a_dead_letter_topic_must_be_a_topic_name),
        cmocka_unit_test(what_must_be_there_is_missed),
        cmocka_unit_test(values_are_checked_with_their_range),
        cmocka_unit_test(rules_are_checked),
        cmocka_unit_test(
            settings_of_later_versions_are_not_unknown_but_refused),
        cmocka_unit_test(a_regex_given_twice_is_a_warning_and_the_config_loads),
        cmocka_unit_test(all_problems_come_at_once_in_the_order_of_the_file),
        cmocka_unit_test(
            what_was_put_in_is_named_by_its_origin_and_never_shown),
        cmocka_unit_test(
            a_value_that_could_not_be_put_in_is_one_problem_not_two),
        cmocka_unit_test(a_property_keeps_where_its_value_came_from),
        cmocka_unit_test(a_key_cannot_forge_a_line_or_drive_a_terminal),
        cmocka_unit_test(a_file_that_is_not_there_is_a_problem_without_a_place),
        cmocka_unit_test(config_read_gives_what_could_be_read_despite_errors),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
