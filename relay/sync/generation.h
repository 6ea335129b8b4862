/*
 * generation.h - the relay's two topics on the target, of one generation, and
 * their first records.
 *
 * A generation is in use when its lanes have identities: they are written in
 * one transaction with all that it begins with, so there is no half of one. The
 * newest generation in use counts; one beside it that has none was begun by a
 * rescale that did not end.
 * Blocks on the network: a worker's thread, or a command.
 */
#ifndef RELAY_SYNC_GENERATION_H
#define RELAY_SYNC_GENERATION_H

#include "config/config.h"
#include "relay/base/err.h"
#include "relay/base/patience.h"
#include "relay/io/admin.h"
#include "relay/io/sink.h"
#include "relay/lane/entries.h"
#include "relay/lane/names.h"
#include "relay/lane/position.h"

struct generation {
    int number;
    char offsets[NAME_SIZE], map[NAME_SIZE];
    int32_t offsets_partitions, map_partitions; /* 0: not there */
    int brokers;
    bool in_use;
    struct identity identity; /* of lane 0, when in use */
};

/* The newest one in use; none: the newest that has an offsets topic, or 0. */
enum err_kind generation_find(struct generation *out, const struct config *cfg,
                              struct admin *target,
                              const struct patience *patience,
                              struct err *e) MUST_CHECK;

/* The one with this number. */
enum err_kind generation_look(struct generation *out, int number,
                              const struct config *cfg, struct admin *target,
                              const struct patience *patience,
                              struct err *e) MUST_CHECK;

/* Makes what is missing of its topics, with `lanes` partitions, and waits until
 * both are there. */
enum err_kind generation_create(struct generation *g, int32_t lanes,
                                const struct config *cfg, struct admin *target,
                                const struct patience *patience,
                                struct err *e) MUST_CHECK;

/* ERR_STATE: too few partitions for `lanes`, or a cleanup.policy that loses
 * positions. */
enum err_kind generation_check(const struct generation *g, int32_t lanes,
                               struct admin *target,
                               const struct patience *patience,
                               struct err *e) MUST_CHECK;

/* What a generation begins with. */
struct founding {
    const struct identity *identity; /* a record a lane */
    const char *command;             /* of the claims */
    const char *rules; /* of the claims, which are released ones; NULL: none */
    struct entries *positions; /* each goes to its lane; or NULL */
};

/* Puts all of it into the sink's open transaction and commits. */
enum err_kind generation_found(const struct generation *g,
                               const struct founding *founding,
                               struct sink *sink,
                               const struct patience *patience,
                               struct err *e) MUST_CHECK;

/* A sink for lane k's transactional id, with a transaction begun: whoever had
 * that id is fenced, and what he left open is settled. */
enum err_kind generation_sink(struct sink **out, const struct generation *g,
                              int32_t lane, const struct config *cfg,
                              const struct patience *patience,
                              struct err *e) MUST_CHECK;

#endif
