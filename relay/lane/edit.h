/*
 * edit.h - a lane in the hands of a command: taken, changed, given back.
 *
 * Taken exactly as a process takes it (session.c), so that whoever runs it is
 * fenced and its positions are all known. edit_commit with EDIT_RELEASE ends
 * with a claim marked `released`: a parked owner then takes the lane again.
 * A command that dies before has changed nothing; owners try again by
 * themselves after half a minute or a whole one.
 * The thread that opened it; blocks on the network.
 */
#ifndef RELAY_LANE_EDIT_H
#define RELAY_LANE_EDIT_H

#include "config/config.h"
#include "relay/base/err.h"
#include "relay/io/sink.h"
#include "relay/lane/position.h"
#include "relay/lane/state.h"

struct edit;

struct edit_settings {
    const struct config *cfg;        /* borrowed, outlives the edit */
    const struct identity *identity; /* borrowed; what the lane must say */
    const char *command;             /* borrowed; for the claim and the log */
    int32_t lane;
    bool rescaled_too; /* a lane that was rescaled may be taken, too */
};

/* ERR_STATE: not ours, not usable, or rescaled: nobody was fenced for it. */
enum err_kind edit_open(struct edit **out, const struct edit_settings *settings,
                        struct err *e) MUST_CHECK;

/* Drops what was not committed. Nulls; NULL inside is fine. */
void edit_close(struct edit **edit);

/* Everything that is committed in the lane. Valid until edit_close. */
const struct state *edit_state(const struct edit *edit);

/* A record of the lane's partition. value NULL: a tombstone. */
enum err_kind edit_put(struct edit *edit, const char *key, const void *value,
                       size_t len, struct err *e) MUST_CHECK;

/* The position of a partition that belongs to the lane; its `claim` is set. */
enum err_kind edit_put_position(struct edit *edit, const char *topic,
                                int32_t partition, struct position *p,
                                struct err *e) MUST_CHECK;

/* The sink behind it, with a transaction begun: for what goes elsewhere. */
struct sink *edit_sink(struct edit *edit);

enum edit_end { EDIT_KEEP, EDIT_RELEASE };

/* Commits what was put. EDIT_KEEP: the lane stays taken, a transaction is begun
 * anew. ERR_FENCED: somebody took the lane meanwhile, nothing was changed.
 * ERR_RETRY: not known; open it again and look. */
enum err_kind edit_commit(struct edit *edit, enum edit_end end,
                          struct err *e) MUST_CHECK;

#endif
