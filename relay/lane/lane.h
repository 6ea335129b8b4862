/*
 * lane.h - one lane: a fixed share of the source partitions, carried in order.
 *
 * A lane is one thread that owns one source and one sink. Taken through a
 * claim on the target, crash-only: any error but a retriable time-out throws
 * source and sink away, and the lane is taken again after a back-off.
 *
 * Threads: all calls belong to the loop's thread; lane_status may be called
 * from any. `changed` is called on the lane's thread and must not block.
 */
#ifndef RELAY_LANE_LANE_H
#define RELAY_LANE_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "relay/base/err.h"
#include "relay/lane/plan.h"
#include "relay/lane/position.h"

struct lane;

enum lane_state {
    LANE_STARTING, /* reads its state, claims, checks anchors */
    LANE_RUNNING,
    LANE_BACKOFF, /* waits before it is taken again */
    LANE_PARKED,  /* another process has it */
    LANE_DONE,    /* --until-end: the end is reached and committed */
    LANE_REFUSED, /* its state can't be used: the process must end */
    LANE_STOPPED, /* the thread has ended */
};

const char *lane_state_name(enum lane_state state);

/* What is counted since the start: names of later metrics. */
enum lane_event {
    LANE_GAPS,            /* found, whatever on_gap says */
    LANE_LOST,            /* records known to be in them */
    LANE_REFUSED_RECORDS, /* singled out */
    LANE_SKIPPED,         /* of these */
    LANE_DEAD_LETTERS,    /* of these */
    LANE_EVENTS,
};

/* Why a lane calls: a change that the loop acts on. */
typedef void lane_changed_fn(void *arg);

struct lane_settings {
    const struct config *cfg;        /* borrowed, outlives the lane */
    const struct identity *identity; /* borrowed; what the state must say */
    const char *host;                /* borrowed; for claims */
    int32_t index;
    bool until_end;
    lane_changed_fn *changed;
    void *arg;
};

struct lane_status {
    enum lane_state state;
    int64_t records, bytes;  /* copied and committed, since the start */
    int64_t lag;             /* records to the ends known; -1: not known yet */
    int64_t partitions;      /* of this lane in the plan */
    int64_t halted, waiting; /* of these */
    int64_t commits, restarts;
    int64_t unverified; /* partitions whose log nobody can tell is the same */
    int64_t held;       /* partitions behind an open transaction of somebody */
    int64_t held_ms;    /* for so long, the oldest of them */
    int64_t events[LANE_EVENTS];
};

/* Starts the thread. The plan may come later; until then the lane only
 * claims. */
struct lane *lane_start(const struct lane_settings *settings);

/* A newer plan; the lane takes a reference of its own. */
void lane_set_plan(struct lane *lane, struct plan *plan);

/* The group has given the lane to this process (again): a parked one tries
 * to take it. */
void lane_granted(struct lane *lane);

/* Asks it to commit what it holds and end; returns at once. */
void lane_stop(struct lane *lane);

void lane_status(struct lane *lane, struct lane_status *out);

/* The error behind LANE_REFUSED. */
void lane_error(struct lane *lane, struct err *out);

/* Waits for the thread and frees; nulls. Only after lane_stop. */
void lane_free(struct lane **lane);

#endif
