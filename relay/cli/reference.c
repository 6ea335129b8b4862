/*
 * reference.c - see reference.h.
 */
#include "relay/cli/reference.h"

#include <string.h>

#include "config/config.h"
#include "config/sections.h"
#include "relay/io/owned.h"

enum { TEXT_WIDTH = 78 };

/* A paragraph of a table for a terminal: without backticks, wrapped. */
static void print_wrapped(FILE *out, int indent, const char *text)
{
    int column = 0;

    while (*text != '\0') {
        int len = (int)strcspn(text, " ");

        if (column > 0 && column + 1 + len > TEXT_WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        if (column == 0) {
            column = fprintf(out, "%*s", indent, "");
        } else {
            column += fprintf(out, " ");
        }
        for (int i = 0; i < len; i++) {
            if (text[i] != '`') {
                fputc(text[i], out);
                column++;
            }
        }
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static bool has_range(const struct option *opt)
{
    return opt->min != 0 || opt->max != 0;
}

static void print_option_text(FILE *out, const struct section *s,
                              const struct option *opt)
{
    fprintf(out, "  %s%s%s: ", s->path, s->path[0] != '\0' ? "." : "",
            opt->name);
    option_print_form(opt, out);
    if (has_range(opt)) {
        fputs(", ", out);
        option_print_range(opt, out);
    }
    if (opt->def != NULL) {
        fprintf(out, "; default %s", opt->def);
    }
    fputs(opt->flags & OPT_REQUIRED ? "; required\n" : "\n", out);
    print_wrapped(out, 6, opt->doc);
}

static void print_section_text(FILE *out, const struct section *s)
{
    print_wrapped(out, 0, s->title);
    if (s->doc != NULL) {
        print_wrapped(out, 2, s->doc);
    }
    for (size_t i = 0; i < s->count; i++) {
        print_option_text(out, s, &s->options[i]);
    }
    fputc('\n', out);
}

static void print_text(FILE *out)
{
    for (int id = 0; id < SECTION_COUNT; id++) {
        if (config_sections[id].title != NULL) {
            print_section_text(out, &config_sections[id]);
        }
    }
    fputs("Properties that the relay owns\n", out);
    for (const struct owned_property *row = owned_properties; row->name;
         row++) {
        fprintf(out, "  %s\n", row->name);
        print_wrapped(out, 6, row->reason);
    }
}

static void print_option_markdown(FILE *out, const struct option *opt)
{
    fprintf(out, "| `%s` | ", opt->name);
    option_print_form(opt, out);
    if (has_range(opt)) {
        fputs("; ", out);
        option_print_range(opt, out);
    }
    if (opt->flags & OPT_REQUIRED) {
        fputs(" | required", out);
    } else if (opt->def != NULL) {
        fprintf(out, " | `%s`", opt->def);
    } else {
        fputs(" | ", out);
    }
    fprintf(out, " | %s |\n", opt->doc);
}

static void print_section_markdown(FILE *out, const struct section *s)
{
    fprintf(out, "## %s\n\n", s->title);
    if (s->doc != NULL) {
        fprintf(out, "%s\n\n", s->doc);
    }
    fputs("| setting | value | default | meaning |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < s->count; i++) {
        print_option_markdown(out, &s->options[i]);
    }
    fputc('\n', out);
}

static void print_internal_topics(FILE *out)
{
    fputs("## Topics that are never copied\n\n"
          "Whatever the rules say, topics with these names (`*` stands for any "
          "text) stay behind, and no `rename` may lead to one of them:\n\n",
          out);
    for (const char *const *glob = config_internal_topics; *glob; glob++) {
        fprintf(out, "- `%s`\n", *glob);
    }
    fputc('\n', out);
}

static void print_owned_markdown(FILE *out)
{
    fputs("## Properties that the relay owns\n\n"
          "The design rests on these librdkafka properties; a config that "
          "sets one is refused. So is every callback (`*_cb`), which C code "
          "alone can set.\n\n"
          "| property | why |\n|---|---|\n",
          out);
    for (const struct owned_property *row = owned_properties; row->name;
         row++) {
        fprintf(out, "| `%s` | %s |\n", row->name, row->reason);
    }
}

static const char *const head =
    "<!-- Printed by `kafka-relay help config --markdown`. Do not edit: change "
    "the tables in config/sections.c and relay/io/owned.c. -->\n"
    "# Settings\n\n"
    "A config is one YAML file and holds one relay;\n"
    "[config/examples](../config/examples) has some. `kafka-relay check FILE` "
    "prints every problem at once, as `file:line:column: what to do`. Anchors, "
    "aliases and tags of YAML are refused.\n\n";

static const char *const substitution =
    "## Values from elsewhere\n\n"
    "In every value, but not in keys, after the YAML is parsed:\n\n"
    "| written | becomes |\n|---|---|\n"
    "| `${VAR}` | the environment variable; an error when it is not set |\n"
    "| `${VAR:-default}` | `default` when it is not set or empty |\n"
    "| `${VAR:?message}` | an error with `message` when it is not set or "
    "empty |\n"
    "| `${file:PATH}` | the file's text less one newline at its end; a "
    "relative PATH counts from the config's directory; at most 64 KiB |\n"
    "| `${cred:NAME}` | the same of `$CREDENTIALS_DIRECTORY/NAME` (systemd's "
    "`LoadCredential=`) |\n"
    "| `$${` | `${` |\n\n"
    "What was put in is not looked at again, and no message ever shows it. "
    "Nor does one show the value of a property that may hold a secret "
    "(passwords, keys, tokens).\n\n";

static void print_markdown(FILE *out)
{
    fputs(head, out);
    for (int id = 0; id < SECTION_COUNT; id++) {
        if (config_sections[id].title != NULL) {
            print_section_markdown(out, &config_sections[id]);
        }
    }
    fputs(substitution, out);
    print_internal_topics(out);
    print_owned_markdown(out);
}

void reference_print(FILE *out, enum reference_style style)
{
    (style == REFERENCE_MARKDOWN ? print_markdown : print_text)(out);
}
