/*
 * test_docs.c - the committed pages are what the program prints.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/file.h"
#include "config/sections.h"
#include "relay/cli/reference.h"
#include "relay/io/owned.h"

static char *page(enum reference_style style)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    reference_print(out, style);
    fclose(out);
    return text;
}

static void docs_config_md_is_what_help_config_prints(void **state)
{
    char *want = page(REFERENCE_MARKDOWN);
    char *got = NULL;
    size_t len;
    struct err e = {0};

    (void)state;
    if (file_read(&got, &len, "docs/config.md", 1 << 20, &e) != ERR_NONE) {
        fail_msg("%s", e.text);
    }
    if (strcmp(got, want) != 0) {
        fail_msg("docs/config.md is out of date: kafka-relay help config "
                 "--markdown > docs/config.md");
    }
    free(got);
    free(want);
}

static void the_page_for_people_names_every_setting(void **state)
{
    char *text = page(REFERENCE_TEXT);

    (void)state;
    for (int id = 0; id < SECTION_COUNT; id++) {
        const struct section *s = &config_sections[id];

        for (size_t i = 0; i < s->count; i++) {
            char name[128];

            snprintf(name, sizeof(name), "  %s%s%s: ", s->path,
                     s->path[0] != '\0' ? "." : "", s->options[i].name);
            assert_non_null(strstr(text, name));
        }
    }
    free(text);
}

static void lines_for_people_fit_a_terminal_and_have_no_markup(void **state)
{
    char *text = page(REFERENCE_TEXT);
    char *save = NULL;

    (void)state;
    assert_null(strchr(text, '`'));
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, "      ", 6) == 0) {
            assert_true(strlen(line) <= 80);
        }
    }
    free(text);
}

static void no_cell_of_a_table_breaks_it(void **state)
{
    (void)state;
    for (const struct owned_property *row = owned_properties; row->name;
         row++) {
        assert_null(strpbrk(row->reason, "|\n"));
    }
    for (int id = 0; id < SECTION_COUNT; id++) {
        for (size_t i = 0; i < config_sections[id].count; i++) {
            assert_null(strpbrk(config_sections[id].options[i].doc, "|\n"));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(docs_config_md_is_what_help_config_prints),
        cmocka_unit_test(the_page_for_people_names_every_setting),
        cmocka_unit_test(lines_for_people_fit_a_terminal_and_have_no_markup),
        cmocka_unit_test(no_cell_of_a_table_breaks_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
