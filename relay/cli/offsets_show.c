/*
 * offsets_show.c - `offsets CONFIG show`: positions, halts and owners.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/escape.h"
#include "relay/base/mem.h"
#include "relay/cli/grid.h"
#include "relay/cli/offsets.h"
#include "relay/cli/offsets_view.h"
#include "relay/lane/names.h"

enum { SOURCE_MS = 5000 };

struct show_args {
    const char *topic, *output;
};

static const struct arg args[] = {
    {.name = "topic",
     .value = "TOPIC",
     .offset = offsetof(struct show_args, topic),
     .help = "only positions of this source topic"},
    {.name = "output",
     .letter = 'o',
     .value = "FORMAT",
     .offset = offsetof(struct show_args, output),
     .help = "table (default) or json"},
    {0},
};

static void choose_rows(struct view *v, const char *topic)
{
    const struct entries *all = &v->ledger.positions;

    v->rows = mem_calloc(all->count, sizeof(*v->rows));
    for (size_t i = 0; i < all->count; i++) {
        const struct entry *entry = &all->items[i];

        if (topic == NULL || strcmp(topic, entry->topic) == 0) {
            v->rows[v->count++] = (struct view_row){
                .entry = entry,
                .lane = lane_of(entry->topic, entry->partition,
                                v->ledger.at.identity.lanes),
                .low = -1,
                .high = -1};
        }
    }
}

static enum err_kind ask_side(struct view *v, struct admin *source, bool high,
                              const struct patience *patience, struct err *e)
{
    struct offset_query *queries = mem_calloc(v->count, sizeof(*queries));
    enum err_kind rc;

    for (size_t i = 0; i < v->count; i++) {
        queries[i] = (struct offset_query){
            .topic = v->rows[i].entry->topic,
            .partition = v->rows[i].entry->partition,
            .time_ms = high ? OFFSETS_LATEST : OFFSETS_EARLIEST};
    }
    rc = admin_offsets(source, queries, v->count, patience, e);
    for (size_t i = 0; i < v->count && rc == ERR_NONE; i++) {
        *(high ? &v->rows[i].high : &v->rows[i].low) =
            queries[i].unknown ? -1 : queries[i].offset;
    }
    free(queries);
    return rc;
}

/* The source may well be what is down: then lag is not known. */
static void ask_source(struct view *v, struct admin *source)
{
    const struct patience patience = patience_of(SOURCE_MS, NULL, 0);
    struct err e = {0};

    if (ask_side(v, source, true, &patience, &e) != ERR_NONE ||
        ask_side(v, source, false, &patience, &e) != ERR_NONE) {
        snprintf(v->source_problem, sizeof(v->source_problem), "%s", e.text);
    }
}

/* ---- table ---- */

static void print_lanes(const struct view *v)
{
    struct grid grid = {.columns = 5};
    char text[TIME_TEXT_SIZE];

    grid_add(&grid, "LANE");
    grid_add(&grid, "HOST");
    grid_add(&grid, "PID");
    grid_add(&grid, "SINCE");
    grid_add(&grid, "OWNER");
    for (int32_t k = 0; k < v->ledger.lane_count; k++) {
        const struct state *lane = &v->ledger.lanes[k];
        const struct claim *c = &lane->claim;

        grid_add(&grid, "%d", (int)k);
        grid_add(&grid, "%s", lane->has_claim ? c->host : "-");
        grid_add_offset(&grid, lane->has_claim ? c->pid : -1);
        grid_add(&grid, "%s",
                 lane->has_claim ? time_text(text, c->started_ms) : "-");
        if (lane->is_rescaled) {
            grid_add(&grid, "rescaled: generation %d, %d lanes",
                     lane->rescaled.generation, (int)lane->rescaled.lanes);
        } else if (!lane->has_claim || c->command[0] == '\0') {
            grid_add(&grid, "%s", lane->has_claim ? "run" : "nobody yet");
        } else {
            grid_add(&grid, "%s%s", c->command,
                     c->released ? ", has given it back" : "");
        }
    }
    grid_print(&grid, stdout);
}

static void print_positions(const struct view *v)
{
    static const char *const head[] = {"TOPIC", "PARTITION", "LANE",
                                       "NEXT",  "START",     "END",
                                       "LAG",   "EPOCH",     "STATE"};
    struct grid grid = {.columns = sizeof(head) / sizeof(*head)};

    for (size_t i = 0; i < grid.columns; i++) {
        grid_add(&grid, "%s", head[i]);
    }
    for (size_t i = 0; i < v->count; i++) {
        const struct view_row *row = &v->rows[i];
        const struct position *p = &row->entry->position;

        grid_add(&grid, "%s", row->entry->topic);
        grid_add(&grid, "%d", (int)row->entry->partition);
        grid_add(&grid, "%d", (int)row->lane);
        grid_add_offset(&grid, p->next);
        grid_add_offset(&grid, row->low);
        grid_add_offset(&grid, row->high);
        grid_add_offset(&grid, view_lag(row));
        grid_add_offset(&grid, p->epoch);
        grid_add(&grid, "%s%s", p->halt.reason[0] != '\0' ? "halted: " : "ok",
                 p->halt.reason);
    }
    grid_print(&grid, stdout);
}

static void print_history(const struct view_row *row)
{
    const struct position *p = &row->entry->position;
    char name[TOPIC_NAME_MAX + 16], at[TIME_TEXT_SIZE];
    struct grid grid = {.columns = 3};

    snprintf(name, sizeof(name), "%s[%d]", row->entry->topic,
             (int)row->entry->partition);
    if (p->halt.reason[0] != '\0') {
        grid_add(&grid, "%s", name);
        grid_add(&grid, "halted %s", time_text(at, p->halt.since_ms));
        grid_add(&grid, "%s: %s", p->halt.reason, p->halt.detail);
    }
    for (size_t i = 0; i < p->lost_count; i++) {
        const struct lost *l = &p->lost[i];
        grid_add(&grid, "%s", name);
        grid_add(&grid, "lost %s", time_text(at, l->time_ms));
        if (l->to >= 0) {
            grid_add(&grid, "%s: offsets %" PRId64 " to %" PRId64, l->reason,
                     l->from, l->to);
        } else {
            grid_add(&grid, "%s: offsets from %" PRId64 " on", l->reason,
                     l->from);
        }
    }
    if (p->moved.reason[0] != '\0') {
        grid_add(&grid, "%s", name);
        grid_add(&grid, "moved %s", time_text(at, p->moved.time_ms));
        if (p->moved.from >= 0) {
            grid_add(&grid, "from %" PRId64 ": %s", p->moved.from,
                     p->moved.reason);
        } else {
            grid_add(&grid, "from nowhere: %s", p->moved.reason);
        }
    }
    grid_print(&grid, stdout);
}

static void print_table(const struct view *v)
{
    const struct identity *id = &v->ledger.at.identity;

    printf("relay %s, generation %d, %d lanes\n\n", v->cfg->relay,
           v->ledger.at.number, (int)id->lanes);
    print_lanes(v);
    putchar('\n');
    print_positions(v);
    for (size_t i = 0; i < v->count; i++) {
        print_history(&v->rows[i]);
    }
    if (v->source_problem[0] != '\0') {
        fputs("lag is not known: ", stderr);
        escape_put(stderr, v->source_problem, false);
        fputc('\n', stderr);
    }
}

static int show(struct offsets *o, const struct show_args *given,
                const char *path)
{
    const struct patience patience = patience_of(OFFSETS_MS, NULL, 0);
    struct view v = {.cfg = o->cfg};
    struct err e = {0};

    e.kind = ledger_read(&v.ledger, o->cfg, o->target, &patience, &e);
    if (e.kind == ERR_NONE) {
        choose_rows(&v, given->topic);
        ask_source(&v, o->source);
        if (given->output != NULL && strcmp(given->output, "json") == 0) {
            view_print_json(&v);
        } else {
            print_table(&v);
        }
        e.kind = ledger_is_whole(&v.ledger, &e);
        ledger_free(&v.ledger);
        free(v.rows);
    }
    return offsets_end(path, &e);
}

static int show_main(int argc, char **argv)
{
    struct show_args given = {0};
    struct operands operands;
    struct offsets o;
    enum err_kind kind;
    int rc = args_parse(&offsets_show_command, argc, argv, &given, &operands);

    if (rc != ARGS_DONE) {
        return rc;
    }
    if (given.output != NULL && strcmp(given.output, "table") != 0 &&
        strcmp(given.output, "json") != 0) {
        return offsets_usage(&offsets_show_command,
                             "--output is table or json, not \"%s\"",
                             given.output);
    }
    kind = offsets_open(&o, operands.items[0], false);
    rc = kind == ERR_NONE ? show(&o, &given, operands.items[0])
                          : err_exit_code(kind);
    offsets_close(&o);
    return rc;
}

const struct command offsets_show_command = {
    .name = "offsets",
    .operands = "CONFIG show",
    .operands_min = 2,
    .operands_max = 2,
    .help =
        "Prints who owns each lane, and for each partition: the source offset "
        "that is\n"
        "read next, start and end of the source log, lag, epoch, and whether "
        "it is\n"
        "halted; then halts, lost ranges and moves in words. Partitions that "
        "have no\n"
        "position yet are not shown. Changes nothing; needs the target only "
        "(without the\n"
        "source, lag is not known). Exit codes: 0 good, 65 a lane's records "
        "are missing.",
    .args = args,
    .run = show_main,
};
