/*
 * run.c - `kafka-relay run`: mirror, until told to stop or to the end.
 */
#include <stdbool.h>
#include <stdlib.h>

#include "relay/base/log.h"
#include "relay/cli/cli.h"
#include "relay/cli/load.h"
#include "relay/relay.h"

struct run_args {
    bool until_end;
};

static const struct arg args[] = {
    {.name = "until-end",
     .offset = offsetof(struct run_args, until_end),
     .help = "copy up to the end offsets seen at the start, then exit"},
    {0},
};

static int run_main(int argc, char **argv)
{
    struct run_args given = {0};
    struct relay_options options;
    struct operands operands;
    struct config *cfg = NULL;
    enum err_kind kind;
    int rc = args_parse(&run_command, argc, argv, &given, &operands);

    if (rc != ARGS_DONE) {
        return rc;
    }
    kind = load_config(&cfg, operands.items[0]);
    if (kind != ERR_NONE) {
        return err_exit_code(kind);
    }
    log_open((enum log_level)cfg->log.level, (enum log_format)cfg->log.format);
    options.until_end = given.until_end;
    rc = relay_run(cfg, &options);
    config_free(&cfg);
    return rc;
}

const struct command run_command = {
    .name = "run",
    .summary = "mirror the topics of a config",
    .operands = "CONFIG",
    .operands_min = 1,
    .operands_max = 1,
    .help =
        "Copies the topics that CONFIG names until it is told to stop. "
        "SIGTERM and\n"
        "SIGINT commit what is in flight, leave the group and exit 0 within "
        "10 s.\n"
        "With --until-end it copies up to the end offsets seen at the start "
        "and\n"
        "exits 0, or 1 when a partition is halted. Any number of processes "
        "may run\n"
        "the same CONFIG: they share its lanes.",
    .args = args,
    .run = run_main,
};
