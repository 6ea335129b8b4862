/*
 * crew.h - the lanes that run in this process: those that the group granted.
 *
 * Starting and stopping a lane takes a while, and the group may change its mind
 * meanwhile: crew_reconcile brings what runs one step nearer to what is wanted,
 * whenever something has changed. The loop's thread.
 */
#ifndef RELAY_CREW_H
#define RELAY_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/lane/lane.h"

enum { LANES_MAX = 256 };

struct crew {
    struct lane_settings lane; /* of every lane but .index; set before use */
    struct plan *plan;         /* newest, owned; NULL: none yet */
    struct lane *lanes[LANES_MAX];
    bool granted[LANES_MAX], stop_sent[LANES_MAX];
    bool told;    /* the group has said something */
    bool leaving; /* all lanes are to stop, none to start */
};

/* All lanes of this process together. */
struct totals {
    int64_t records, bytes, lag, partitions, halted, waiting, commits, restarts;
    int64_t unverified, held, held_ms;
    int64_t events[LANE_EVENTS];
    bool lag_known;
    int lanes;
    int by_state[LANE_STOPPED + 1];
};

/* The group's newest word. Numbers from `lanes_max` on are no lanes. */
void crew_grant(struct crew *crew, const int32_t *lanes, size_t count,
                int64_t lanes_max);

/* Takes the plan's reference over and hands the plan to every lane. */
void crew_set_plan(struct crew *crew, struct plan *plan);

/* Starts, stops and frees lanes. What freed lanes have copied is added to
 * *gone. */
void crew_reconcile(struct crew *crew, struct totals *gone);

struct totals crew_totals(struct crew *crew);

/* The first lane whose state can't be used; -1: none. *e is why. */
int32_t crew_refused(struct crew *crew, struct err *e);

#endif
