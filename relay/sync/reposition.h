/*
 * reposition.h - `offsets set`: moves positions, which is also what clears a
 * halt. Everything is validated before anybody is fenced; then each lane
 * concerned is taken, changed in one transaction, and given back.
 * Blocks on the network: a command.
 */
#ifndef RELAY_SYNC_REPOSITION_H
#define RELAY_SYNC_REPOSITION_H

#include "config/config.h"
#include "relay/base/err.h"
#include "relay/base/patience.h"
#include "relay/io/admin.h"
#include "relay/lane/position.h"

enum move_kind { MOVE_OFFSET, MOVE_START, MOVE_RESUME };

struct move_order {
    const char *topic; /* of the source */
    int32_t partition; /* -1: all */
    enum move_kind kind;
    int64_t offset;     /* MOVE_OFFSET */
    struct start start; /* MOVE_START */
    const char *reason; /* kept in the record */
    bool again;         /* a time may go back: records are copied again */
    bool dry_run;       /* plan only */
};

/* Where; all borrowed. */
struct move_where {
    const struct config *cfg;
    struct admin *source, *target;
    const char *source_id; /* cluster id */
};

/* What becomes of one partition. */
struct move {
    int32_t partition, lane;
    int64_t low, high;    /* log start and end on the source */
    int64_t timed;        /* MOVE_START with a time: what stands there, or -1 */
    int64_t before, next; /* positions; before -1: there was none */
    struct halt cleared;  /* that it had */
    int64_t unread;       /* the first offset that was not read yet */
    struct mark behind;   /* the record before `next`; offset -1: none */
    bool kept;            /* nothing to do: it is left as it is */
    bool again;           /* records from `next` to `before` are copied again */
    bool done;            /* committed */
};

struct moves {
    struct move *items;
    size_t count;
    char target[TOPIC_NAME_MAX + 1]; /* topic, by the present rules */
    int partitioning;
};

/* Plans all of them, and unless it is a dry run does them, lane by lane: log
 * ends are asked once more when the lane stands still. --resume of a whole
 * topic leaves positions as they are where nothing is halted, and does not take
 * lanes that have only such; so does a time that lies before the position.
 * Where that fails half way, `done` tells how far it came; *out is set as soon
 * as anything is planned. ERR_USAGE: the order can't be carried out, with what
 * can, and nothing was changed. */
enum err_kind reposition(struct moves *out, const struct move_order *order,
                         const struct move_where *where,
                         const struct patience *patience,
                         struct err *e) MUST_CHECK;
void moves_free(struct moves *moves);

#endif
