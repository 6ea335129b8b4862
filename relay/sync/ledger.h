/*
 * ledger.h - everything that the relay has written about itself, read at once:
 * the generation in use, and what each of its lanes says.
 * Blocks on the network: a command.
 */
#ifndef RELAY_SYNC_LEDGER_H
#define RELAY_SYNC_LEDGER_H

#include "config/config.h"
#include "relay/base/err.h"
#include "relay/base/patience.h"
#include "relay/io/admin.h"
#include "relay/lane/entries.h"
#include "relay/lane/state.h"
#include "relay/sync/generation.h"

struct ledger {
    struct generation at;
    struct state *lanes; /* at.identity.lanes of them */
    int32_t lane_count;
    struct entries positions; /* of all lanes, sorted */
};

/* Fences nobody, and needs the target only. ERR_STATE: there is none, or a
 * record can't be read. */
enum err_kind ledger_read(struct ledger *out, const struct config *cfg,
                          struct admin *target, const struct patience *patience,
                          struct err *e) MUST_CHECK;

/* The same, but where there is no generation in use that is no error:
 * out->at.in_use tells. */
enum err_kind ledger_try(struct ledger *out, const struct config *cfg,
                         struct admin *target, const struct patience *patience,
                         struct err *e) MUST_CHECK;

void ledger_free(struct ledger *ledger);

/* ERR_STATE: a lane has no identity: its records were deleted, and positions
 * among them. */
enum err_kind ledger_is_whole(const struct ledger *ledger,
                              struct err *e) MUST_CHECK;

/* Before lanes are taken: ERR_STATE unless it is of the cluster `source` and
 * has `lanes` lanes; unless `rescaled_too`, none of them may be rescaled. */
enum err_kind ledger_check(const struct ledger *ledger, const char *source,
                           int32_t lanes, bool rescaled_too,
                           struct err *e) MUST_CHECK;

/* The hash of settled rules that all lanes agree on; NULL: they do not. */
const char *ledger_rules(const struct ledger *ledger);

#endif
