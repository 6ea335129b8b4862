/*
 * check.c - `kafka-relay check`: all problems of a config, and with --connect
 * of both clusters.
 */
#include <inttypes.h>
#include <stdbool.h>

#include "relay/cli/cli.h"
#include "relay/cli/load.h"
#include "relay/sync/connect.h"

struct check_args {
    bool connect;
};

static const struct arg args[] = {
    {.name = "connect",
     .offset = offsetof(struct check_args, connect),
     .help = "also connect to both clusters and check the rights there"},
    {0},
};

/* What the config comes to, in one line. */
static void print_good(const struct config *cfg, const char *path)
{
    printf("%s: good: relay %s, %s to %s, %zu rule%s, %" PRId64 " lane%s, %s\n",
           path, cfg->relay, cfg->source.name, cfg->target.name,
           cfg->rule_count, cfg->rule_count == 1 ? "" : "s",
           cfg->delivery.lanes, cfg->delivery.lanes == 1 ? "" : "s",
           cfg->delivery.guarantee == GUARANTEE_EXACTLY_ONCE ? "exactly once"
                                                             : "at least once");
}

static enum err_kind check(const struct config *cfg, const char *path,
                           bool connect)
{
    struct err e = {0};

    if (connect && connect_check(cfg, stdout, &e) != ERR_NONE) {
        fflush(stdout); /* findings before what they come to */
        fprintf(stderr, "%s: %s\n", path, e.text);
        return e.kind;
    }
    print_good(cfg, path);
    return ERR_NONE;
}

static int check_main(int argc, char **argv)
{
    struct check_args given = {0};
    struct operands operands;
    struct config *cfg = NULL;
    enum err_kind kind;
    int rc = args_parse(&check_command, argc, argv, &given, &operands);

    if (rc != ARGS_DONE) {
        return rc;
    }
    kind = load_config(&cfg, operands.items[0]);
    if (kind == ERR_NONE) {
        kind = check(cfg, operands.items[0], given.connect);
    }
    config_free(&cfg);
    return err_exit_code(kind);
}

const struct command check_command = {
    .name = "check",
    .summary = "check a config",
    .operands = "CONFIG",
    .operands_min = 1,
    .operands_max = 1,
    .help =
        "Prints every problem of CONFIG with its line and column to stderr, "
        "or\n"
        "one line on stdout that says it is good. Without --connect no "
        "network\n"
        "is needed. Exit codes: 0 good (warnings allowed), 78 problems; with\n"
        "--connect also 69 a cluster is unreachable, 77 a right is missing.",
    .args = args,
    .run = check_main,
};
