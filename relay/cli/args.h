/*
 * args.h - GNU-style options of a subcommand, parsed by a table.
 * Main thread (getopt_long has state of its own).
 */
#ifndef RELAY_CLI_ARGS_H
#define RELAY_CLI_ARGS_H

#include <stddef.h>
#include <stdio.h>

#include "relay/base/err.h"

struct command;

/* An option. Without `value` it is a flag and its field a bool; with it the
 * field is a const char *, borrowed from argv, NULL unless given. */
struct arg {
    const char *name;  /* "until-end" */
    char letter;       /* 'o', or 0 for none */
    const char *value; /* what the help calls the value: "FORMAT"; NULL: flag */
    size_t offset;     /* of the field */
    const char *help;
};

enum { ARGS_DONE = -1 }; /* not an exit code: go on */

struct operands {
    int count;
    char **items; /* borrowed from argv */
};

/* Parses argv[1..] into *fields (a struct that the table's offsets point into,
 * zeroed by the caller) and *operands. Returns ARGS_DONE to go on, or the exit
 * code to return at once: 0 after --help, which it prints to stdout, and 64
 * after an error, which it prints to stderr. */
int args_parse(const struct command *command, int argc, char **argv,
               void *fields, struct operands *operands) MUST_CHECK;

/* Usage line, help and options, as --help prints them. */
void args_print_help(const struct command *command, FILE *out);

#endif
