/*
 * ends.h - --until-end: have the lanes of other processes reached their ends?
 * Blocks on the network: a worker's thread.
 */
#ifndef RELAY_SYNC_ENDS_H
#define RELAY_SYNC_ENDS_H

#include <stdbool.h>

#include "config/config.h"
#include "relay/base/err.h"
#include "relay/base/patience.h"
#include "relay/lane/plan.h"
#include "relay/lane/position.h"

struct ends_report {
    bool reached; /* by every partition that is not halted */
    bool halted;  /* at least one is */
};

/* Reads the positions of all lanes but those in own[]; `plan` has the ends. */
enum err_kind
ends_look(const struct config *cfg, const struct identity *identity,
          const struct plan *plan, const bool *own, struct ends_report *out,
          const struct patience *patience, struct err *e) MUST_CHECK;

#endif
