/*
 * remap.h - the offset map of one generation, carried into another: the chunks
 * that positions point to, and all that follow them.
 * Blocks on the network: a command.
 */
#ifndef RELAY_SYNC_REMAP_H
#define RELAY_SYNC_REMAP_H

#include "config/config.h"
#include "relay/base/err.h"
#include "relay/base/patience.h"
#include "relay/base/table.h"
#include "relay/io/sink.h"
#include "relay/lane/entries.h"
#include "relay/sync/generation.h"

struct remap {
    const struct config *cfg;
    const struct generation *from, *to;
    int32_t lanes; /* of `to` */
    struct sink *sink;
    size_t chunks;         /* copied */
    struct table *pending; /* where delivery reports write to */
};

/* Copies the chunks into to->map, and makes the positions' pointers lead there;
 * those whose chunk has aged out go. `sink` has a transaction begun, before and
 * after. ERR_RETRY also when a commit was ambiguous: a new sink is needed, and
 * all of it again; or when the old map gives nothing for 20 s. */
enum err_kind remap(struct remap *r, struct entries *positions,
                    struct err *e) MUST_CHECK;

/* Only after the sink is closed: delivery reports of chunks that a failed call
 * has left in flight write into it. A zeroed one is fine. */
void remap_free(struct remap *r);

#endif
