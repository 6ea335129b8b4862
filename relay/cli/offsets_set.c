/*
 * offsets_set.c - `offsets CONFIG set`: moves positions, and clears halts.
 */
#include <inttypes.h>
#include <string.h>

#include "config/value.h"
#include "relay/base/clock.h"
#include "relay/cli/grid.h"
#include "relay/cli/offsets.h"
#include "relay/sync/reposition.h"

struct set_args {
    const char *topic, *partition, *to, *reason;
    bool resume, restart, again, dry_run;
};

static const struct arg args[] = {
    {.name = "topic",
     .value = "TOPIC",
     .offset = offsetof(struct set_args, topic),
     .help = "the source topic"},
    {.name = "partition",
     .value = "P",
     .offset = offsetof(struct set_args, partition),
     .help = "only this partition of it"},
    {.name = "to",
     .value = "PLACE",
     .offset = offsetof(struct set_args, to),
     .help = "an offset, earliest, latest, or a time: RFC 3339, or -2h"},
    {.name = "resume",
     .offset = offsetof(struct set_args, resume),
     .help = "go on where it stands, or where the log begins after that"},
    {.name = "restart",
     .offset = offsetof(struct set_args, restart),
     .help = "the same as --to earliest"},
    {.name = "again",
     .offset = offsetof(struct set_args, again),
     .help = "with a time: go back to it, and copy records again"},
    {.name = "reason",
     .value = "TEXT",
     .offset = offsetof(struct set_args, reason),
     .help = "why; kept with the position"},
    {.name = "dry-run",
     .offset = offsetof(struct set_args, dry_run),
     .help = "print what would change, change nothing"},
    {0},
};

static int usage(const char *text)
{
    return offsets_usage(&offsets_set_command, "%s", text);
}

/* ARGS_DONE, or the exit code. */
static int read_place(struct move_order *order, const struct set_args *given)
{
    if ((given->to != NULL) + given->resume + given->restart != 1) {
        return usage("give one of --to, --resume and --restart");
    }
    if (given->resume) {
        order->kind = MOVE_RESUME;
    } else if (given->restart) {
        order->kind = MOVE_START;
        order->start.kind = START_EARLIEST;
    } else if (value_int(&order->offset, given->to) && order->offset >= 0) {
        order->kind = MOVE_OFFSET;
    } else if (value_start(&order->start, given->to, clock_wall_ms())) {
        order->kind = MOVE_START;
    } else {
        return usage("--to is an offset (1234), earliest, latest, a time "
                     "(2026-01-31T08:00:00Z), or how long ago (-2h)");
    }
    return ARGS_DONE;
}

static int read_order(struct move_order *order, const struct set_args *given)
{
    int64_t partition = -1;

    if (given->topic == NULL) {
        return usage("--topic TOPIC is missing");
    }
    if (given->partition != NULL && (!value_int(&partition, given->partition) ||
                                     partition < 0 || partition > INT32_MAX)) {
        return usage("--partition is a number, from 0 on");
    }
    if (!offsets_reason_good(&offsets_set_command, given->reason)) {
        return err_exit_code(ERR_USAGE);
    }
    *order = (struct move_order){.topic = given->topic,
                                 .partition = (int32_t)partition,
                                 .reason = given->reason,
                                 .again = given->again,
                                 .dry_run = given->dry_run};
    return read_place(order, given);
}

/* What the move costs. */
static void add_cost(struct grid *grid, const struct move *m)
{
    if (m->before >= 0 && m->next > m->unread) {
        grid_add(grid, "lost: %" PRId64 " to %" PRId64, m->unread, m->next - 1);
    } else if (m->again) {
        grid_add(grid, "again: %" PRId64 " to %" PRId64, m->next,
                 m->before - 1);
    } else {
        grid_add(grid, "-");
    }
}

static void print_moves(const struct move_order *order, const struct moves *all)
{
    static const char *const head[] = {"TOPIC", "PARTITION", "LANE", "BEFORE",
                                       "AFTER", "RECORDS",   "HALT", "RESULT"};
    struct grid grid = {.columns = sizeof(head) / sizeof(*head)};

    for (size_t i = 0; i < grid.columns; i++) {
        grid_add(&grid, "%s", head[i]);
    }
    for (size_t i = 0; i < all->count; i++) {
        const struct move *m = &all->items[i];

        grid_add(&grid, "%s", order->topic);
        grid_add(&grid, "%d", (int)m->partition);
        grid_add(&grid, "%d", (int)m->lane);
        grid_add_offset(&grid, m->before);
        grid_add_offset(&grid, m->next);
        add_cost(&grid, m);
        grid_add(&grid, "%s",
                 m->cleared.reason[0] != '\0' ? m->cleared.reason : "-");
        grid_add(&grid, "%s",
                 m->done          ? "set"
                 : m->kept        ? "as it is"
                 : order->dry_run ? "would be set"
                                  : "NOT set");
    }
    grid_print(&grid, stdout);
}

static int set(struct offsets *o, const struct move_order *order,
               const char *path)
{
    const struct move_where where = {o->cfg, o->source, o->target,
                                     o->source_id};
    const struct patience patience = patience_of(OFFSETS_MS, NULL, 0);
    struct moves moves;
    struct err e = {0};
    bool planned;

    e.kind = reposition(&moves, order, &where, &patience, &e);
    planned = e.kind == ERR_NONE;
    for (size_t i = 0; i < moves.count; i++) {
        planned |= moves.items[i].done;
    }
    if (planned) {
        print_moves(order, &moves);
    }
    moves_free(&moves);
    return offsets_end(path, &e);
}

static int set_main(int argc, char **argv)
{
    struct set_args given = {0};
    struct move_order order;
    struct operands operands;
    struct offsets o;
    enum err_kind kind;
    int rc = args_parse(&offsets_set_command, argc, argv, &given, &operands);

    if (rc == ARGS_DONE) {
        rc = read_order(&order, &given);
    }
    if (rc != ARGS_DONE) {
        return rc;
    }
    kind = offsets_open(&o, operands.items[0], true);
    rc = kind == ERR_NONE ? set(&o, &order, operands.items[0])
                          : err_exit_code(kind);
    offsets_close(&o);
    return rc;
}

const struct command offsets_set_command = {
    .name = "offsets",
    .operands = "CONFIG set",
    .operands_min = 2,
    .operands_max = 2,
    .help =
        "Moves positions of a source topic, and so clears a halt: copying goes "
        "on at the\n"
        "new place, into the topic that the present rules name, whatever "
        "happened before.\n"
        "Records that are passed over unread are noted as lost. Records that "
        "are read\n"
        "again are copied again: a time goes back only with --again. --resume "
        "of a whole\n"
        "topic leaves alone what is not halted. Processes may run: their "
        "lanes stop for\n"
        "a moment and go on at the new positions. Exit codes: 0 good, 1 failed "
        "half way (the "
        "table tells\n"
        "how far), 64 usage, 65 the state is refused, 69 unreachable.",
    .args = args,
    .run = set_main,
};
