/*
 * test_grid.c - tables for a terminal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/cli/grid.h"

static char *printed(struct grid *grid)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    grid_print(grid, out);
    fclose(out);
    return text;
}

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    struct grid grid = {.columns = 3};
    char *text;

    (void)state;
    for (int i = 0; i < 2; i++) {
        grid_add(&grid, "%s", i == 0 ? "TOPIC" : "t");
        grid_add_offset(&grid, i == 0 ? -1 : 123456);
        grid_add(&grid, "%s", i == 0 ? "last" : "x");
    }
    text = printed(&grid);
    assert_string_equal(text, "TOPIC  -       last\n"
                              "t      123456  x\n");
    free(text);
}

static void a_printed_grid_is_empty_again(void **state)
{
    struct grid grid = {.columns = 1};

    (void)state;
    grid_add(&grid, "one");
    free(printed(&grid));
    char *text = printed(&grid);
    assert_string_equal(text, "");
    free(text);
}

static void a_cell_can_not_drive_the_terminal(void **state)
{
    struct grid grid = {.columns = 1};
    char *text;

    (void)state;
    grid_add(&grid, "a\033[31m\nb");
    text = printed(&grid);
    assert_null(strchr(text, '\033'));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    free(text);
}

static void times_are_in_utc(void **state)
{
    char text[TIME_TEXT_SIZE];

    (void)state;
    assert_string_equal(time_text(text, 0), "1970-01-01T00:00:00Z");
    assert_string_equal(time_text(text, 1446143678999), "2015-10-29T18:34:38Z");
    assert_true(strlen(time_text(text, INT64_MAX)) < sizeof(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
        cmocka_unit_test(a_printed_grid_is_empty_again),
        cmocka_unit_test(a_cell_can_not_drive_the_terminal),
        cmocka_unit_test(times_are_in_utc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
