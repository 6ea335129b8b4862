/*
 * cli.h - what a subcommand is: one row of the table in commands.c, one file.
 * Main thread.
 */
#ifndef RELAY_CLI_CLI_H
#define RELAY_CLI_CLI_H

#include <stddef.h>
#include <stdio.h>

#include "relay/cli/args.h"

struct command {
    const char *name;
    const char *summary;  /* one line, in `kafka-relay --help` */
    const char *operands; /* in the usage line: "CONFIG" */
    int operands_min, operands_max;
    const char *help;       /* paragraphs below the usage line */
    const struct arg *args; /* options; a NULL name ends the list */

    /* argv[0] is the subcommand's name. Parses the rest with args_parse, does
     * the work and returns the exit code: 0 good, 1 failed at run time, 2
     * differences, 64 usage, 65 state refused, 69 unreachable, 77 not
     * permitted, 78 configuration (err_exit_code). Results go to stdout,
     * problems and logs to stderr. */
    int (*run)(int argc, char **argv);
};

/* Each in its own file; the table is in commands.c. */
extern const struct command run_command;
extern const struct command check_command;
extern const struct command offsets_command;
extern const struct command help_command;

/* All of them, in the order of --help; NULL ends the list. */
extern const struct command *const commands[];

/* NULL: no such subcommand. */
const struct command *command_find(const char *name);

/* Writes "no such subcommand, did you mean" to stderr; returns 64. */
int command_unknown(const char *name);

/* The page of `kafka-relay --help`. */
void commands_print(FILE *out);

/* The whole program: picks the subcommand and runs it. */
int commands_main(int argc, char **argv);

#endif
