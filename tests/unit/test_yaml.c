/*
 * test_yaml.c - from YAML to nodes: places, and what hostile input costs.
 */
#include "tests/unit/config_text.h"

#include "config/yaml.h"
#include "relay/base/clock.h"

static struct node *parse(const char *yaml)
{
    struct problems p = {0};
    struct node *root = node_parse(yaml, strlen(yaml), &p);

    assert_int_equal(p.count, 0);
    assert_non_null(root);
    return root;
}

/* All that is said of bytes that must not parse. */
static char *refused(const char *bytes, size_t len)
{
    struct problems p = {0};
    struct node *root = node_parse(bytes, len, &p);
    char *text = printed(&p);

    assert_null(root);
    assert_true(p.errors > 0);
    problems_clear(&p);
    return text;
}

static void expect_refused(const char *yaml, const char *want)
{
    char *text = refused(yaml, strlen(yaml));

    assert_string_equal(text, want);
    free(text);
}

static void expect_place(const struct node *node, int line, int column)
{
    assert_int_equal(node->at.line, line);
    assert_int_equal(node->at.column, column);
}

static void every_node_knows_its_line_and_column(void **state)
{
    struct node *root = parse("a: 1\n"
                              "b:\n"
                              "  - x\n"
                              "  - {c: 'y'}\n");
    const struct node *b = node_get(root, "b");

    (void)state;
    expect_place(root, 1, 1);
    expect_place(node_get(root, "a"), 1, 4);
    assert_int_equal(b->key_at.line, 2);
    assert_int_equal(b->key_at.column, 1);
    expect_place(&b->items[0], 3, 5);
    expect_place(node_get(&b->items[1], "c"), 4, 9);
    node_free(root);
}

static void a_column_counts_characters_and_not_bytes(void **state)
{
    struct node *root = parse("{'\xc3\xa9\xe2\x82\xac': x, a: y}");

    (void)state;
    assert_int_equal(node_get(root, "a")->at.column, 14);
    node_free(root);
}

static void quoting_tells_a_text_from_nothing(void **state)
{
    struct node *root = parse("a:\nb: ''\nc: ~\nd: '~'\ne: null\nf: yes\n");

    (void)state;
    assert_true(node_is_null(node_get(root, "a")));
    assert_false(node_is_null(node_get(root, "b")));
    assert_true(node_is_null(node_get(root, "c")));
    assert_false(node_is_null(node_get(root, "d")));
    assert_true(node_is_null(node_get(root, "e")));
    assert_string_equal(node_get(root, "f")->text, "yes");
    node_free(root);
}

static void a_key_given_twice_is_a_problem_at_the_second(void **state)
{
    static const char yaml[] = "a: 1\nb: 2\na: 3\n";
    struct problems p = {0};
    struct node *root = node_parse(yaml, strlen(yaml), &p);
    char *text = printed(&p);

    (void)state;
    assert_string_equal(text, "config:3:1: \"a\" is given twice; it is already "
                              "at line 1\n");
    assert_string_equal(node_get(root, "a")->text, "1");
    free(text);
    problems_clear(&p);
    node_free(root);
}

static void what_a_config_does_not_need_is_refused_and_named(void **state)
{
    (void)state;
    expect_refused("a: &x 1\n", "config:1:4: anchors (&x) are not supported\n");
    expect_refused("a: *x\n",
                   "config:1:4: aliases (*x) are not supported; quote a text "
                   "that begins with *\n");
    expect_refused("<<: *x\n",
                   "config:1:5: aliases (*x) are not supported; quote a text "
                   "that begins with *\n");
    expect_refused("a: !!str 1\n",
                   "config:1:4: tags (tag:yaml.org,2002:str) are not "
                   "supported\n");
    expect_refused("[1]: a\n", "config:1:1: a key must be a plain word\n");
    expect_refused("a: 1\n---\nb: 2\n",
                   "config:2:1: a second document begins here; a config file "
                   "holds one relay\n");
    expect_refused("", "config:1:1: the file is empty; it must be a map\n");
    expect_refused("# nothing\n",
                   "config:2:1: the file is empty; it must be a map\n");
}

static void a_syntax_error_has_a_place_and_a_hint(void **state)
{
    (void)state;
    expect_refused("a: 1\n\tb: 2\n",
                   "config:2:1: not valid YAML: found a tab character that "
                   "violates indentation, while scanning a plain scalar that "
                   "begins at line 1; indent with spaces\n");
    expect_refused("a:\n\tb: 2\n",
                   "config:2:1: not valid YAML: found character that cannot "
                   "start any token, while scanning for the next token that "
                   "begins at line 2; indent with spaces, and quote a text "
                   "that begins with a special character\n");
    expect_refused("include: \"a\\.b\"\n",
                   "config:1:12: not valid YAML: found unknown escape "
                   "character, while parsing a quoted scalar that begins at "
                   "line 1; write regexes in 'single quotes'\n");
    expect_refused("a: b: c\n",
                   "config:1:5: not valid YAML: mapping values are not allowed "
                   "in this context; quote a text that holds \": \"\n");
    expect_refused("a: [1, 2\n",
                   "config:2:1: not valid YAML: did not find expected ',' or "
                   "']', while parsing a flow sequence that begins at line "
                   "1\n");
}

/* --- hostile input: an error, at once ---------------------------------- */

static void expect_quick(const char *bytes, size_t len, const char *part)
{
    int64_t start = clock_ms();
    char *text = refused(bytes, len);

    assert_true(clock_ms() - start < 2000); /* under sanitizers too */
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in: %.300s", part, text);
    }
    free(text);
}

static void expect_quick_repeat(const char *unit, size_t times,
                                const char *part)
{
    size_t len = strlen(unit);
    char *bytes = malloc(len * times);

    for (size_t i = 0; i < times; i++) {
        memcpy(bytes + i * len, unit, len);
    }
    expect_quick(bytes, len * times, part);
    free(bytes);
}

static void deep_nesting_ends_early(void **state)
{
    (void)state;
    expect_quick_repeat("[", 200000, "nested deeper than 16 levels");
    expect_quick_repeat("{a: ", 200000, "nested deeper than 16 levels");
    expect_quick_repeat("- ", 200000, "nested deeper than 16 levels");
    expect_quick_repeat("? ", 200000, "a key must be a plain word");
    expect_quick_repeat("{", 200000, "a key must be a plain word");
}

static void a_flood_of_values_ends_early(void **state)
{
    const size_t size = 20 * 20000;
    char *many = malloc(size);
    size_t len = 0;

    (void)state;
    expect_quick_repeat("- a\n", 200000, "more than 10000 values");
    for (int i = 0; i < 20000; i++) {
        len += (size_t)snprintf(many + len, size - len, "key%d: v\n", i);
    }
    expect_quick(many, len, "more than 10000 values");
    free(many);
}

static void ten_thousand_equal_keys_are_found_quickly(void **state)
{
    struct problems p = {0};
    size_t len = 0;
    char *many = malloc(8 * 4999);
    int64_t start = clock_ms();
    struct node *root;

    (void)state;
    for (int i = 0; i < 4999; i++) {
        memcpy(many + len, "k: v\n", 5);
        len += 5;
    }
    root = node_parse(many, len, &p);
    assert_non_null(root);
    assert_int_equal(p.errors, 4998);
    assert_true(clock_ms() - start < 2000);
    node_free(root);
    problems_clear(&p);
    free(many);
}

static void a_bomb_of_aliases_ends_at_its_first_anchor(void **state)
{
    (void)state;
    expect_refused("a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n",
                   "config:1:4: anchors (&a) are not supported\n");
}

static void nul_bytes_are_refused_raw_and_escaped(void **state)
{
    (void)state;
    expect_quick("a: b\0c\n", 7, "config:1:5: not valid YAML: control");
    expect_refused("a: \"b\\0c\"\n",
                   "config:1:4: a NUL character is not allowed\n");
    expect_refused("\"a\\0\": b\n",
                   "config:1:1: a NUL character is not allowed\n");
}

static void invalid_utf_8_is_refused_at_its_place(void **state)
{
    (void)state;
    expect_quick("a: b\nc: \xff\xfe\n", 11, "config:2:4: not valid YAML:");
    expect_quick("a: \xc3", 4, "config:1:4: not valid YAML:");
    expect_quick("a: \xed\xa0\x80", 6, "config:1:4: not valid YAML:");
    expect_quick("\xff\xfe\x61\x00", 4, "not valid YAML:"); /* UTF-16 */
}

static void a_byte_order_mark_is_skipped(void **state)
{
    struct node *root = parse("\xef\xbb\xbf"
                              "a: b\n");

    (void)state;
    assert_string_equal(node_get(root, "a")->text, "b");
    node_free(root);
}

static void a_line_of_a_megabyte_is_just_a_long_text(void **state)
{
    const size_t len = 1000000;
    char *bytes = malloc(len);
    struct problems p = {0};
    struct node *root;
    int64_t start = clock_ms();

    (void)state;
    memset(bytes, 'x', len);
    memcpy(bytes, "a: ", 3);
    root = node_parse(bytes, len, &p);
    assert_non_null(root);
    assert_int_equal(strlen(node_get(root, "a")->text), len - 3);
    assert_true(clock_ms() - start < 2000);
    node_free(root);
    free(bytes);
}

static void a_file_of_ten_megabytes_is_refused_unread(void **state)
{
    const size_t len = 10 << 20;
    char *bytes = malloc(len);
    char *text;

    (void)state;
    memset(bytes, 'x', len);
    text = said_of_bytes(bytes, len);
    assert_string_equal(text,
                        "relay.yaml: relay.yaml is larger than 1024 KiB\n");
    free(text);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_node_knows_its_line_and_column),
        cmocka_unit_test(a_column_counts_characters_and_not_bytes),
        cmocka_unit_test(quoting_tells_a_text_from_nothing),
        cmocka_unit_test(a_key_given_twice_is_a_problem_at_the_second),
        cmocka_unit_test(what_a_config_does_not_need_is_refused_and_named),
        cmocka_unit_test(a_syntax_error_has_a_place_and_a_hint),
        cmocka_unit_test(deep_nesting_ends_early),
        cmocka_unit_test(a_flood_of_values_ends_early),
        cmocka_unit_test(ten_thousand_equal_keys_are_found_quickly),
        cmocka_unit_test(a_bomb_of_aliases_ends_at_its_first_anchor),
        cmocka_unit_test(nul_bytes_are_refused_raw_and_escaped),
        cmocka_unit_test(invalid_utf_8_is_refused_at_its_place),
        cmocka_unit_test(a_byte_order_mark_is_skipped),
        cmocka_unit_test(a_line_of_a_megabyte_is_just_a_long_text),
        cmocka_unit_test(a_file_of_ten_megabytes_is_refused_unread),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
