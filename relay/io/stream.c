/*
 * stream.c - see stream.h.
 */
#include "relay/io/stream.h"

#include <stddef.h>

void stream_watch(struct stream *s, int64_t stop_at, int64_t hold_at,
                  int64_t divert_at)
{
    const int64_t at[] = {stop_at, hold_at, divert_at};

    s->stop_at = stop_at;
    s->hold_at = hold_at;
    s->divert_at = divert_at;
    s->watch_at = INT64_MAX;
    for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
        if (at[i] >= 0 && at[i] < s->watch_at) {
            s->watch_at = at[i];
        }
    }
}
