/*
 * offsets_export.c - `offsets CONFIG export`: all positions as JSON.
 */
#include "relay/cli/offsets.h"
#include "relay/lane/export.h"
#include "relay/sync/ledger.h"

static enum err_kind print_export(const struct config *cfg,
                                  const struct ledger *ledger, struct err *e)
{
    const char *rules = ledger_rules(ledger);
    struct export x = {.identity = ledger->at.identity,
                       .positions = ledger->positions}; /* lent */
    struct buf out = {0};

    snprintf(x.name, sizeof(x.name), "%s", cfg->relay);
    snprintf(x.rules, sizeof(x.rules), "%s", rules != NULL ? rules : "");
    export_encode(&out, &x);
    e->kind = ERR_NONE;
    if (fwrite(out.data, 1, out.len, stdout) != out.len ||
        fflush(stdout) != 0) {
        err_set(e, ERR_FAILED, "the positions could not be written to stdout");
    }
    buf_free(&out);
    return e->kind;
}

static int export_main(int argc, char **argv)
{
    const struct patience patience = patience_of(OFFSETS_MS, NULL, 0);
    struct operands operands;
    struct offsets o;
    struct ledger ledger;
    struct err e = {0};
    int rc = args_parse(&offsets_export_command, argc, argv, NULL, &operands);

    if (rc != ARGS_DONE) {
        return rc;
    }
    e.kind = offsets_open(&o, operands.items[0], false);
    if (e.kind == ERR_NONE) {
        if (ledger_read(&ledger, o.cfg, o.target, &patience, &e) == ERR_NONE) {
            e.kind = ledger_is_whole(&ledger, &e) == ERR_NONE
                         ? print_export(o.cfg, &ledger, &e)
                         : e.kind;
            ledger_free(&ledger);
        }
        rc = offsets_end(operands.items[0], &e);
    } else {
        rc = err_exit_code(e.kind);
    }
    offsets_close(&o);
    return rc;
}

const struct command offsets_export_command = {
    .name = "offsets",
    .operands = "CONFIG export",
    .operands_min = 2,
    .operands_max = 2,
    .help = "Prints every position as it is stored, as JSON on stdout, for "
            "`offsets "
            "import`.\n"
            "While a relay runs that is old a moment later: import refuses it "
            "then.",
    .run = export_main,
};
