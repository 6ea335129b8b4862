/*
 * offsets_view.h - what `offsets show` shows. Private to relay/cli.
 */
#ifndef RELAY_CLI_OFFSETS_VIEW_H
#define RELAY_CLI_OFFSETS_VIEW_H

#include "config/config.h"
#include "relay/sync/ledger.h"

/* A position, and the source log it is in: -1 where that is not known. */
struct view_row {
    const struct entry *entry;
    int32_t lane;
    int64_t low, high;
};

struct view {
    const struct config *cfg;
    struct ledger ledger;
    struct view_row *rows;
    size_t count;
    char source_problem[sizeof(((struct err *)0)->text)];
};

/* Records to the end of the source log; -1: not known. */
int64_t view_lag(const struct view_row *row);

/* As JSON to stdout; docs/offsets.md describes it. */
void view_print_json(const struct view *v);

#endif
