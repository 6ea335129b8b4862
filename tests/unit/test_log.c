/*
 * test_log.c - log lines, whatever bytes are in them.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "relay/base/log.h"

static char logged[1 << 16];

/* Sends stderr to a file; returns what it was. */
static int capture(FILE *to)
{
    int before = dup(STDERR_FILENO);

    fflush(stderr);
    assert_true(dup2(fileno(to), STDERR_FILENO) >= 0);
    return before;
}

/* What one log_write gives; "" for nothing. */
static const char *line_of(enum log_format format, enum log_level level,
                           const struct log_at *at, const char *text)
{
    FILE *to = tmpfile();
    int before;
    size_t len;

    assert_non_null(to);
    log_open(LOG_INFO, format);
    before = capture(to);
    log_write(level, at, "%s", text);
    fflush(stderr);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(to);
    len = fread(logged, 1, sizeof(logged) - 1, to);
    logged[len] = '\0';
    fclose(to);
    return logged;
}

/* The line as an object; the caller drops it. */
static json_t *object_of(const struct log_at *at, const char *text)
{
    const char *line = line_of(LOG_JSON, LOG_INFO, at, text);
    json_error_t why;
    json_t *object = json_loads(line, 0, &why);

    if (object == NULL) {
        fail_msg("%s: %s", why.text, line);
    }
    assert_int_equal(line[strlen(line) - 1], '\n');
    return object;
}

static void expect_message(const char *text, const char *want)
{
    json_t *object = object_of(NULL, text);

    assert_string_equal(json_string_value(json_object_get(object, "message")),
                        want);
    json_decref(object);
}

static void a_text_line_has_time_level_and_message(void **state)
{
    const char *line = line_of(LOG_TEXT, LOG_WARN, NULL, "hello");

    (void)state;
    assert_int_equal(line[4], '-');
    assert_int_equal(line[10], 'T');
    assert_int_equal(line[23], 'Z');
    assert_string_equal(line + 24, " warn  hello\n");
}

static void fields_that_are_unset_are_left_out(void **state)
{
    (void)state;
    assert_string_equal(line_of(LOG_TEXT, LOG_INFO, LOG_LANE(3), "x") + 24,
                        " info  lane=3 x\n");
    assert_string_equal(
        line_of(LOG_TEXT, LOG_INFO, LOG_PARTITION(3, "orders", 7), "x") + 24,
        " info  lane=3 topic=orders partition=7 x\n");
}

static void a_json_line_has_the_same_fields(void **state)
{
    json_t *object = object_of(LOG_PARTITION(3, "orders", 7), "x");

    (void)state;
    assert_string_equal(json_string_value(json_object_get(object, "level")),
                        "info");
    assert_string_equal(json_string_value(json_object_get(object, "topic")),
                        "orders");
    assert_int_equal(json_integer_value(json_object_get(object, "lane")), 3);
    assert_int_equal(json_integer_value(json_object_get(object, "partition")),
                     7);
    assert_non_null(json_object_get(object, "time"));
    json_decref(object);
    object = object_of(NULL, "x");
    assert_null(json_object_get(object, "lane"));
    assert_null(json_object_get(object, "topic"));
    json_decref(object);
}

static void json_survives_quotes_backslashes_and_controls(void **state)
{
    (void)state;
    expect_message("a\"b\\c\nd\te\x01\x7f", "a\"b\\c\nd\te\x01\x7f");
    expect_message("\xc2\x9b[2J", "\xc2\x9b[2J");
}

static void json_keeps_utf_8_as_it_is(void **state)
{
    (void)state;
    expect_message("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x98 \xf4\x8f\xbf\xbf",
                   "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x98 \xf4\x8f\xbf\xbf");
}

#define BAD "\xef\xbf\xbd" /* U+FFFD */

static void json_replaces_what_is_no_utf_8(void **state)
{
    (void)state;
    expect_message("a\xff"
                   "b",
                   "a" BAD "b");
    expect_message("\x80", BAD); /* lone continuation */
    expect_message("\xc3", BAD); /* cut short */
    expect_message("\xe2\x82", BAD BAD);
    expect_message("\xc3(", BAD "(");
    expect_message("\xc0\xaf", BAD BAD); /* overlong */
    expect_message("\xe0\x80\xaf", BAD BAD BAD);
    expect_message("\xf0\x80\x80\xaf", BAD BAD BAD BAD);
    expect_message("\xed\xa0\x80", BAD BAD BAD);         /* surrogate */
    expect_message("\xf4\x90\x80\x80", BAD BAD BAD BAD); /* above U+10FFFF */
    expect_message("\xf8\x88\x80\x80\x80", BAD BAD BAD BAD BAD);
}

static void every_pair_of_bytes_gives_a_valid_json_line(void **state)
{
    (void)state;
    for (unsigned a = 1; a < 256; a += 3) {
        char text[2 * 256 + 1];
        size_t len = 0;

        for (unsigned b = 1; b < 256; b++) {
            text[len++] = (char)a;
            text[len++] = (char)b;
        }
        text[len] = '\0';
        json_decref(object_of(LOG_PARTITION(0, text, 0), text));
    }
}

static void a_message_cut_inside_a_character_is_valid_json(void **state)
{
    char text[4096];

    (void)state;
    for (size_t i = 0; i + 3 < sizeof(text); i += 3) {
        memcpy(text + i, "\xe2\x82\xac", 3);
    }
    text[sizeof(text) / 3 * 3 - 3] = '\0';
    json_decref(object_of(NULL, text));
    memset(text, '\xff', sizeof(text) - 1); /* the longest escapes */
    text[sizeof(text) - 1] = '\0';
    json_decref(object_of(LOG_PARTITION(255, "t", 2147483647), text));
}

static void a_text_line_cannot_be_forged_or_drive_a_terminal(void **state)
{
    (void)state;
    assert_string_equal(
        line_of(LOG_TEXT, LOG_INFO, NULL, "a\nb\x1b[2J\xc2\x9b\xff\\\"") + 24,
        " info  a\\u000ab\\u001b[2J\\u009b\\xff\\\"\n");
}

static void a_level_below_the_set_one_is_silent(void **state)
{
    (void)state;
    assert_string_equal(line_of(LOG_TEXT, LOG_DEBUG, NULL, "x"), "");
    assert_string_not_equal(line_of(LOG_TEXT, LOG_ERROR, NULL, "x"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_has_time_level_and_message),
        cmocka_unit_test(fields_that_are_unset_are_left_out),
        cmocka_unit_test(a_json_line_has_the_same_fields),
        cmocka_unit_test(json_survives_quotes_backslashes_and_controls),
        cmocka_unit_test(json_keeps_utf_8_as_it_is),
        cmocka_unit_test(json_replaces_what_is_no_utf_8),
        cmocka_unit_test(every_pair_of_bytes_gives_a_valid_json_line),
        cmocka_unit_test(a_message_cut_inside_a_character_is_valid_json),
        cmocka_unit_test(a_text_line_cannot_be_forged_or_drive_a_terminal),
        cmocka_unit_test(a_level_below_the_set_one_is_silent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
