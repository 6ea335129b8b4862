/*
 * help.c - `kafka-relay help`: the page of a subcommand, and the settings.
 */
#include <stdbool.h>
#include <string.h>
#include <sysexits.h>

#include "relay/cli/cli.h"
#include "relay/cli/reference.h"

struct help_args {
    bool markdown;
};

static const struct arg args[] = {
    {.name = "markdown",
     .offset = offsetof(struct help_args, markdown),
     .help = "`help config` as docs/config.md has it"},
    {0},
};

static int help_main(int argc, char **argv)
{
    struct help_args given = {0};
    struct operands operands;
    const struct command *command;
    int rc = args_parse(&help_command, argc, argv, &given, &operands);

    if (rc != ARGS_DONE) {
        return rc;
    }
    if (operands.count == 0) {
        commands_print(stdout);
        return EX_OK;
    }
    if (strcmp(operands.items[0], "config") == 0) {
        reference_print(stdout,
                        given.markdown ? REFERENCE_MARKDOWN : REFERENCE_TEXT);
        return EX_OK;
    }
    command = command_find(operands.items[0]);
    if (command == NULL) {
        return command_unknown(operands.items[0]);
    }
    args_print_help(command, stdout);
    return EX_OK;
}

const struct command help_command = {
    .name = "help",
    .summary = "help on a subcommand, or `help config` on all settings",
    .operands = "[SUBCOMMAND | config]",
    .operands_min = 0,
    .operands_max = 1,
    .help = "Prints the page of SUBCOMMAND, or every setting of a config file.",
    .args = args,
    .run = help_main,
};
