/*
 * commands.c - the table of subcommands, and the program's own options.
 */
#include <string.h>
#include <sysexits.h>

#include "config/suggest.h"
#include "relay/cli/cli.h"
#include "relay/io/property.h"

const struct command *const commands[] = {
    &run_command, &check_command, &offsets_command, &help_command, NULL,
};

const struct command *command_find(const char *name)
{
    for (const struct command *const *c = commands; *c != NULL; c++) {
        if (strcmp((*c)->name, name) == 0) {
            return *c;
        }
    }
    return NULL;
}

int command_unknown(const char *name)
{
    struct suggestion near = suggest_begin(name);

    for (const struct command *const *c = commands; *c != NULL; c++) {
        suggest_offer(&near, (*c)->name);
    }
    fprintf(stderr, "kafka-relay: no subcommand \"%s\"", name);
    if (near.best != NULL) {
        fprintf(stderr, "; did you mean \"%s\"?", near.best);
    }
    fputs("\nTry: kafka-relay --help\n", stderr);
    return EX_USAGE;
}

void commands_print(FILE *out)
{
    fputs("Usage: kafka-relay SUBCOMMAND [ARGUMENT]...\n\n"
          "Copies topics from one Apache Kafka cluster to another.\n\n"
          "Subcommands:\n",
          out);
    for (const struct command *const *c = commands; *c != NULL; c++) {
        fprintf(out, "  %-8s %s\n", (*c)->name, (*c)->summary);
    }
    fputs("\nOptions:\n"
          "  --help     print this page; after a subcommand, its own\n"
          "  --version  print the version\n\n"
          "Exit codes: 0 good, 1 failed, 64 usage, 65 state refused,\n"
          "69 cluster unreachable, 77 not permitted, 78 configuration.\n",
          out);
}

static int print_version(void)
{
    printf("kafka-relay %s (librdkafka %s)\n", KAFKA_RELAY_VERSION,
           kafka_library_version());
    return EX_OK;
}

static int unknown_option(const char *text)
{
    fprintf(stderr,
            "kafka-relay: no option %s before a subcommand\n"
            "Try: kafka-relay --help\n",
            text);
    return EX_USAGE;
}

int commands_main(int argc, char **argv)
{
    const struct command *command;

    if (argc < 2) {
        commands_print(stderr);
        return EX_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        commands_print(stdout);
        return EX_OK;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        return print_version();
    }
    if (argv[1][0] == '-') {
        return unknown_option(argv[1]);
    }
    command = command_find(argv[1]);
    return command != NULL ? command->run(argc - 1, argv + 1)
                           : command_unknown(argv[1]);
}
