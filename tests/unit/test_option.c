/*
 * test_option.c - values of settings, and the rows that parse them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/option.h"
#include "config/sections.h"
#include "config/value.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void sizes_have_binary_units_or_none(void **state)
{
    static const struct {
        const char *text;
        int64_t want; /* -1: refused */
    } cases[] = {
        {"4096", 4096},
        {"0", 0},
        {"64KiB", 64 << 10},
        {"64MiB", 64 << 20},
        {"2GiB", 2LL << 30},
        {"1TiB", 1LL << 40},
        {"64KB", -1},
        {"64 KiB", -1},
        {"64kib", -1},
        {"-1", -1},
        {"", -1},
        {"KiB", -1},
        {"1.5MiB", -1},
        {" 1", -1},
        {"9223372036854775808", -1}, /* overflows by itself */
        {"9007199254740993KiB", -1}, /* and by its unit */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t got;
        bool good = value_bytes(&got, cases[i].text);

        print_message("    %s\n", cases[i].text);
        assert_int_equal(good, cases[i].want >= 0);
        if (good) {
            assert_int_equal(got, cases[i].want);
        }
    }
}

static void times_need_a_unit(void **state)
{
    static const struct {
        const char *text;
        int64_t want;
    } cases[] = {
        {"100ms", 100},    {"30s", 30000},    {"5m", 300000},
        {"12h", 43200000}, {"7d", 604800000}, {"100", -1},
        {"1w", -1},        {"-5s", -1},       {"1m30s", -1},
        {"", -1},          {"0ms", 0},        {"106751991168d", -1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t got;
        bool good = value_ms(&got, cases[i].text);

        print_message("    %s\n", cases[i].text);
        assert_int_equal(good, cases[i].want >= 0);
        if (good) {
            assert_int_equal(got, cases[i].want);
        }
    }
}

static void whole_numbers_take_a_sign_and_nothing_else(void **state)
{
    int64_t got;

    (void)state;
    assert_true(value_int(&got, "-12"));
    assert_int_equal(got, -12);
    assert_false(value_int(&got, "+12"));
    assert_false(value_int(&got, "--12"));
    assert_false(value_int(&got, "12x"));
    assert_false(value_int(&got, "0x10"));
    assert_false(value_int(&got, ""));
    assert_false(value_int(&got, "99999999999999999999"));
}

static void yes_and_no_are_the_only_truths(void **state)
{
    bool got;

    (void)state;
    assert_true(value_bool(&got, "yes") && got);
    assert_true(value_bool(&got, "no") && !got);
    assert_false(value_bool(&got, "true"));
    assert_false(value_bool(&got, "Yes"));
    assert_false(value_bool(&got, ""));
}

static void a_start_is_a_word_or_rfc_3339_or_relative(void **state)
{
    static const int64_t now = 1767225600000; /* 2026-01-01T00:00:00Z */
    static const struct {
        const char *text;
        int64_t want; /* -1: refused, -2: earliest, -3: latest */
    } cases[] = {
        {"earliest", -2},
        {"latest", -3},
        {"1970-01-01T00:00:00Z", 0},
        {"2026-01-01T00:00:00Z", 1767225600000},
        {"2026-01-01t00:00:00z", 1767225600000},
        {"2026-01-01T01:30:00+01:30", 1767225600000},
        {"2025-12-31T23:00:00-01:00", 1767225600000},
        {"2026-01-01T00:00:00.5Z", 1767225600500},
        {"2026-01-01T00:00:00.123456Z", 1767225600123},
        {"2024-02-29T00:00:00Z", 1709164800000},
        {"2016-12-31T23:59:60Z", 1483228799000},
        {"-2h", 1767225600000 - 7200000},
        {"-0ms", 1767225600000},
        {"2023-02-29T00:00:00Z", -1},
        {"2026-13-01T00:00:00Z", -1},
        {"2026-01-01T24:00:00Z", -1},
        {"2026-01-01T00:00:00", -1},
        {"2026-01-01", -1},
        {"2026-01-01 00:00:00Z", -1},
        {"2026-01-01T00:00:00.Z", -1},
        {"2026-01-01T00:00:00+25:00", -1},
        {"2026-01-01T00:00:00Zx", -1},
        {"1969-12-31T23:59:59Z", -1},
        {"0000-00-00T00:00:00Z", -1},
        {"-99999d", -1},
        {"2h", -1},
        {"-", -1},
        {"", -1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct start got;
        bool good = value_start(&got, cases[i].text, now);

        print_message("    %s\n", cases[i].text);
        assert_int_equal(good, cases[i].want != -1);
        if (cases[i].want >= 0) {
            assert_int_equal(got.kind, START_TIME);
            assert_int_equal(got.time_ms, cases[i].want);
        } else if (good) {
            assert_int_equal(got.kind, cases[i].want == -2 ? START_EARLIEST
                                                           : START_LATEST);
        }
    }
}

static void numbers_are_printed_in_their_largest_whole_unit(void **state)
{
    char text[VALUE_TEXT_BYTES];

    (void)state;
    value_print_bytes(text, 64 << 20);
    assert_string_equal(text, "64MiB");
    value_print_bytes(text, 1025);
    assert_string_equal(text, "1025");
    value_print_bytes(text, 0);
    assert_string_equal(text, "0");
    value_print_ms(text, 90000);
    assert_string_equal(text, "90s");
    value_print_ms(text, 604800000);
    assert_string_equal(text, "7d");
    value_print_ms(text, 0);
    assert_string_equal(text, "0ms");
}

struct sample {
    char *name;
    int64_t lanes;
    int64_t wait_ms;
    int level;
};

static const char *const levels[] = {"low", "high", NULL};
static const char *const levels_later[] = {"extreme", NULL};
static const struct option rows[] = {
    {.name = "name",
     .type = OPT_NAME,
     .offset = offsetof(struct sample, name),
     .def = "n",
     .min = 1,
     .max = 5},
    {.name = "lanes",
     .type = OPT_INT,
     .offset = offsetof(struct sample, lanes),
     .def = "4",
     .min = 1,
     .max = 256},
    {.name = "wait",
     .type = OPT_MS,
     .offset = offsetof(struct sample, wait_ms),
     .def = "1s",
     .min = 10,
     .max = 25000},
    {.name = "level",
     .type = OPT_ENUM,
     .offset = offsetof(struct sample, level),
     .def = "high",
     .names = levels,
     .later = levels_later},
};

static void expect_refused(const char *name, const char *text, const char *want)
{
    struct sample s = {0};
    struct err e = {0};

    assert_int_equal(
        option_set(option_find(rows, COUNT(rows), name), &s, text, "it", &e),
        ERR_CONFIG);
    assert_string_equal(e.text, want);
    assert_null(s.name);
}

static void defaults_are_parsed_like_user_input(void **state)
{
    struct sample s = {0};

    (void)state;
    option_defaults(rows, COUNT(rows), &s);
    assert_string_equal(s.name, "n");
    assert_int_equal(s.lanes, 4);
    assert_int_equal(s.wait_ms, 1000);
    assert_int_equal(s.level, 1);
    option_clear(rows, COUNT(rows), &s);
    assert_null(s.name);
}

static void a_second_text_replaces_the_first(void **state)
{
    struct sample s = {0};
    struct err e;

    (void)state;
    assert_int_equal(option_set(&rows[0], &s, "a", "", &e), ERR_NONE);
    assert_int_equal(option_set(&rows[0], &s, "b", "", &e), ERR_NONE);
    assert_string_equal(s.name, "b");
    option_clear(rows, COUNT(rows), &s);
}

static void bounds_are_inclusive_and_named(void **state)
{
    struct sample s = {0};
    struct err e;

    (void)state;
    assert_int_equal(option_set(&rows[1], &s, "256", "", &e), ERR_NONE);
    assert_int_equal(option_set(&rows[1], &s, "1", "", &e), ERR_NONE);
    expect_refused("lanes", "0", "it is out of range: 1 to 256");
    expect_refused("lanes", "257", "it is out of range: 1 to 256");
    expect_refused("wait", "26s", "it is out of range: 10ms to 25s");
    expect_refused("name", "", "it is out of range: 1 to 5 characters");
    expect_refused("name", "sixsix", "it is out of range: 1 to 5 characters");
}

static void an_error_says_what_the_form_is(void **state)
{
    (void)state;
    expect_refused("lanes", "many", "it is not a whole number");
    expect_refused("wait", "5",
                   "it is not a time such as 100ms, 30s, 5m, 12h or 7d");
    expect_refused("name", "a b",
                   "it is not a name of letters, digits, \".\", \"_\" and "
                   "\"-\"");
}

static void an_unknown_word_gets_the_nearest_one(void **state)
{
    (void)state;
    expect_refused("level", "hihg",
                   "it is unknown; expected low or high; did you mean "
                   "\"high\"?");
    expect_refused("level", "medium", "it is unknown; expected low or high");
}

static void a_word_of_a_later_version_is_told_from_an_unknown_one(void **state)
{
    (void)state;
    expect_refused("level", "extreme",
                   "it is not supported by this version "
                   "(" KAFKA_RELAY_VERSION "); expected low or high");
}

/* option_defaults asserts that each parses: a wrong row fails here and not in
 * the field. */
static void every_row_of_the_program_has_a_good_default_and_a_text(void **state)
{
    (void)state;
    for (int id = 0; id < SECTION_COUNT; id++) {
        const struct section *s = &config_sections[id];
        void *out = calloc(1, sizeof(struct config));

        option_defaults(s->options, s->count, out);
        option_clear(s->options, s->count, out);
        free(out);
        for (size_t i = 0; i < s->count; i++) {
            assert_true(strlen(s->options[i].doc) > 10);
            assert_ptr_equal(
                option_find(s->options, s->count, s->options[i].name),
                &s->options[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_have_binary_units_or_none),
        cmocka_unit_test(times_need_a_unit),
        cmocka_unit_test(whole_numbers_take_a_sign_and_nothing_else),
        cmocka_unit_test(yes_and_no_are_the_only_truths),
        cmocka_unit_test(a_start_is_a_word_or_rfc_3339_or_relative),
        cmocka_unit_test(numbers_are_printed_in_their_largest_whole_unit),
        cmocka_unit_test(defaults_are_parsed_like_user_input),
        cmocka_unit_test(a_second_text_replaces_the_first),
        cmocka_unit_test(bounds_are_inclusive_and_named),
        cmocka_unit_test(an_error_says_what_the_form_is),
        cmocka_unit_test(an_unknown_word_gets_the_nearest_one),
        cmocka_unit_test(a_word_of_a_later_version_is_told_from_an_unknown_one),
        cmocka_unit_test(
            every_row_of_the_program_has_a_good_default_and_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
