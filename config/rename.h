/*
 * rename.h - the target name of a topic: a template with {topic}, {cluster}
 * and the capture groups {1} to {9} of the include that matched.
 * Any thread; no state.
 */
#ifndef CONFIG_RENAME_H
#define CONFIG_RENAME_H

#include <stdbool.h>

#include "config/pattern.h"
#include "relay/base/err.h"

struct rename_values {
    const char *topic, *cluster;
    const struct captures *captures; /* into `topic` */
};

/* ERR_CONFIG: not a template, or characters that no topic name may have.
 * *groups: the highest capture group it uses (0: none). */
enum err_kind rename_check(const char *template, unsigned *groups,
                           struct err *e) MUST_CHECK;

/* False when the result is no valid topic name. `template` went through
 * rename_check. `out` has room for TOPIC_NAME_MAX and a NUL. */
bool rename_expand(const char *template, const struct rename_values *values,
                   char *out);

/* 1 to 249 characters of a-z, A-Z, 0-9, ".", "_", "-"; not "." or "..": the
 * broker's own rule (org.apache.kafka.common.internals.Topic). */
bool topic_name_is_valid(const char *name);

#endif
