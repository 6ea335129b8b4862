/*
 * entries.h - positions out of their lanes: as commands list, export, import
 * and move them. One thread.
 */
#ifndef RELAY_LANE_ENTRIES_H
#define RELAY_LANE_ENTRIES_H

#include "relay/base/err.h"
#include "relay/lane/position.h"
#include "relay/lane/state.h"

struct entry {
    char *topic;
    int32_t partition;
    struct position position;
    const struct state_value *raw; /* the record; borrowed, or NULL */
};

struct entries {
    struct entry *items;
    size_t count, capacity;
};

/* A new one at the end, with an empty position. */
struct entry *entries_add(struct entries *entries, const char *topic,
                          int32_t partition);

/* Every position of a lane; `raw` is borrowed from the state. ERR_STATE: one
 * can't be read. */
enum err_kind entries_add_state(struct entries *entries, const struct state *s,
                                struct err *e) MUST_CHECK;

/* By topic and partition. */
void entries_sort(struct entries *entries);

/* NULL: there is none. Only after entries_sort. */
struct entry *entries_find(const struct entries *entries, const char *topic,
                           int32_t partition);

void entries_free(struct entries *entries);

#endif
