/*
 * admin.h - questions to a cluster, and topics made on it.
 *
 * Every call blocks until it is answered or patience ends: not for the loop's
 * thread. One admin, one thread at a time.
 */
#ifndef RELAY_IO_ADMIN_H
#define RELAY_IO_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "relay/base/err.h"
#include "relay/base/patience.h"

struct admin;

/* What "latest" means in admin_offsets: the last stable offset, or the high
 * watermark, which an open transaction of somebody else does not hold back. */
enum isolation { READ_COMMITTED, READ_UNCOMMITTED };

enum err_kind admin_open(struct admin **out,
                         const struct cluster_config *cluster,
                         enum isolation isolation, struct err *e) MUST_CHECK;
void admin_close(struct admin **admin);

struct topic_info {
    char *name;
    int32_t partitions;
};

struct topic_list {
    struct topic_info *items; /* sorted by name */
    size_t count;
    int brokers;
};

/* Every topic that this client may see. ERR_UNREACHABLE, ERR_DENIED. */
enum err_kind admin_topics(struct admin *admin, struct topic_list *out,
                           const struct patience *patience,
                           struct err *e) MUST_CHECK;
void topic_list_free(struct topic_list *list);
/* Partitions of a topic; 0: there is none. */
int32_t topic_list_partitions(const struct topic_list *list, const char *name);

/* The cluster's id; the caller frees. */
enum err_kind admin_cluster_id(struct admin *admin, char **out,
                               const struct patience *patience,
                               struct err *e) MUST_CHECK;

struct topic_wish {
    const char *name;
    int32_t partitions;
    int replication;            /* -1: the broker's default */
    const char *const *configs; /* name, value, ..., NULL; or NULL */
};

/* Creates topics, or grows existing ones to `partitions`. One that exists
 * already (or has as many already) is fine. The first failure is the error; the
 * others are still tried. */
enum err_kind admin_create(struct admin *admin, const struct topic_wish *wishes,
                           size_t count, const struct patience *patience,
                           struct err *e) MUST_CHECK;
enum err_kind admin_grow(struct admin *admin, const struct topic_wish *wishes,
                         size_t count, const struct patience *patience,
                         struct err *e) MUST_CHECK;

/* One config of a topic; the caller frees. */
enum err_kind admin_topic_config(struct admin *admin, const char *topic,
                                 const char *name, char **out,
                                 const struct patience *patience,
                                 struct err *e) MUST_CHECK;

/* Logical times of admin_offsets (the protocol's own numbers). */
enum { OFFSETS_LATEST = -1, OFFSETS_EARLIEST = -2 };

struct offset_query {
    const char *topic; /* borrowed */
    int32_t partition;
    int64_t time_ms; /* or OFFSETS_LATEST (see isolation) or
                        OFFSETS_EARLIEST (log start) */
    int64_t offset;  /* answer: of the first record at or after time_ms;
                        -1: there is none */
    bool unknown;    /* the topic or partition is gone, or may not be read */
};

/* All in one request a broker; where that fails for a topic, a request a topic,
 * so that one that is gone does not hide the others. */
enum err_kind admin_offsets(struct admin *admin, struct offset_query *queries,
                            size_t count, const struct patience *patience,
                            struct err *e) MUST_CHECK;

#endif
