/*
 * plan.h - which topics go where, at one moment. Made by topic discovery
 * (sync/topics.c), handed to every lane, never changed after that: it is
 * shared by reference count.
 */
#ifndef RELAY_LANE_PLAN_H
#define RELAY_LANE_PLAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plan_topic {
    char *name;
    char *target;
    int32_t partitions;        /* of the source */
    int32_t target_partitions; /* 0: the target topic does not exist yet */
    bool target_made;          /* just now: it did not exist before */
    int64_t *stop_at; /* --until-end: end offset a partition; or NULL */
    char *blocked;    /* why it can't be copied, and the next action; or NULL */
};

struct plan {
    atomic_int references;
    struct plan_topic *topics; /* sorted by name */
    size_t count;
    size_t waiting; /* partitions that miss their target partition */
    char rules[16]; /* hash of the rules it was made by */
};

struct plan *plan_new(void);
struct plan *plan_hold(struct plan *plan);
/* Gives one reference back and nulls; NULL inside is allowed. */
void plan_release(struct plan **plan);

/* NULL: not in the plan. */
const struct plan_topic *plan_find(const struct plan *plan, const char *name);

#endif
