/*
 * offsets.c - `kafka-relay offsets`: picks the verb, and what all verbs share.
 */
#include "relay/cli/offsets.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "config/suggest.h"
#include "relay/base/clock.h"
#include "relay/base/escape.h"
#include "relay/base/log.h"
#include "relay/cli/load.h"

static const struct command *const verbs[] = {
    &offsets_show_command,   &offsets_set_command,     &offsets_export_command,
    &offsets_import_command, &offsets_rescale_command,
};

enum { VERBS = sizeof(verbs) / sizeof(*verbs), CONNECT_MS = 15000 };

/* The verb's own name is the second word of its operands: "CONFIG show". */
static size_t verb_name(const struct command *verb, const char **name)
{
    *name = verb->operands + strlen("CONFIG ");
    return strcspn(*name, " ");
}

static int unknown_verb(const char *word)
{
    fprintf(stderr, "kafka-relay offsets: no verb \"");
    escape_put(stderr, word, false);
    fputs("\"; there are:", stderr);
    for (size_t i = 0; i < VERBS; i++) {
        const char *name;
        int len = (int)verb_name(verbs[i], &name);
        fprintf(stderr, " %.*s", len, name);
    }
    fputs("\nTry: kafka-relay offsets --help\n", stderr);
    return EX_USAGE;
}

static int offsets_main(int argc, char **argv)
{
    struct operands operands;

    if (argc < 3 || argv[1][0] == '-' || argv[2][0] == '-') {
        int rc = args_parse(&offsets_command, argc, argv, NULL, &operands);
        return rc == ARGS_DONE ? unknown_verb("") : rc;
    }
    for (size_t i = 0; i < VERBS; i++) {
        const char *name;
        size_t len = verb_name(verbs[i], &name);
        if (strlen(argv[2]) == len && strncmp(argv[2], name, len) == 0) {
            return verbs[i]->run(argc, argv);
        }
    }
    return unknown_verb(argv[2]);
}

enum err_kind offsets_open(struct offsets *o, const char *path, bool source)
{
    const struct patience patience = patience_of(CONNECT_MS, NULL, 0);
    struct err e = {0};
    char *id = NULL;

    *o = (struct offsets){0};
    if (load_config(&o->cfg, path) != ERR_NONE) {
        return ERR_CONFIG;
    }
    log_open((enum log_level)o->cfg->log.level,
             (enum log_format)o->cfg->log.format);
    srandom((unsigned)clock_wall_ms());
    signal(SIGPIPE, SIG_IGN);
    if (admin_open(&o->target, &o->cfg->target, READ_UNCOMMITTED, &e) !=
            ERR_NONE ||
        admin_open(&o->source, &o->cfg->source, READ_COMMITTED, &e) !=
            ERR_NONE) {
        goto fail;
    }
    if (source) {
        if (admin_cluster_id(o->source, &id, &patience, &e) != ERR_NONE) {
            goto fail;
        }
        snprintf(o->source_id, sizeof(o->source_id), "%s", id);
        free(id);
    }
    return ERR_NONE;

fail:
    offsets_end(path, &e);
    return e.kind;
}

void offsets_close(struct offsets *o)
{
    admin_close(&o->source);
    admin_close(&o->target);
    config_free(&o->cfg);
}

int offsets_end(const char *path, const struct err *e)
{
    /* Results before what went wrong after them. */
    const bool printed = fflush(stdout) == 0 && !ferror(stdout);

    if (e->kind == ERR_NONE && !printed) {
        fprintf(stderr, "%s: the result could not be written to stdout\n",
                path);
        return err_exit_code(ERR_FAILED);
    }
    if (e->kind != ERR_NONE) {
        fprintf(stderr, "%s: ", path);
        escape_put(stderr, e->text, false);
        fputc('\n', stderr);
    }
    return err_exit_code(e->kind);
}

int offsets_usage(const struct command *verb, const char *fmt, ...)
{
    va_list ap;

    fputs("kafka-relay offsets: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nTry: kafka-relay offsets %s --help\n", verb->operands);
    return EX_USAGE;
}

bool offsets_reason_good(const struct command *verb, const char *reason)
{
    struct moved m;

    if (reason == NULL || reason[0] == '\0') {
        offsets_usage(verb, "--reason TEXT is missing: it is kept with the "
                            "position, for who looks at it later");
        return false;
    }
    if (strlen(reason) >= sizeof(m.reason)) {
        offsets_usage(verb, "--reason has %zu bytes; at most %zu are kept",
                      strlen(reason), sizeof(m.reason) - 1);
        return false;
    }
    return true;
}

const struct command offsets_command = {
    .name = "offsets",
    .summary = "show, set, export, import positions; rescale lanes",
    .operands = "CONFIG show|set|export|import|rescale",
    .operands_min = 2,
    .operands_max = 2,
    .help =
        "The relay's positions on the target: which source offset each "
        "partition is\n"
        "read from next.\n\n"
        "  show     every position, its halt, and owners; changes nothing\n"
        "  set      moves positions; also what clears a halt\n"
        "  export   all positions as JSON, on stdout\n"
        "  import   writes what `export` gave; also after the topic was lost\n"
        "  rescale  another number of lanes\n\n"
        "Each has its own page: kafka-relay offsets CONFIG set --help",
    .run = offsets_main,
};
