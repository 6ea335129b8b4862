/*
 * pattern.c - see pattern.h.
 */
#include "config/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"

/* A sane regex needs some hundred steps for a name of 249 characters; the
 * limit ends one that backtracks without end after a few milliseconds. */
enum { MATCH_LIMIT = 200000, HEAP_LIMIT_KIB = 1024 };

struct pattern {
    char *text;
    pcre2_code *code;
    pcre2_match_context *limits; /* never changed once made */
    uint32_t groups;
};

static pcre2_code *compile(const char *regex, int *code, PCRE2_SIZE *offset)
{
    /* \C would match half a character, and \A...\z is what "whole" means. */
    const uint32_t options =
        PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NEVER_BACKSLASH_C;

    return pcre2_compile((PCRE2_SPTR)regex, strlen(regex), options, code,
                         offset, NULL);
}

static enum err_kind compile_error(struct err *e, const char *regex, int code,
                                   size_t offset)
{
    char why[160];

    if (pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof(why)) < 0) {
        memcpy(why, "not valid", sizeof("not valid"));
    }
    if (regex[0] == '*') {
        return err_set(e, ERR_CONFIG,
                       "%s at column 1 of the regex; this is a regex and no "
                       "glob: write .* for any text",
                       why);
    }
    return err_set(e, ERR_CONFIG, "%s at column %zu of the regex", why,
                   offset + 1);
}

enum err_kind pattern_compile(struct pattern **out, const char *regex,
                              struct err *e)
{
    struct pattern *pattern;
    PCRE2_SIZE offset = 0;
    pcre2_code *code;
    int why = 0;

    if (*regex == '\0' || strlen(regex) > PATTERN_MAX_BYTES) {
        return err_set(e, ERR_CONFIG, "a regex has 1 to %d characters",
                       PATTERN_MAX_BYTES);
    }
    code = compile(regex, &why, &offset);
    if (code == NULL) {
        return compile_error(e, regex, why, offset);
    }
    pattern = mem_calloc(1, sizeof(*pattern));
    pattern->text = mem_strdup(regex);
    pattern->code = code;
    pattern->limits = pcre2_match_context_create(NULL);
    VERIFY(pattern->limits != NULL);
    pcre2_set_match_limit(pattern->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(pattern->limits, HEAP_LIMIT_KIB);
    pcre2_pattern_info(code, PCRE2_INFO_CAPTURECOUNT, &pattern->groups);
    *out = pattern;
    return ERR_NONE;
}

void pattern_free(struct pattern *pattern)
{
    if (pattern == NULL) {
        return;
    }
    pcre2_match_context_free(pattern->limits);
    pcre2_code_free(pattern->code);
    free(pattern->text);
    free(pattern);
}

const char *pattern_text(const struct pattern *pattern)
{
    return pattern->text;
}

uint32_t pattern_groups(const struct pattern *pattern)
{
    return pattern->groups;
}

/* `count` pairs are set; the groups behind them took no part. */
static void copy_groups(const PCRE2_SIZE *pairs, int count, struct captures *to)
{
    *to = (struct captures){0};
    for (int i = 0; i < count && i < PATTERN_GROUPS; i++) {
        /* \K can set a start behind the end */
        if (pairs[2 * i] != PCRE2_UNSET && pairs[2 * i] <= pairs[2 * i + 1]) {
            to->group[i].start = pairs[2 * i];
            to->group[i].end = pairs[2 * i + 1];
        }
    }
}

enum pattern_result pattern_match(const struct pattern *pattern,
                                  const char *subject,
                                  struct captures *captures)
{
    /* Made for each match: the pattern is shared between threads. */
    pcre2_match_data *data =
        pcre2_match_data_create_from_pattern(pattern->code, NULL);
    int count;

    VERIFY(data != NULL);
    count = pcre2_match(pattern->code, (PCRE2_SPTR)subject, strlen(subject), 0,
                        0, data, pattern->limits);
    if (count > 0 && captures != NULL) {
        copy_groups(pcre2_get_ovector_pointer(data), count, captures);
    }
    pcre2_match_data_free(data);
    if (count > 0) {
        return PATTERN_YES;
    }
    return count == PCRE2_ERROR_NOMATCH ? PATTERN_NO : PATTERN_GAVE_UP;
}
