/*
 * relay.h - the supervisor: one relay, as one process sees it.
 *
 * The main thread's loop: signals, timers, group membership, and the lanes'
 * threads. What blocks on the network (topic discovery) runs on one worker.
 */
#ifndef RELAY_RELAY_H
#define RELAY_RELAY_H

#include <stdbool.h>

#include "config/config.h"

struct relay_options {
    bool until_end; /* copy up to the ends seen at the start, then return */
};

/* Runs until a signal, --until-end's end, or state that can't be used; returns
 * the process's exit code. Main thread; call once. */
int relay_run(const struct config *cfg, const struct relay_options *options);

#endif
