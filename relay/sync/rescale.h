/*
 * rescale.h - `offsets rescale`: another number of lanes, in another generation
 * of the relay's topics.
 *
 *   1. take lane 0; then lane by lane, lane 0 first: commit a record
 *      {"moved":k}, and take the lane. From then on no process runs it,
 *      whatever restarts, and all its positions are known.
 *   2. make the topics of the next generation, copy the offset map, and write
 *      identities and positions, in one transaction of lane 0's producer.
 *
 * Until that transaction the old generation is the one in use, from then on the
 * new one; a crash anywhere leaves the old positions where they are, and lanes
 * that refuse to run until the command is run again, or undone. Lane 0's
 * producer writes all of it, so that whoever takes lane 0 fences a command that
 * was at it, wherever that is.
 * Blocks on the network: a command.
 */
#ifndef RELAY_SYNC_RESCALE_H
#define RELAY_SYNC_RESCALE_H

#include "config/config.h"
#include "relay/base/err.h"
#include "relay/io/admin.h"
#include "relay/lane/position.h"

enum rescale_result {
    RESCALE_NOTHING, /* it has that number of lanes already */
    RESCALE_PLANNED, /* dry run */
    RESCALE_DONE,
    RESCALE_UNDONE, /* one that had not ended was taken back */
};

struct rescale {
    const struct config *cfg;
    struct admin *target;
    const char *source_id;
    int32_t lanes; /* wanted; the present number undoes */
    bool dry_run;
    bool force; /* go on with positions that are older than the copies */

    enum rescale_result result;
    bool resumed;      /* an earlier one had not ended */
    bool tried, begun; /* planned before; a mark of this command is committed */
    struct generation_size {
        int generation;
        int32_t lanes;
    } before, after;
    size_t positions, chunks; /* carried over */
};

enum err_kind rescale_run(struct rescale *r, struct err *e) MUST_CHECK;

#endif
