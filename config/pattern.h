/*
 * pattern.h - a regex over topic names (PCRE2): it matches the whole name.
 *
 * Work is bounded: a match that takes too many steps is given up and says so,
 * it is never taken for "no match". PCRE2's JIT is not used: it needs memory
 * that is writable and executable, which systemd can forbid.
 * Threads: a pattern is read only; any thread may match.
 */
#ifndef CONFIG_PATTERN_H
#define CONFIG_PATTERN_H

#include <stddef.h>
#include <stdint.h>

#include "relay/base/err.h"

enum {
    PATTERN_MAX_BYTES = 4096, /* of a regex */
    PATTERN_GROUPS = 10,      /* {0} (the whole) to {9} */
};

struct pattern;

enum pattern_result {
    PATTERN_NO,
    PATTERN_YES,
    PATTERN_GAVE_UP, /* ran into the match limit or the heap limit */
};

/* Where the capture groups lie in the subject; a group that took no part has
 * start == end. */
struct captures {
    struct {
        size_t start, end;
    } group[PATTERN_GROUPS];
};

/* ERR_CONFIG: no valid regex; the text names the column inside it. */
enum err_kind pattern_compile(struct pattern **out, const char *regex,
                              struct err *e) MUST_CHECK;

void pattern_free(struct pattern *pattern);

/* The regex as it was given; owned by the pattern. */
const char *pattern_text(const struct pattern *pattern);

/* Number of capture groups: 0 and up. */
uint32_t pattern_groups(const struct pattern *pattern);

/* `captures` may be NULL. */
enum pattern_result pattern_match(const struct pattern *pattern,
                                  const char *subject,
                                  struct captures *captures) MUST_CHECK;

#endif
