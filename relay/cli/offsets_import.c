/*
 * offsets_import.c - `offsets CONFIG import`: writes what `export` gave.
 */
#include <stdlib.h>

#include "config/file.h"
#include "relay/cli/grid.h"
#include "relay/cli/offsets.h"
#include "relay/sync/restore.h"

struct import_args {
    const char *reason;
    bool force;
};

static const struct arg args[] = {
    {.name = "reason",
     .value = "TEXT",
     .offset = offsetof(struct import_args, reason),
     .help = "why; kept with every position that is written"},
    {.name = "force",
     .offset = offsetof(struct import_args, force),
     .help = "replace other positions; copy records again"},
    {0},
};

static void print_outcome(const struct restore *r)
{
    static const char *const words[] = {"NOT written", "the same", "new",
                                        "replaced"};
    struct grid grid = {.columns = 5};

    printf("relay %s, generation %d%s\n\n", r->cfg->relay, r->generation,
           r->made_anew ? ", made anew" : "");
    grid_add(&grid, "TOPIC");
    grid_add(&grid, "PARTITION");
    grid_add(&grid, "BEFORE");
    grid_add(&grid, "AFTER");
    grid_add(&grid, "RESULT");
    for (size_t i = 0; i < r->from->positions.count; i++) {
        const struct entry *entry = &r->from->positions.items[i];

        grid_add(&grid, "%s", entry->topic);
        grid_add(&grid, "%d", (int)entry->partition);
        grid_add_offset(&grid, r->before[i]);
        grid_add_offset(&grid, entry->position.next);
        grid_add(&grid, "%s", words[r->outcome[i]]);
    }
    grid_print(&grid, stdout);
}

static bool wrote_some(const struct restore *r)
{
    for (size_t i = 0; i < r->from->positions.count; i++) {
        if (r->outcome[i] > RESTORED_SAME) {
            return true;
        }
    }
    return false;
}

static int import(struct offsets *o, struct export *from,
                  const struct import_args *given, const char *path)
{
    const struct patience patience = patience_of(OFFSETS_MS, NULL, 0);
    struct restore r = {.cfg = o->cfg,
                        .target = o->target,
                        .source_id = o->source_id,
                        .from = from,
                        .reason = given->reason,
                        .force = given->force};
    struct err e = {0};

    e.kind = restore_run(&r, &patience, &e);
    if (e.kind == ERR_NONE || (r.outcome != NULL && wrote_some(&r))) {
        print_outcome(&r);
    }
    free(r.outcome);
    free(r.before);
    return offsets_end(path, &e);
}

/* The file is somebody's: it is read as a whole before anything is opened. */
static enum err_kind read_export(struct export *x, const char *path)
{
    char *text = NULL;
    size_t len;
    struct err e = {0};

    *x = (struct export){0};
    if (file_read(&text, &len, path, EXPORT_MAX_BYTES, &e) != ERR_NONE) {
        fprintf(stderr, "%s\n", e.text);
        return ERR_USAGE;
    }
    if (export_decode(x, text, len, &e) != ERR_NONE) {
        offsets_end(path, &e);
    }
    free(text);
    return e.kind;
}

static int import_main(int argc, char **argv)
{
    struct import_args given = {0};
    struct operands operands;
    struct offsets o;
    struct export from;
    enum err_kind kind;
    int rc = args_parse(&offsets_import_command, argc, argv, &given, &operands);

    if (rc != ARGS_DONE) {
        return rc;
    }
    if (!offsets_reason_good(&offsets_import_command, given.reason)) {
        return err_exit_code(ERR_USAGE);
    }
    kind = read_export(&from, operands.items[2]);
    rc = err_exit_code(kind);
    if (kind == ERR_NONE) {
        kind = offsets_open(&o, operands.items[0], true);
        rc = kind == ERR_NONE ? import(&o, &from, &given, operands.items[0])
                              : err_exit_code(kind);
        offsets_close(&o);
    }
    export_free(&from);
    return rc;
}

const struct command offsets_import_command = {
    .name = "offsets",
    .operands = "CONFIG import FILE",
    .operands_min = 3,
    .operands_max = 3,
    .help =
        "Writes the positions of FILE, which `offsets export` gave. Where the "
        "offsets topic\n"
        "is gone it is made anew with them. Refused when the target holds "
        "copies that the\n"
        "positions do not know (they would be copied again), and when another "
        "position\n"
        "stands in the same place; --force does both.",
    .args = args,
    .run = import_main,
};
