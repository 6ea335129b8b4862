/*
 * test_suggest.c - "did you mean".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/suggest.h"

static const char *nearest(const char *word, const char *const *names)
{
    struct suggestion s = suggest_begin(word);

    for (; *names != NULL; names++) {
        suggest_offer(&s, *names);
    }
    return s.best;
}

static const char *const names[] = {"include", "exclude",         "rename",
                                    "lanes",   "commit_bytes",    "x.y",
                                    "topics",  "commit_interval", NULL};

static void a_missing_letter_is_found(void **state)
{
    (void)state;
    assert_string_equal(nearest("inclde", names), "include");
}

static void a_letter_too_many_is_found(void **state)
{
    (void)state;
    assert_string_equal(nearest("commmit_bytes", names), "commit_bytes");
}

static void a_wrong_letter_is_found(void **state)
{
    (void)state;
    assert_string_equal(nearest("commit-interval", names), "commit_interval");
}

static void two_swapped_letters_are_one_edit(void **state)
{
    struct suggestion s = suggest_begin("lnaes");

    (void)state;
    suggest_offer(&s, "lanes");
    assert_string_equal(s.best, "lanes");
    assert_int_equal(s.distance, 1);
}

static void case_counts_nothing(void **state)
{
    struct suggestion s = suggest_begin("LANES");

    (void)state;
    suggest_offer(&s, "lanes");
    assert_string_equal(s.best, "lanes");
    assert_int_equal(s.distance, 0);
}

static void the_nearest_of_several_wins_and_then_the_first(void **state)
{
    static const char *const near[] = {"exclude", "include", "inclose", NULL};

    (void)state;
    assert_string_equal(nearest("includ", near), "include");
    assert_string_equal(nearest("incluse", near), "include");
}

static void a_far_word_gets_no_suggestion(void **state)
{
    (void)state;
    assert_null(nearest("bananas", names));
    assert_null(nearest("", names));
    assert_null(nearest("zz", names));
}

static void a_very_long_word_or_name_does_no_harm(void **state)
{
    static char word[1 << 20];
    struct suggestion s = suggest_begin("aaa");

    (void)state;
    memset(word, 'a', sizeof(word) - 1);
    assert_null(nearest(word, names));
    suggest_offer(&s, word);
    assert_null(s.best);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_letter_is_found),
        cmocka_unit_test(a_letter_too_many_is_found),
        cmocka_unit_test(a_wrong_letter_is_found),
        cmocka_unit_test(two_swapped_letters_are_one_edit),
        cmocka_unit_test(case_counts_nothing),
        cmocka_unit_test(the_nearest_of_several_wins_and_then_the_first),
        cmocka_unit_test(a_far_word_gets_no_suggestion),
        cmocka_unit_test(a_very_long_word_or_name_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
