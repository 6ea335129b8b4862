/*
 * offsets_rescale.c - `offsets CONFIG rescale`: another number of lanes.
 */
#include "config/value.h"
#include "relay/cli/offsets.h"
#include "relay/crew.h"
#include "relay/sync/rescale.h"

struct rescale_args {
    const char *lanes;
    bool dry_run, force;
};

static const struct arg args[] = {
    {.name = "lanes",
     .value = "N",
     .offset = offsetof(struct rescale_args, lanes),
     .help = "how many; the present number undoes what did not end"},
    {.name = "dry-run",
     .offset = offsetof(struct rescale_args, dry_run),
     .help = "say what would be done, do nothing"},
    {.name = "force",
     .offset = offsetof(struct rescale_args, force),
     .help = "go on although the target holds newer records"},
    {0},
};

static void print_result(const struct rescale *r)
{
    const char *relay = r->cfg->relay;

    switch (r->result) {
    case RESCALE_NOTHING:
        printf("relay %s has %d lanes already (generation %d): nothing to do\n",
               relay, (int)r->before.lanes, r->before.generation);
        return;
    case RESCALE_PLANNED:
        printf("relay %s would be %s: generation %d with %d lanes, to "
               "generation %d with %d lanes; %zu positions\n",
               relay,
               r->lanes == r->before.lanes ? "taken back"
               : r->resumed                ? "rescaled, which was begun already"
                                           : "rescaled",
               r->before.generation, (int)r->before.lanes, r->after.generation,
               (int)r->after.lanes, r->positions);
        return;
    case RESCALE_UNDONE:
        printf("relay %s has %d lanes again (generation %d)\n", relay,
               (int)r->before.lanes, r->before.generation);
        return;
    case RESCALE_DONE:
        printf("relay %s: from generation %d with %d lanes to generation %d "
               "with %d lanes; %zu positions and %zu chunks of the offset map "
               "carried over.\nNow set delivery.lanes: %d, and start its "
               "processes.\n",
               relay, r->before.generation, (int)r->before.lanes,
               r->after.generation, (int)r->after.lanes, r->positions,
               r->chunks, (int)r->after.lanes);
        return;
    }
}

static int rescale_main(int argc, char **argv)
{
    struct rescale_args given = {0};
    struct operands operands;
    struct offsets o;
    struct err e = {0};
    int64_t lanes;
    int rc =
        args_parse(&offsets_rescale_command, argc, argv, &given, &operands);

    if (rc != ARGS_DONE) {
        return rc;
    }
    if (given.lanes == NULL || !value_int(&lanes, given.lanes) || lanes < 1 ||
        lanes > LANES_MAX) {
        return offsets_usage(&offsets_rescale_command,
                             "--lanes N is a number from 1 to %d", LANES_MAX);
    }
    e.kind = offsets_open(&o, operands.items[0], true);
    if (e.kind == ERR_NONE) {
        struct rescale r = {.cfg = o.cfg,
                            .target = o.target,
                            .source_id = o.source_id,
                            .lanes = (int32_t)lanes,
                            .dry_run = given.dry_run,
                            .force = given.force};
        e.kind = rescale_run(&r, &e);
        if (e.kind == ERR_NONE) {
            print_result(&r);
        }
        rc = offsets_end(operands.items[0], &e);
    } else {
        rc = err_exit_code(e.kind);
    }
    offsets_close(&o);
    return rc;
}

const struct command offsets_rescale_command = {
    .name = "offsets",
    .operands = "CONFIG rescale",
    .operands_min = 2,
    .operands_max = 2,
    .help =
        "Gives the relay another number of lanes: a new generation of its "
        "topics on the\n"
        "target, with all positions. Processes that run end with exit code 65 "
        "and say so;\n"
        "then set delivery.lanes and start them. If it is stopped half way, no "
        "lane runs\n"
        "until it is run again (it goes on) or with the present number (it is "
        "undone).",
    .args = args,
    .run = rescale_main,
};
