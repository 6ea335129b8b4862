/*
 * test_err.c - the one error value.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/base/err.h"

static void setting_an_error_returns_its_kind(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(err_set(&e, ERR_STATE, "lane %d", 3), ERR_STATE);
    assert_int_equal(e.kind, ERR_STATE);
    assert_string_equal(e.text, "lane 3");
}

static void nobody_needs_to_keep_the_error(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_RETRY, "x"), ERR_RETRY);
}

static void a_prefix_keeps_the_kind_and_what_was_said(void **state)
{
    struct err e = {0};

    (void)state;
    err_set(&e, ERR_DENIED, "no right to read");
    assert_int_equal(err_prefix(&e, "%s[%d]", "orders", 3), ERR_DENIED);
    assert_string_equal(e.text, "orders[3]: no right to read");
}

static void a_text_that_is_too_long_is_cut(void **state)
{
    char text[2 * sizeof(((struct err *)0)->text)];
    struct err e = {0};

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    err_set(&e, ERR_FAILED, "%s", text);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    err_prefix(&e, "what");
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
    assert_int_equal(strncmp(e.text, "what: xxx", 9), 0);
    err_prefix(&e, "%s", text);
    assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
}

static void each_kind_has_the_exit_code_of_the_manual(void **state)
{
    (void)state;
    assert_int_equal(err_exit_code(ERR_NONE), 0);
    assert_int_equal(err_exit_code(ERR_RETRY), 1);
    assert_int_equal(err_exit_code(ERR_FENCED), 1);
    assert_int_equal(err_exit_code(ERR_FAILED), 1);
    assert_int_equal(err_exit_code(ERR_USAGE), 64);
    assert_int_equal(err_exit_code(ERR_STATE), 65);
    assert_int_equal(err_exit_code(ERR_UNREACHABLE), 69);
    assert_int_equal(err_exit_code(ERR_DENIED), 77);
    assert_int_equal(err_exit_code(ERR_CONFIG), 78);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(setting_an_error_returns_its_kind),
        cmocka_unit_test(nobody_needs_to_keep_the_error),
        cmocka_unit_test(a_prefix_keeps_the_kind_and_what_was_said),
        cmocka_unit_test(a_text_that_is_too_long_is_cut),
        cmocka_unit_test(each_kind_has_the_exit_code_of_the_manual),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
