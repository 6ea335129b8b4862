/*
 * test_topics.c - what the rules say of a topic, and its name on the target.
 */
#include "tests/unit/config_text.h"

#include "config/rename.h"

static struct config *rules(const char *topics)
{
    char yaml[2048];

    snprintf(yaml, sizeof(yaml),
             "relay: r\n"
             "source: {name: east, bootstrap.servers: 'a:9092'}\n"
             "target: {bootstrap.servers: 'b:9092'}\n"
             "topics:\n%s",
             topics);
    return good_config(yaml);
}

static void expect(const struct config *cfg, const char *topic,
                   enum topic_verdict want, const char *target)
{
    char got[TOPIC_NAME_MAX + 1] = "";
    const struct rule *rule = NULL;

    assert_int_equal(config_match(cfg, topic, got, &rule), want);
    assert_true((rule != NULL) == (want == TOPIC_COPIED));
    if (target != NULL) {
        assert_string_equal(got, target);
    }
    assert_int_equal(config_match(cfg, topic, got, NULL), want);
}

static void only_what_an_include_matches_is_copied(void **state)
{
    struct config *cfg = rules("  - include: ['a\\..*', 'b']\n");

    (void)state;
    expect(cfg, "a.x", TOPIC_COPIED, "a.x");
    expect(cfg, "b", TOPIC_COPIED, "b");
    expect(cfg, "bb", TOPIC_UNMATCHED, NULL);
    expect(cfg, "ab", TOPIC_UNMATCHED, NULL);
    config_free(&cfg);
}

static void a_single_include_needs_no_list(void **state)
{
    struct config *cfg = rules("  - include: a.*\n    exclude: ab\n");

    (void)state;
    expect(cfg, "aa", TOPIC_COPIED, "aa");
    expect(cfg, "ab", TOPIC_EXCLUDED, NULL);
    config_free(&cfg);
}

static void the_first_rule_whose_include_matches_decides(void **state)
{
    struct config *cfg = rules("  - {include: 'a.*', exclude: 'ab', rename: "
                               "'first.{topic}'}\n"
                               "  - {include: '.*', rename: '2.{topic}'}\n");
    char target[TOPIC_NAME_MAX + 1];
    const struct rule *rule;

    (void)state;
    expect(cfg, "aa", TOPIC_COPIED, "first.aa");
    /* its exclude means "not copied", not "try the next rule" */
    expect(cfg, "ab", TOPIC_EXCLUDED, NULL);
    expect(cfg, "b", TOPIC_COPIED, "2.b");
    assert_int_equal(config_match(cfg, "b", target, &rule), TOPIC_COPIED);
    assert_ptr_equal(rule, &cfg->rules[1]);
    config_free(&cfg);
}

static void internal_topics_are_never_copied(void **state)
{
    static const char *const internal[] = {
        "__consumer_offsets",
        "__transaction_state",
        "__",
        "kafka-relay.east.offsets.0.internal",
        "kafka-relay.x",
        "mm2-offset-syncs.west.internal",
        "mm2-offset-syncs-west-internal",
        "mm2-configs.west.internal",
        "mm2-status.west.internal",
        "mm2-offsets.west.internal",
        "west.checkpoints.internal",
        "a.b.checkpoints.internal",
        "west_checkpoints_internal",
        "heartbeats",
    };
    static const char *const ordinary[] = {
        "_schemas",        "kafka-relay",  "kafka-relays.x",
        "orders.internal", "mm2-orders",   "my.heartbeats",
        "heartbeats2",     "a__b",         "checkpoints.internal",
        "x.checkpoints",   "mm2.internal",
    };
    struct config *cfg = rules("  - include: '.*'\n");

    (void)state;
    for (size_t i = 0; i < sizeof(internal) / sizeof(internal[0]); i++) {
        print_message("    %s\n", internal[i]);
        expect(cfg, internal[i], TOPIC_INTERNAL, NULL);
    }
    for (size_t i = 0; i < sizeof(ordinary) / sizeof(ordinary[0]); i++) {
        print_message("    %s\n", ordinary[i]);
        expect(cfg, ordinary[i], TOPIC_COPIED, ordinary[i]);
    }
    config_free(&cfg);
}

static void a_template_has_topic_cluster_and_groups(void **state)
{
    struct config *cfg =
        rules("  - {include: '([a-z]+)\\.(\\d+)(\\.x)?', rename: "
              "'{cluster}.{2}.{1}{3}-{topic}'}\n");

    (void)state;
    expect(cfg, "ab.12", TOPIC_COPIED, "east.12.ab-ab.12");
    expect(cfg, "ab.12.x", TOPIC_COPIED, "east.12.ab.x-ab.12.x");
    config_free(&cfg);
}

static void a_name_that_kafka_refuses_is_a_bad_target(void **state)
{
    struct config *cfg =
        rules("  - {include: '(x*)(\\.*)', rename: '{1}{2}'}\n"
              "  - {include: 'y+', rename: '{topic}{topic}'}\n");
    char name[200];

    (void)state;
    memset(name, 'y', sizeof(name));
    name[124] = '\0';
    expect(cfg, name, TOPIC_COPIED, NULL);
    name[124] = 'y';
    name[125] = '\0'; /* 250 after the rename */
    expect(cfg, name, TOPIC_BAD_TARGET, NULL);
    expect(cfg, ".", TOPIC_BAD_TARGET, NULL);
    expect(cfg, "..", TOPIC_BAD_TARGET, NULL);
    expect(cfg, "...", TOPIC_COPIED, "...");
    config_free(&cfg);
}

static void a_rename_never_leads_to_internal_topics(void **state)
{
    struct config *cfg =
        rules("  - {include: 'a', rename: 'kafka-relay.r.offsets.0.internal'}\n"
              "  - {include: 'b(.*)', rename: '{1}'}\n");

    (void)state;
    expect(cfg, "a", TOPIC_BAD_TARGET, NULL);
    expect(cfg, "b__consumer_offsets", TOPIC_BAD_TARGET, NULL);
    expect(cfg, "bc", TOPIC_COPIED, "c");
    config_free(&cfg);
}

static void a_regex_at_its_limit_copies_nothing(void **state)
{
    struct config *cfg = rules("  - include: '(a+)+[bx]'\n"
                               "  - include: '.*'\n"
                               "    exclude: '(c+)+[dx]'\n");
    char name[200];

    (void)state;
    memset(name, 'a', sizeof(name));
    name[199] = '\0';
    expect(cfg, name, TOPIC_UNDECIDED, NULL);
    memset(name, 'c', sizeof(name) - 1);
    expect(cfg, name, TOPIC_UNDECIDED, NULL);
    expect(cfg, "e", TOPIC_COPIED, "e");
    config_free(&cfg);
}

static void topic_names_follow_the_brokers_rule(void **state)
{
    char name[251];

    (void)state;
    assert_true(topic_name_is_valid("a"));
    assert_true(topic_name_is_valid("A-z_0.9"));
    assert_true(topic_name_is_valid("..."));
    assert_false(topic_name_is_valid(""));
    assert_false(topic_name_is_valid("."));
    assert_false(topic_name_is_valid(".."));
    assert_false(topic_name_is_valid("a b"));
    assert_false(topic_name_is_valid("\xc3\xa9"));
    memset(name, 'x', 250);
    name[250] = '\0';
    assert_false(topic_name_is_valid(name));
    name[249] = '\0';
    assert_true(topic_name_is_valid(name));
}

static void expect_no_template(const char *template, const char *want)
{
    unsigned groups;
    struct err e = {0};

    assert_int_equal(rename_check(template, &groups, &e), ERR_CONFIG);
    assert_string_equal(e.text, want);
}

static void templates_are_checked_before_they_are_used(void **state)
{
    unsigned groups;
    struct err e;

    (void)state;
    assert_int_equal(rename_check("{topic}-{1}{7}", &groups, &e), ERR_NONE);
    assert_int_equal(groups, 7);
    expect_no_template("", "a template cannot be empty");
    expect_no_template("a{topic", "{ without a closing }");
    expect_no_template("{}", "{} is no placeholder; there are {topic}, "
                             "{cluster} and {1} to {9}");
    expect_no_template("{0}", "{0} is no placeholder; there are {topic}, "
                              "{cluster} and {1} to {9}");
    expect_no_template("{10}", "{10} is no placeholder; there are {topic}, "
                               "{cluster} and {1} to {9}");
    expect_no_template("a b", "a topic name has only letters, digits, \".\", "
                              "\"_\" and \"-\"");
    expect_no_template("a}", "a topic name has only letters, digits, \".\", "
                             "\"_\" and \"-\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_an_include_matches_is_copied),
        cmocka_unit_test(a_single_include_needs_no_list),
        cmocka_unit_test(the_first_rule_whose_include_matches_decides),
        cmocka_unit_test(internal_topics_are_never_copied),
        cmocka_unit_test(a_template_has_topic_cluster_and_groups),
        cmocka_unit_test(a_name_that_kafka_refuses_is_a_bad_target),
        cmocka_unit_test(a_rename_never_leads_to_internal_topics),
        cmocka_unit_test(a_regex_at_its_limit_copies_nothing),
        cmocka_unit_test(topic_names_follow_the_brokers_rule),
        cmocka_unit_test(templates_are_checked_before_they_are_used),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
