/*
 * patience.h - how long a call that waits on the network may take.
 *
 * No call waits without a limit. Long waits are cut into slices, so that a
 * process that is told to stop does not wait for a broker that never answers.
 */
#ifndef RELAY_BASE_PATIENCE_H
#define RELAY_BASE_PATIENCE_H

#include <stdatomic.h>
#include <stdint.h>

/* When the waiter was told to stop (clock_ms); 0: it was not. */
typedef atomic_llong stop_time;

struct patience {
    int64_t until_ms;         /* clock_ms at which it ends */
    const stop_time *stopped; /* or NULL */
    int64_t grace_ms;         /* it ends so long after *stopped */
};

/* Patience for `timeout_ms` from now, but only grace_ms once told to stop. */
struct patience patience_of(int64_t timeout_ms, const stop_time *stopped,
                            int64_t grace_ms);

/* What is left in milliseconds, at most `slice_ms`; 0 when it has ended. */
int patience_left(const struct patience *p, int slice_ms);

#endif
