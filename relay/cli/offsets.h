/*
 * offsets.h - the verbs of `kafka-relay offsets CONFIG VERB`, one file each.
 * Private to relay/cli. Main thread.
 */
#ifndef RELAY_CLI_OFFSETS_H
#define RELAY_CLI_OFFSETS_H

#include <stdbool.h>

#include "config/config.h"
#include "relay/cli/cli.h"
#include "relay/io/admin.h"
#include "relay/lane/position.h"

extern const struct command offsets_show_command;
extern const struct command offsets_set_command;
extern const struct command offsets_export_command;
extern const struct command offsets_import_command;
extern const struct command offsets_rescale_command;

/* What every verb works with. */
struct offsets {
    struct config *cfg;
    struct admin *source, *target;
    char source_id[128]; /* cluster id, when `source` was asked for */
};

/* Loads the config, opens the log and both admins; with `source` that cluster
 * must answer. The problems are printed. offsets_close whatever it gives. */
enum err_kind offsets_open(struct offsets *o, const char *path,
                           bool source) MUST_CHECK;
void offsets_close(struct offsets *o);

/* Prints the error, if it is one; returns its exit code. */
int offsets_end(const char *path, const struct err *e);

/* For usage errors of one verb; returns 64. */
int offsets_usage(const struct command *verb, const char *fmt, ...)
    PRINTF_LIKE(2, 3);

/* A --reason: a line of text, not empty, short enough for the record. */
bool offsets_reason_good(const struct command *verb, const char *reason);

enum { OFFSETS_MS = 60000 }; /* to read everything */

#endif
