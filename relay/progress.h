/*
 * progress.h - what `run` tells about itself: a line every 10 s, or a live
 * block on a terminal. The loop's thread.
 */
#ifndef RELAY_PROGRESS_H
#define RELAY_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/crew.h"

struct progress {
    const char *source, *target;
    bool terminal;
    int64_t start_ms, last_ms;
    int64_t last_records, last_bytes;
    struct totals gone; /* of lanes that have moved away */
};

void progress_init(struct progress *p, const char *source, const char *target);

/* Every 10 s (a log line) or 0.5 s (a terminal's block). */
int64_t progress_interval_ms(const struct progress *p);
void progress_show(struct progress *p, const struct totals *t);

/* The last line, when the relay ends. */
void progress_end(struct progress *p, const struct totals *t);

#endif
