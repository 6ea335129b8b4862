/*
 * test_substitute.c - ${...} in the values of a config.
 */
#include "tests/unit/config_text.h"

#include "config/substitute.h"
#include "config/yaml.h"

/* `value` after substitution, as the caller's string; *said is all problems. */
static char *substituted(const char *value, char **said, char **origin)
{
    struct problems p = {0};
    char *yaml = NULL;
    struct node *root;
    char *got;

    assert_true(asprintf(&yaml, "a: '%s'\n", value) > 0);
    root = node_parse(yaml, strlen(yaml), &p);
    assert_non_null(root);
    substitute(root, "relay.yaml", &p);
    got = strdup(node_get(root, "a")->text);
    assert_true(node_get(root, "a")->broken == (p.errors > 0));
    if (origin != NULL) {
        const char *from = node_get(root, "a")->origin;
        *origin = from != NULL ? strdup(from) : NULL;
    }
    *said = printed(&p);
    problems_clear(&p);
    node_free(root);
    free(yaml);
    return got;
}

static void expect(const char *value, const char *want)
{
    char *said;
    char *got = substituted(value, &said, NULL);

    assert_string_equal(said, "");
    assert_string_equal(got, want);
    free(said);
    free(got);
}

static void expect_problem(const char *value, const char *want)
{
    char *said;
    char *got = substituted(value, &said, NULL);

    assert_string_equal(said, want);
    free(said);
    free(got);
}

static void expect_origin(const char *value, const char *want)
{
    char *said, *origin;
    char *got = substituted(value, &said, &origin);

    if (want == NULL) {
        assert_null(origin);
    } else {
        assert_string_equal(origin, want);
    }
    free(origin);
    free(said);
    free(got);
}

static int set_variables(void **state)
{
    setenv("FULL", "value", 1);
    setenv("EMPTY", "", 1);
    setenv("TRICKY", "${FULL}$${x}", 1);
    unsetenv("UNSET");
    unsetenv("CREDENTIALS_DIRECTORY");
    return enter_folder(state);
}

static void a_variable_takes_its_value(void **state)
{
    (void)state;
    expect("${FULL}", "value");
    expect("a-${FULL}-b-${FULL}", "a-value-b-value");
    expect("${EMPTY}", "");
}

static void a_variable_that_is_not_set_is_an_error(void **state)
{
    (void)state;
    expect_problem("${UNSET}",
                   "config:1:4: environment variable UNSET is not set\n");
}

static void a_default_stands_in_for_unset_and_empty(void **state)
{
    (void)state;
    expect("${UNSET:-x:y}", "x:y");
    expect("${EMPTY:-x}", "x");
    expect("${FULL:-x}", "value");
    expect("${UNSET:-}", "");
}

static void a_message_is_shown_for_unset_and_empty(void **state)
{
    (void)state;
    expect("${FULL:?say}", "value");
    expect_problem("${UNSET:?ask Ann}",
                   "config:1:4: environment variable UNSET is not set: ask "
                   "Ann\n");
    expect_problem("${EMPTY:?ask Ann}",
                   "config:1:4: environment variable EMPTY is not set: ask "
                   "Ann\n");
}

static void two_dollars_make_a_literal(void **state)
{
    (void)state;
    expect("$${FULL}", "${FULL}");
    expect("a$", "a$");
    expect("$FULL {x}", "$FULL {x}");
    expect("$$", "$$");
    expect("^a{2}$", "^a{2}$");
}

static void what_was_put_in_is_not_looked_at_again(void **state)
{
    (void)state;
    expect("${TRICKY}", "${FULL}$${x}");
}

static void a_file_loses_one_newline_at_its_end(void **state)
{
    (void)state;
    write_file("secret", "s3cr3t\n", 7);
    expect("${file:secret}", "s3cr3t");
    write_file("secret", "a\nb\n\n", 5);
    expect("x${file:./secret}y", "xa\nb\ny");
    write_file("secret", "", 0);
    expect("${file:secret}", "");
}

static void a_relative_file_lies_beside_the_config(void **state)
{
    static const char yaml[] = "a: ${file:secret}\n";
    struct problems p = {0};
    struct node *root = node_parse(yaml, strlen(yaml), &p);
    char path[128];

    (void)state;
    write_file("secret", "here", 4);
    assert_int_equal(chdir("/"), 0);
    snprintf(path, sizeof(path), "%s/relay.yaml", config_folder);
    substitute(root, path, &p);
    assert_int_equal(chdir(config_folder), 0);
    assert_int_equal(p.count, 0);
    assert_string_equal(node_get(root, "a")->text, "here");
    node_free(root);
}

static void a_file_that_cannot_be_used_is_an_error(void **state)
{
    static char big[SUBSTITUTE_FILE_BYTES + 1];

    (void)state;
    memset(big, 'x', sizeof(big));
    expect_problem("${file:missing}",
                   "config:1:4: cannot open missing: No such file or "
                   "directory\n");
    expect_problem("${file:/}", "config:1:4: cannot read /: Is a directory\n");
    expect_problem("${file:}", "config:1:4: ${file:} names no file\n");
    write_file("secret", "a\0b", 3);
    expect_problem("${file:secret}", "config:1:4: secret holds a NUL byte\n");
    write_file("secret", big, sizeof(big));
    expect_problem("${file:secret}",
                   "config:1:4: secret is larger than 64 KiB\n");
    expect_problem("${file:/dev/zero}",
                   "config:1:4: /dev/zero is larger than 64 KiB\n");
}

static void a_credential_comes_from_systemds_directory(void **state)
{
    (void)state;
    expect_problem("${cred:secret}",
                   "config:1:4: ${cred:secret}: CREDENTIALS_DIRECTORY is not "
                   "set; systemd sets it for a unit with LoadCredential=\n");
    setenv("CREDENTIALS_DIRECTORY", config_folder, 1);
    write_file("secret", "c\n", 2);
    expect("${cred:secret}", "c");
    expect_problem("${cred:../secret}",
                   "config:1:4: ${cred:NAME}: NAME is a file name without /\n");
    expect_problem("${cred:..}",
                   "config:1:4: ${cred:NAME}: NAME is a file name without /\n");
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void another_form_is_an_error(void **state)
{
    static const char *const forms[] = {"${}",     "${1X}", "${A B}",
                                        "${A:+x}", "${A:}", "${env:HOME}"};

    (void)state;
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        char want[256];

        snprintf(want, sizeof(want),
                 "config:1:4: %s is not understood; there are ${VAR}, "
                 "${VAR:-default}, ${VAR:?message}, ${file:PATH} and "
                 "${cred:NAME}, and $${ for a literal ${\n",
                 forms[i]);
        expect_problem(forms[i], want);
    }
    expect_problem("${FULL",
                   "config:1:4: ${ without a closing }; $${ is a literal ${\n");
}

static void the_origin_names_the_source_and_no_value(void **state)
{
    (void)state;
    write_file("secret", "x", 1);
    expect_origin("plain", NULL);
    expect_origin("$${FULL}", NULL);
    expect_origin("a${FULL}", "${FULL}");
    expect_origin("${file:secret}", "${file:secret}");
    expect_origin("${UNSET:-hunter2}", "${UNSET}");
}

static void keys_are_left_alone(void **state)
{
    static const char yaml[] = "${FULL}: 1\n";
    struct problems p = {0};
    struct node *root = node_parse(yaml, strlen(yaml), &p);

    (void)state;
    substitute(root, "relay.yaml", &p);
    assert_int_equal(p.count, 0);
    assert_non_null(node_get(root, "${FULL}"));
    node_free(root);
}

static void the_total_put_in_is_bounded(void **state)
{
    static char yaml[64 << 10];
    static char big[SUBSTITUTE_FILE_BYTES];
    struct problems p = {0};
    struct node *root;
    size_t len = (size_t)snprintf(yaml, sizeof(yaml), "a: '");
    char *said;

    (void)state;
    memset(big, 'x', sizeof(big));
    write_file("secret", big, sizeof(big));
    for (int i = 0; i < 1000; i++) {
        len +=
            (size_t)snprintf(yaml + len, sizeof(yaml) - len, "${file:secret}");
    }
    snprintf(yaml + len, sizeof(yaml) - len, "'\n");
    root = node_parse(yaml, strlen(yaml), &p);
    substitute(root, "relay.yaml", &p);
    said = printed(&p);
    assert_string_equal(said,
                        "config:1:4: ${...} put in more than 4 MiB in all\n");
    free(said);
    problems_clear(&p);
    node_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_variable_takes_its_value),
        cmocka_unit_test(a_variable_that_is_not_set_is_an_error),
        cmocka_unit_test(a_default_stands_in_for_unset_and_empty),
        cmocka_unit_test(a_message_is_shown_for_unset_and_empty),
        cmocka_unit_test(two_dollars_make_a_literal),
        cmocka_unit_test(what_was_put_in_is_not_looked_at_again),
        cmocka_unit_test(a_file_loses_one_newline_at_its_end),
        cmocka_unit_test(a_relative_file_lies_beside_the_config),
        cmocka_unit_test(a_file_that_cannot_be_used_is_an_error),
        cmocka_unit_test(a_credential_comes_from_systemds_directory),
        cmocka_unit_test(another_form_is_an_error),
        cmocka_unit_test(the_origin_names_the_source_and_no_value),
        cmocka_unit_test(keys_are_left_alone),
        cmocka_unit_test(the_total_put_in_is_bounded),
    };

    return cmocka_run_group_tests(tests, set_variables, leave_folder);
}
