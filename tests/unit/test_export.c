/*
 * test_export.c - the text of `offsets export`, and the records that came with
 * it: claims of commands, lanes that were moved to another generation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/lane/export.h"

#define UUID "11111111-1111-4111-8111-111111111111"
#define HEAD                                                             \
    "{\"version\":1,\"name\":\"r\",\"relay\":\"" UUID                    \
    "\",\"source\":\"c\",\"generation\":2,\"lanes\":4,\"rules\":\"0a\"," \
    "\"positions\":"
#define KEY(topic, partition) \
    "\"key\":{\"topic\":\"" topic "\",\"partition\":" partition "}"
#define VALUE                                                    \
    "\"value\":{\"v\":1,\"next\":7,\"claim\":\"x\",\"epoch\":1," \
    "\"target\":{\"topic\":\"t\",\"partitioning\":\"preserve\"," \
    "\"filters\":\"00000000\"},\"tail\":[[0,0,0,7]],\"map\":[]}"
#define ITEM(topic, partition) "{" KEY(topic, partition) "," VALUE "}"

static enum err_kind decode(struct export *x, const char *text)
{
    struct err e;

    return export_decode(x, text, strlen(text), &e);
}

static void what_was_exported_is_read_back(void **state)
{
    struct export x;

    (void)state;
    assert_int_equal(
        decode(&x, HEAD "[" ITEM("b", "0") "," ITEM("a", "11") "]}"), ERR_NONE);
    assert_string_equal(x.name, "r");
    assert_string_equal(x.identity.relay, UUID);
    assert_string_equal(x.identity.source, "c");
    assert_int_equal(x.identity.generation, 2);
    assert_int_equal(x.identity.lanes, 4);
    assert_string_equal(x.rules, "0a");
    assert_int_equal(x.positions.count, 2);
    assert_string_equal(x.positions.items[0].topic, "a");
    assert_int_equal(x.positions.items[0].partition, 11);
    assert_int_equal(x.positions.items[1].position.next, 7);
    assert_non_null(entries_find(&x.positions, "b", 0));
    assert_null(entries_find(&x.positions, "b", 1));
    export_free(&x);
}

static void records_are_exported_as_they_are(void **state)
{
    static const char record[] = "{\"v\":1, \"later\":[null]}";
    struct state_value *raw = calloc(1, sizeof(*raw) + sizeof(record));
    struct export x = {.name = "r\"", .identity = {.lanes = 1}};
    struct buf out = {0};

    (void)state;
    raw->len = sizeof(record) - 1;
    memcpy(raw->data, record, sizeof(record));
    entries_add(&x.positions, "t", 3)->raw = raw;
    export_encode(&out, &x);
    buf_add(&out, "", 1);
    assert_non_null(strstr(out.data, "\"name\":\"r\\\"\""));
    assert_non_null(strstr(out.data,
                           "{\"key\":{\"topic\":\"t\",\"partition\":3}"
                           ",\"value\":{\"v\":1, \"later\":[null]}}"));
    buf_free(&out);
    export_free(&x);
    free(raw);
}

static void what_is_no_export_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "[]",
        "{}",
        "{\"version\":1}",
        "{\"version\":\"1\"}",
        "{\"version\":2}",
        HEAD "{}}",
        HEAD "[null]}",
        HEAD "[" ITEM("a", "0") "," ITEM("a", "0") "]}",
        HEAD "[" ITEM("a", "-1") "]}",
        HEAD "[" ITEM("a", "2147483648") "]}",
        HEAD "[" ITEM("a", "1.5") "]}",
        HEAD "[" ITEM("", "0") "]}",
        HEAD "[" ITEM("a/b", "0") "]}",
        HEAD "[{" KEY("a", "0") "}]}",
        HEAD "[{" KEY("a", "0") ",\"value\":[]}]}",
        HEAD "[{" VALUE "}]}",
        HEAD "[]",
        HEAD "[],\"lanes\":5}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct export x;

        if (decode(&x, cases[i]) != ERR_STATE) {
            fail_msg("taken: %s", cases[i]);
        }
        export_free(&x);
    }
}

static void every_cut_of_an_export_is_refused(void **state)
{
    static const char text[] = HEAD "[" ITEM("a", "0") "]}";

    (void)state;
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        struct export x;
        struct err e;
        char *copy = malloc(len + 1); /* exact, for the sanitizers */

        memcpy(copy, text, len);
        assert_int_equal(export_decode(&x, copy, len, &e), ERR_STATE);
        export_free(&x);
        free(copy);
    }
}

static void a_head_with_a_wrong_field_is_refused(void **state)
{
    static const char *const cases[][2] = {
        {"\"lanes\":4", "\"lanes\":0"},
        {"\"lanes\":4", "\"lanes\":65537"},
        {"\"generation\":2", "\"generation\":-1"},
        {"\"generation\":2", "\"generation\":\"2\""},
        {"11111111-1111", "11111111_1111"},
        {"11111111-1111", "1111111-1111"},
        {"11111111-1111", "X1111111-1111"},
        {"\"name\":\"r\"", "\"name\":7"},
        {"\"rules\":\"0a\"", "\"rules\":\"0123456789abcdef\""},
    };
    static const char text[] = HEAD "[]}";

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const char *at = strstr(text, cases[i][0]);
        char changed[sizeof(text) + 64];
        struct export x;

        assert_non_null(at);
        snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text,
                 cases[i][1], at + strlen(cases[i][0]));
        if (decode(&x, changed) != ERR_STATE) {
            fail_msg("taken: %s", changed);
        }
        export_free(&x);
    }
}

static void a_claim_names_the_command_that_made_it(void **state)
{
    struct claim claim = {.nonce = "n",
                          .host = "h",
                          .version = "1",
                          .released = true,
                          .command = "offsets set"};
    struct claim back;
    struct buf out = {0};
    struct err e;

    (void)state;
    claim_encode(&out, &claim);
    assert_int_equal(claim_decode(&back, out.data, out.len, &e), ERR_NONE);
    assert_string_equal(back.command, "offsets set");
    assert_true(back.released);
    buf_clear(&out);
    claim.command[0] = '\0';
    claim_encode(&out, &claim);
    buf_add(&out, "", 1);
    assert_null(strstr(out.data, "command"));
    buf_free(&out);
}

static void a_moved_lane_says_where_it_is(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        "{\"v\":1}",
        "{\"v\":2,\"generation\":1,\"lanes\":7}",
        "{\"v\":1,\"generation\":1,\"lanes\":0}",
        "{\"v\":1,\"generation\":-1,\"lanes\":7}",
        "{\"v\":1,\"generation\":1,\"lanes\":1e99}",
    };
    const struct rescaled r = {.generation = 1, .lanes = 7};
    struct rescaled back;
    struct buf out = {0};
    struct err e;

    (void)state;
    rescaled_encode(&out, &r);
    assert_int_equal(rescaled_decode(&back, out.data, out.len, &e), ERR_NONE);
    assert_int_equal(back.generation, 1);
    assert_int_equal(back.lanes, 7);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(rescaled_decode(&back, bad[i], strlen(bad[i]), &e),
                         ERR_STATE);
    }
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_exported_is_read_back),
        cmocka_unit_test(records_are_exported_as_they_are),
        cmocka_unit_test(what_is_no_export_is_refused),
        cmocka_unit_test(every_cut_of_an_export_is_refused),
        cmocka_unit_test(a_head_with_a_wrong_field_is_refused),
        cmocka_unit_test(a_claim_names_the_command_that_made_it),
        cmocka_unit_test(a_moved_lane_says_where_it_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
