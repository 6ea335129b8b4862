/*
 * patience.c - see patience.h.
 */
#include "relay/base/patience.h"

#include <stddef.h>

#include "relay/base/clock.h"

struct patience patience_of(int64_t timeout_ms, const stop_time *stopped,
                            int64_t grace_ms)
{
    return (struct patience){.until_ms = clock_ms() + timeout_ms,
                             .stopped = stopped,
                             .grace_ms = grace_ms};
}

int patience_left(const struct patience *p, int slice_ms)
{
    const int64_t stopped = p->stopped != NULL ? atomic_load(p->stopped) : 0;
    const int64_t now = clock_ms();
    int64_t left = p->until_ms - now;

    if (stopped != 0 && stopped + p->grace_ms - now < left) {
        left = stopped + p->grace_ms - now;
    }
    if (left <= 0) {
        return 0;
    }
    return left < slice_ms ? (int)left : slice_ms;
}
