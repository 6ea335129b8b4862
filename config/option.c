/*
 * option.c - see option.h.
 */
#include "config/option.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config/suggest.h"
#include "config/value.h"
#include "relay/base/clock.h"
#include "relay/base/mem.h"

const struct option *option_find(const struct option *table, size_t count,
                                 const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(table[i].name, name) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

/* "a", "a or b", "a, b or c" */
static void print_names(const char *const *names, FILE *out)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        const char *before = i == 0 ? "" : names[i + 1] ? ", " : " or ";
        fprintf(out, "%s%s", before, names[i]);
    }
}

void option_print_form(const struct option *opt, FILE *out)
{
    static const char *const forms[] = {
        [OPT_TEXT] = "text",
        [OPT_NAME] = "a name of letters, digits, \".\", \"_\" and \"-\"",
        [OPT_BOOL] = "yes or no",
        [OPT_INT] = "a whole number",
        [OPT_BYTES] = "a size such as 4096, 64KiB or 64MiB",
        [OPT_MS] = "a time such as 100ms, 30s, 5m, 12h or 7d",
        [OPT_START] = "earliest, latest, a time such as 2026-01-31T08:00:00Z, "
                      "or back from now such as -2h",
        [OPT_PATTERNS] = "a regex or a list of regexes",
    };

    if (opt->type == OPT_ENUM) {
        print_names(opt->names, out);
    } else {
        fputs(forms[opt->type], out);
    }
}

static void print_number(const struct option *opt, int64_t value, FILE *out)
{
    char text[VALUE_TEXT_BYTES];

    if (opt->type == OPT_BYTES) {
        value_print_bytes(text, value);
    } else if (opt->type == OPT_MS) {
        value_print_ms(text, value);
    } else {
        snprintf(text, sizeof(text), "%" PRId64, value);
    }
    fputs(text, out);
}

void option_print_range(const struct option *opt, FILE *out)
{
    if (opt->min == 0 && opt->max == 0) {
        return;
    }
    print_number(opt, opt->min, out);
    fputs(" to ", out);
    print_number(opt, opt->max, out);
    fputs(opt->type == OPT_NAME ? " characters" : "", out);
}

static enum err_kind fail_form(const struct option *opt, const char *shown,
                               const char *fault, struct err *e)
{
    char form[256];
    FILE *out = fmemopen(form, sizeof(form), "w");

    VERIFY(out != NULL);
    option_print_form(opt, out);
    fclose(out);
    return err_set(e, ERR_CONFIG, "%s is %s %s", shown, fault, form);
}

static enum err_kind fail_range(const struct option *opt, const char *shown,
                                struct err *e)
{
    char range[96];
    FILE *out = fmemopen(range, sizeof(range), "w");

    VERIFY(out != NULL);
    option_print_range(opt, out);
    fclose(out);
    return err_set(e, ERR_CONFIG, "%s is out of range: %s", shown, range);
}

static enum err_kind set_number(const struct option *opt, int64_t *field,
                                const char *text, const char *shown,
                                struct err *e)
{
    int64_t value;
    bool good = opt->type == OPT_BYTES ? value_bytes(&value, text)
                : opt->type == OPT_MS  ? value_ms(&value, text)
                                       : value_int(&value, text);

    if (!good) {
        return fail_form(opt, shown, "not", e);
    }
    if ((opt->min != 0 || opt->max != 0) &&
        (value < opt->min || value > opt->max)) {
        return fail_range(opt, shown, e);
    }
    *field = value;
    return ERR_NONE;
}

static bool index_of(int *out, const char *const *names, const char *text)
{
    for (int i = 0; names != NULL && names[i] != NULL; i++) {
        if (strcmp(names[i], text) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static enum err_kind set_enum(const struct option *opt, int *field,
                              const char *text, const char *shown,
                              struct err *e)
{
    struct suggestion near = suggest_begin(text);
    int ignored;

    if (index_of(field, opt->names, text)) {
        return ERR_NONE;
    }
    if (index_of(&ignored, opt->later, text)) {
        return fail_form(opt, shown,
                         "not supported by this version "
                         "(" KAFKA_RELAY_VERSION "); expected",
                         e);
    }
    for (size_t i = 0; opt->names[i] != NULL; i++) {
        suggest_offer(&near, opt->names[i]);
    }
    fail_form(opt, shown, "unknown; expected", e);
    if (near.best != NULL) {
        size_t len = strlen(e->text);
        snprintf(e->text + len, sizeof(e->text) - len, "; did you mean \"%s\"?",
                 near.best);
    }
    return ERR_CONFIG;
}

static enum err_kind set_text(const struct option *opt, char **field,
                              const char *text, const char *shown,
                              struct err *e)
{
    size_t len = strlen(text);

    if (opt->type == OPT_NAME && value_name_span(text) < len) {
        return fail_form(opt, shown, "not", e);
    }
    if (opt->max > 0 && (len < (size_t)opt->min || len > (size_t)opt->max)) {
        return fail_range(opt, shown, e);
    }
    free(*field);
    *field = mem_strdup(text);
    return ERR_NONE;
}

enum err_kind option_set(const struct option *opt, void *section,
                         const char *text, const char *shown, struct err *e)
{
    void *field = (char *)section + opt->offset;

    switch (opt->type) {
    case OPT_TEXT:
    case OPT_NAME:
        return set_text(opt, field, text, shown, e);
    case OPT_BOOL:
        return value_bool(field, text) ? ERR_NONE
                                       : fail_form(opt, shown, "not", e);
    case OPT_INT:
    case OPT_BYTES:
    case OPT_MS:
        return set_number(opt, field, text, shown, e);
    case OPT_ENUM:
        return set_enum(opt, field, text, shown, e);
    case OPT_START:
        return value_start(field, text, clock_wall_ms())
                   ? ERR_NONE
                   : fail_form(opt, shown, "not", e);
    case OPT_PATTERNS:
        break;
    }
    VERIFY(!"a row whose type has no parser");
    return ERR_CONFIG;
}

void option_defaults(const struct option *table, size_t count, void *section)
{
    struct err e;

    for (size_t i = 0; i < count; i++) {
        if (table[i].def != NULL) {
            VERIFY(option_set(&table[i], section, table[i].def, "", &e) ==
                   ERR_NONE);
        }
    }
}

void option_clear(const struct option *table, size_t count, void *section)
{
    for (size_t i = 0; i < count; i++) {
        if (table[i].type == OPT_TEXT || table[i].type == OPT_NAME) {
            char **field = (char **)((char *)section + table[i].offset);
            free(*field);
            *field = NULL;
        }
    }
}
