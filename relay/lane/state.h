/*
 * state.h - what a lane's partition of the offsets topic says, read in order.
 * The newest record of each key counts. Untrusted: whatever is not understood
 * is refused, never skipped. One thread.
 */
#ifndef RELAY_LANE_STATE_H
#define RELAY_LANE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "relay/base/err.h"
#include "relay/base/patience.h"
#include "relay/base/table.h"
#include "relay/io/reader.h"
#include "relay/lane/position.h"

struct state {
    int32_t lane;
    bool has_identity, has_claim, frozen, is_rescaled;
    struct identity identity;
    struct rescaled rescaled; /* where the lane is carried on */
    struct claim claim;       /* the newest */
    struct claim before;      /* the newest that is not `own` */
    bool has_before;
    char own[NONCE_SIZE];      /* reading until this claim comes by; or "" */
    char known[2][NONCE_SIZE]; /* reading until a claim that is none of these */
    bool until_other, until_free, until_identity;
    struct table *positions; /* key -> struct state_value */
};

struct state_value {
    const char *topic; /* behind the data */
    int32_t partition;
    size_t len; /* 0: a tombstone, no position */
    char data[];
};

void state_init(struct state *s, int32_t lane);
void state_free(struct state *s);

/* Reads what is committed now; goes on where the last call stopped. */
enum err_kind state_read(struct state *s, struct reader *reader,
                         const struct patience *patience,
                         struct err *e) MUST_CHECK;

/* The same, but an identity is waited for: its commit is answered before it can
 * be read. ERR_NONE also when none came in time: state_check tells. */
enum err_kind state_read_identified(struct state *s, struct reader *reader,
                                    const struct patience *patience,
                                    struct err *e) MUST_CHECK;

/* Goes on until the claim with nonce `own` comes by. */
enum err_kind state_read_until_own(struct state *s, struct reader *reader,
                                   const struct patience *patience,
                                   struct err *e) MUST_CHECK;

/* Goes on until a claim comes by that is neither `own` nor `before` (either may
 * be ""), or is the newest already. ERR_RETRY: none came in time. */
enum err_kind state_read_until_other(struct state *s, struct reader *reader,
                                     const char *own, const char *before,
                                     const struct patience *patience,
                                     struct err *e) MUST_CHECK;

/* Goes on until the newest claim is a released one, or the lane was rescaled;
 * either may be so already. ERR_RETRY: not in time. */
enum err_kind state_read_until_free(struct state *s, struct reader *reader,
                                    const struct patience *patience,
                                    struct err *e) MUST_CHECK;

/* ERR_STATE unless the identity is there and says the same as `want` (its
 * uuid only where want has one), and the lane may run. */
enum err_kind state_check(const struct state *s, const char *topic,
                          const struct identity *want,
                          struct err *e) MUST_CHECK;

/* The same, but a lane that was rescaled is fine: for the command that does. */
enum err_kind state_check_identity(const struct state *s, const char *topic,
                                   const struct identity *want,
                                   struct err *e) MUST_CHECK;

/* ERR_STATE when one of the positions can't be used: found out before anybody
 * is fenced for it. */
enum err_kind state_check_positions(const struct state *s,
                                    struct err *e) MUST_CHECK;

/* The position stored for a partition: ERR_NONE with *found. */
enum err_kind state_position(const struct state *s, const char *topic,
                             int32_t partition, struct position *out,
                             bool *found, struct err *e) MUST_CHECK;

#endif
