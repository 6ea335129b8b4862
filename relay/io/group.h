/*
 * group.h - membership: which lanes the group gives to this process.
 *
 * The group's protocol only says who is alive and spreads the lanes; that two
 * processes never both write a lane is the transactional id's business. So
 * nothing is fetched here, and nothing stops when partitions are revoked: a
 * lane goes on until a new assignment says that it has moved.
 * Threads: the loop's, callback included; no call blocks but group_close.
 */
#ifndef RELAY_IO_GROUP_H
#define RELAY_IO_GROUP_H

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "relay/base/err.h"

struct group;

/* A new assignment; partitions of the topic = lanes. May be the same again. */
typedef void group_assigned_fn(void *arg, const int32_t *lanes, size_t count);

/* There is news: group_poll soon. On any thread; must not block. */
typedef void group_wake_fn(void *arg);

/* Joins `id` by subscribing to `topic` on the cluster. */
enum err_kind group_open(struct group **out,
                         const struct cluster_config *cluster, const char *id,
                         const char *topic, group_assigned_fn *assigned,
                         group_wake_fn *wake, void *arg,
                         struct err *e) MUST_CHECK;

/* Serves what has come; call it after a wake, and now and then.
 * *error is set to a problem worth telling, or left alone. */
void group_poll(struct group *group, struct err *error);

/* Leaves, so that others take over at once; at most `timeout_ms`. Nulls. */
void group_close(struct group **group, int timeout_ms);

#endif
