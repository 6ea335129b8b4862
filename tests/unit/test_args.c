/*
 * test_args.c - options of a subcommand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay/cli/cli.h"

struct given {
    bool until_end;
    const char *output;
};

static const struct arg table[] = {
    {.name = "until-end",
     .offset = offsetof(struct given, until_end),
     .help = "stop at the end"},
    {.name = "output",
     .letter = 'o',
     .value = "FORMAT",
     .offset = offsetof(struct given, output),
     .help = "text or json"},
    {0},
};

static const struct command command = {
    .name = "sample",
    .operands = "CONFIG [LANE]",
    .operands_min = 1,
    .operands_max = 2,
    .help = "What it does.",
    .args = table,
};

static char printed_text[4096];

/* Parses words (NULL-terminated); what goes to stdout or stderr is kept. */
static int parse(const char *const *words, struct given *given,
                 struct operands *operands)
{
    static char *argv[16]; /* operands point into it */
    FILE *to = tmpfile();
    int before[2] = {dup(STDOUT_FILENO), dup(STDERR_FILENO)};
    int argc = 0;
    int rc;
    size_t len;

    argv[argc++] = (char *)"sample";
    for (; *words != NULL; words++) {
        argv[argc++] = (char *)*words;
    }
    argv[argc] = NULL;
    *given = (struct given){0};
    *operands = (struct operands){0};
    fflush(stdout);
    dup2(fileno(to), STDOUT_FILENO);
    dup2(fileno(to), STDERR_FILENO);
    rc = args_parse(&command, argc, argv, given, operands);
    fflush(stdout);
    dup2(before[0], STDOUT_FILENO);
    dup2(before[1], STDERR_FILENO);
    close(before[0]);
    close(before[1]);
    rewind(to);
    len = fread(printed_text, 1, sizeof(printed_text) - 1, to);
    printed_text[len] = '\0';
    fclose(to);
    return rc;
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL}, &g, &o)

static void options_and_operands_come_in_any_order(void **state)
{
    struct given g;
    struct operands o;

    (void)state;
    assert_int_equal(PARSE("a.yaml", "--until-end", "-o", "json", "7"),
                     ARGS_DONE);
    assert_true(g.until_end);
    assert_string_equal(g.output, "json");
    assert_int_equal(o.count, 2);
    assert_string_equal(o.items[0], "a.yaml");
    assert_string_equal(o.items[1], "7");
    assert_string_equal(printed_text, "");
}

static void what_is_not_given_stays_unset(void **state)
{
    struct given g;
    struct operands o;

    (void)state;
    assert_int_equal(PARSE("a.yaml"), ARGS_DONE);
    assert_false(g.until_end);
    assert_null(g.output);
}

static void a_value_may_be_joined(void **state)
{
    struct given g;
    struct operands o;

    (void)state;
    assert_int_equal(PARSE("--output=json", "a.yaml"), ARGS_DONE);
    assert_string_equal(g.output, "json");
    assert_int_equal(PARSE("-ojson", "a.yaml"), ARGS_DONE);
    assert_string_equal(g.output, "json");
}

static void two_dashes_end_the_options(void **state)
{
    struct given g;
    struct operands o;

    (void)state;
    assert_int_equal(PARSE("--", "--until-end"), ARGS_DONE);
    assert_false(g.until_end);
    assert_string_equal(o.items[0], "--until-end");
}

static void an_unknown_option_gets_the_nearest_one(void **state)
{
    struct given g;
    struct operands o;

    (void)state;
    assert_int_equal(PARSE("--untilend", "a.yaml"), 64);
    assert_string_equal(printed_text,
                        "kafka-relay sample: no option --untilend; did you "
                        "mean --until-end?\nTry: kafka-relay sample --help\n");
    assert_int_equal(PARSE("--bananas", "a.yaml"), 64);
    assert_string_equal(printed_text,
                        "kafka-relay sample: no option --bananas\n"
                        "Try: kafka-relay sample --help\n");
    assert_int_equal(PARSE("-x", "a.yaml"), 64);
    assert_string_equal(printed_text, "kafka-relay sample: no option -x\n"
                                      "Try: kafka-relay sample --help\n");
}

static void a_missing_value_and_an_unwanted_one_are_usage_errors(void **state)
{
    struct given g;
    struct operands o;

    (void)state;
    assert_int_equal(PARSE("a.yaml", "--output"), 64);
    assert_string_equal(printed_text,
                        "kafka-relay sample: --output needs a value\n"
                        "Try: kafka-relay sample --help\n");
    assert_int_equal(PARSE("a.yaml", "-o"), 64);
    assert_int_equal(PARSE("--until-end=yes", "a.yaml"), 64);
}

static void the_number_of_operands_is_checked(void **state)
{
    struct given g;
    struct operands o;

    (void)state;
    assert_int_equal(PARSE("--until-end"), 64);
    assert_string_equal(printed_text,
                        "kafka-relay sample: CONFIG [LANE] is missing\n"
                        "Try: kafka-relay sample --help\n");
    assert_int_equal(PARSE("a", "b", "c"), 64);
    assert_string_equal(printed_text,
                        "kafka-relay sample: \"c\" is one argument too many\n"
                        "Try: kafka-relay sample --help\n");
}

static void help_prints_the_table_and_exits_0(void **state)
{
    struct given g;
    struct operands o;

    (void)state;
    assert_int_equal(PARSE("--help"), 0);
    assert_string_equal(printed_text,
                        "Usage: kafka-relay sample CONFIG [LANE] [OPTION]...\n"
                        "\nWhat it does.\n\nOptions:\n"
                        "      --until-end        stop at the end\n"
                        "  -o, --output FORMAT    text or json\n"
                        "  -h, --help             print this page\n");
    assert_int_equal(PARSE("-h"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_operands_come_in_any_order),
        cmocka_unit_test(what_is_not_given_stays_unset),
        cmocka_unit_test(a_value_may_be_joined),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(an_unknown_option_gets_the_nearest_one),
        cmocka_unit_test(a_missing_value_and_an_unwanted_one_are_usage_errors),
        cmocka_unit_test(the_number_of_operands_is_checked),
        cmocka_unit_test(help_prints_the_table_and_exits_0),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
