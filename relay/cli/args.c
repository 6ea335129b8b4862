/*
 * args.c - see args.h.
 */
#include "relay/cli/args.h"

#include <getopt.h>
#include <stdbool.h>
#include <string.h>
#include <sysexits.h>

#include "config/suggest.h"
#include "relay/base/mem.h"
#include "relay/cli/cli.h"

enum { OPTIONS_MAX = 32, FIRST_VALUE = 256 /* above every letter */ };

/* getopt_long's own form of a command's table; --help goes last. */
struct getopt_table {
    struct option longs[OPTIONS_MAX + 2];
    char shorts[2 * OPTIONS_MAX + 4];
    int count; /* without --help */
};

static void build(struct getopt_table *t, const struct arg *args)
{
    char *letter = t->shorts;

    *letter++ = ':'; /* tells a missing value from an unknown option */
    *letter++ = 'h';
    t->count = 0;
    for (; args != NULL && args->name != NULL; args++) {
        VERIFY(t->count < OPTIONS_MAX);
        t->longs[t->count] = (struct option){
            .name = args->name,
            .has_arg = args->value != NULL ? required_argument : no_argument,
            .val = FIRST_VALUE + t->count,
        };
        t->count++;
        if (args->letter != '\0') {
            *letter++ = args->letter;
            *letter = ':';
            letter += args->value != NULL;
        }
    }
    *letter = '\0';
    t->longs[t->count] = (struct option){.name = "help", .val = 'h'};
    t->longs[t->count + 1] = (struct option){0};
}

static const struct arg *arg_of(const struct command *command, int value)
{
    if (value >= FIRST_VALUE) {
        return &command->args[value - FIRST_VALUE];
    }
    for (const struct arg *arg = command->args; arg->name != NULL; arg++) {
        if (arg->letter == value) {
            return arg;
        }
    }
    VERIFY(!"getopt_long gives only what its table has");
    return NULL;
}

static void store(const struct arg *arg, void *fields)
{
    char *field = (char *)fields + arg->offset;

    if (arg->value != NULL) {
        *(const char **)field = optarg;
    } else {
        *(bool *)field = true;
    }
}

static int usage_error(const struct command *command)
{
    fprintf(stderr, "Try: kafka-relay %s --help\n", command->name);
    return EX_USAGE;
}

/* `text` is the argument as it was written. */
static int unknown_option(const struct command *command, const char *text)
{
    char word[64];
    struct suggestion near;

    snprintf(word, sizeof(word), "%.*s", (int)strcspn(text + 2, "="), text + 2);
    near = suggest_begin(word);
    for (const struct arg *arg = command->args;
         arg != NULL && arg->name != NULL; arg++) {
        suggest_offer(&near, arg->name);
    }
    suggest_offer(&near, "help");
    fprintf(stderr, "kafka-relay %s: no option %s", command->name, text);
    if (near.best != NULL && strncmp(text, "--", 2) == 0) {
        fprintf(stderr, "; did you mean --%s?", near.best);
    }
    fputc('\n', stderr);
    return usage_error(command);
}

static int unknown_letter(const struct command *command, int letter)
{
    fprintf(stderr, "kafka-relay %s: no option -%c\n", command->name, letter);
    return usage_error(command);
}

static int missing_value(const struct command *command, const char *text)
{
    fprintf(stderr, "kafka-relay %s: %s needs a value\n", command->name, text);
    return usage_error(command);
}

static int check_operands(const struct command *command,
                          const struct operands *operands)
{
    if (operands->count < command->operands_min) {
        fprintf(stderr, "kafka-relay %s: %s is missing\n", command->name,
                command->operands);
        return usage_error(command);
    }
    if (operands->count > command->operands_max) {
        fprintf(stderr, "kafka-relay %s: \"%s\" is one argument too many\n",
                command->name, operands->items[command->operands_max]);
        return usage_error(command);
    }
    return ARGS_DONE;
}

static int parse_one(const struct command *command, int value, char **argv,
                     void *fields)
{
    switch (value) {
    case 'h':
        args_print_help(command, stdout);
        return EX_OK;
    case ':':
        return missing_value(command, argv[optind - 1]);
    case '?':
        /* optopt: the letter, 0 for an unknown or ambiguous long option, its
         * value when a flag was given a value */
        return optopt > 0 && optopt < FIRST_VALUE && optopt != 'h'
                   ? unknown_letter(command, optopt)
                   : unknown_option(command, argv[optind - 1]);
    default:
        store(arg_of(command, value), fields);
        return ARGS_DONE;
    }
}

int args_parse(const struct command *command, int argc, char **argv,
               void *fields, struct operands *operands)
{
    struct getopt_table table;
    int rc = ARGS_DONE;
    int value;

    build(&table, command->args);
    opterr = 0;
    optind = 0; /* glibc: begin anew */
    while (rc == ARGS_DONE && (value = getopt_long(argc, argv, table.shorts,
                                                   table.longs, NULL)) != -1) {
        rc = parse_one(command, value, argv, fields);
    }
    if (rc != ARGS_DONE) {
        return rc;
    }
    *operands = (struct operands){argc - optind, argv + optind};
    return check_operands(command, operands);
}

static void print_option(const struct arg *arg, FILE *out)
{
    char left[64];

    snprintf(left, sizeof(left), "--%s%s%s", arg->name,
             arg->value != NULL ? " " : "",
             arg->value != NULL ? arg->value : "");
    if (arg->letter != '\0') {
        fprintf(out, "  -%c, %-18s %s\n", arg->letter, left, arg->help);
    } else {
        fprintf(out, "      %-18s %s\n", left, arg->help);
    }
}

void args_print_help(const struct command *command, FILE *out)
{
    static const struct arg help = {
        .name = "help", .letter = 'h', .help = "print this page"};

    fprintf(out, "Usage: kafka-relay %s%s%s [OPTION]...\n\n%s\n\nOptions:\n",
            command->name, command->operands[0] != '\0' ? " " : "",
            command->operands, command->help);
    for (const struct arg *arg = command->args;
         arg != NULL && arg->name != NULL; arg++) {
        print_option(arg, out);
    }
    print_option(&help, out);
}
