/*
 * test_pattern.c - regexes over topic names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/pattern.h"
#include "relay/base/clock.h"

static enum pattern_result match(const char *regex, const char *subject,
                                 struct captures *captures)
{
    struct pattern *pattern = NULL;
    struct err e = {0};
    enum pattern_result result;

    assert_int_equal(pattern_compile(&pattern, regex, &e), ERR_NONE);
    assert_string_equal(pattern_text(pattern), regex);
    result = pattern_match(pattern, subject, captures);
    pattern_free(pattern);
    return result;
}

static void expect_refused(const char *regex, const char *want)
{
    struct pattern *pattern = NULL;
    struct err e = {0};

    assert_int_equal(pattern_compile(&pattern, regex, &e), ERR_CONFIG);
    assert_null(pattern);
    assert_string_equal(e.text, want);
}

static void a_regex_matches_the_whole_name_or_not_at_all(void **state)
{
    (void)state;
    assert_int_equal(match("syslog", "syslog", NULL), PATTERN_YES);
    assert_int_equal(match("syslog", "syslog.a", NULL), PATTERN_NO);
    assert_int_equal(match("syslog", "a.syslog", NULL), PATTERN_NO);
    assert_int_equal(match("syslog.*", "syslog.a", NULL), PATTERN_YES);
    assert_int_equal(match("^syslog$", "syslog", NULL), PATTERN_YES);
}

static void each_branch_of_an_alternation_means_the_whole_name(void **state)
{
    (void)state;
    assert_int_equal(match("a|ab", "ab", NULL), PATTERN_YES);
    assert_int_equal(match("a|b", "ab", NULL), PATTERN_NO);
    assert_int_equal(match("a|b", "b", NULL), PATTERN_YES);
}

static void case_counts(void **state)
{
    (void)state;
    assert_int_equal(match("Syslog", "syslog", NULL), PATTERN_NO);
    assert_int_equal(match("(?i)Syslog", "syslog", NULL), PATTERN_YES);
}

static void capture_groups_tell_where_they_lie(void **state)
{
    struct captures c;

    (void)state;
    assert_int_equal(match("(a+)\\.(x)?(b+)", "aa.bbb", &c), PATTERN_YES);
    assert_int_equal(c.group[1].start, 0);
    assert_int_equal(c.group[1].end, 2);
    assert_int_equal(c.group[2].end - c.group[2].start, 0);
    assert_int_equal(c.group[3].start, 3);
    assert_int_equal(c.group[3].end, 6);
    assert_int_equal(c.group[9].end, 0);
}

static void groups_are_counted(void **state)
{
    struct pattern *pattern = NULL;
    struct err e;

    (void)state;
    assert_int_equal(pattern_compile(&pattern, "(a)(?:b)((c))", &e), ERR_NONE);
    assert_int_equal(pattern_groups(pattern), 3);
    pattern_free(pattern);
}

static void more_groups_than_ten_do_no_harm(void **state)
{
    struct captures c;

    (void)state;
    assert_int_equal(
        match("(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)(k)", "abcdefghijk", &c),
        PATTERN_YES);
    assert_int_equal(c.group[9].start, 8);
}

static void an_error_gives_the_column_inside_the_regex(void **state)
{
    (void)state;
    expect_refused("(a", "missing closing parenthesis at column 3 of the "
                         "regex");
    expect_refused("ab[z-a]", "range out of order in character class at column "
                              "6 of the regex");
    expect_refused("\\Ca", "using \\C is disabled by the application at column "
                           "3 of the regex");
}

static void a_glob_is_told_apart(void **state)
{
    (void)state;
    expect_refused("*.test",
                   "quantifier does not follow a repeatable item at column 1 "
                   "of the regex; this is a regex and no glob: write .* for "
                   "any text");
}

static void length_is_bounded(void **state)
{
    static char text[PATTERN_MAX_BYTES + 2];

    (void)state;
    expect_refused("", "a regex has 1 to 4096 characters");
    memset(text, 'a', sizeof(text) - 1);
    expect_refused(text, "a regex has 1 to 4096 characters");
}

static void a_regex_without_end_gives_up_quickly_and_says_so(void **state)
{
    char name[250];
    int64_t start = clock_ms();

    (void)state;
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(match("(a+)+[bc]", name, NULL), PATTERN_GAVE_UP);
    assert_int_equal(match("(a|aa)+[bc]", name, NULL), PATTERN_GAVE_UP);
    assert_int_equal(match("(.*)*(.*)*[bc]", name, NULL), PATTERN_GAVE_UP);
    assert_true(clock_ms() - start < 2000);
}

static void an_honest_regex_stays_far_below_the_limit(void **state)
{
    char name[250];

    (void)state;
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(match(".*a.*[bc]", name, NULL), PATTERN_NO);
    assert_int_equal(match("(a|b|c)*", name, NULL), PATTERN_YES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_regex_matches_the_whole_name_or_not_at_all),
        cmocka_unit_test(each_branch_of_an_alternation_means_the_whole_name),
        cmocka_unit_test(case_counts),
        cmocka_unit_test(capture_groups_tell_where_they_lie),
        cmocka_unit_test(groups_are_counted),
        cmocka_unit_test(more_groups_than_ten_do_no_harm),
        cmocka_unit_test(an_error_gives_the_column_inside_the_regex),
        cmocka_unit_test(a_glob_is_told_apart),
        cmocka_unit_test(length_is_bounded),
        cmocka_unit_test(a_regex_without_end_gives_up_quickly_and_says_so),
        cmocka_unit_test(an_honest_regex_stays_far_below_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
