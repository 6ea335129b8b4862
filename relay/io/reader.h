/*
 * reader.h - reads single partitions outside the hot path: the relay's own
 * logs from their beginning, and single records for their fingerprints.
 * One thread.
 */
#ifndef RELAY_IO_READER_H
#define RELAY_IO_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "relay/base/err.h"
#include "relay/base/patience.h"
#include "relay/io/admin.h"
#include "relay/io/stream.h"

struct reader;

/* Logs are read committed; so are single records of the source. Those of the
 * target may be hidden by somebody else's open transaction: uncommitted. */
enum err_kind reader_open(struct reader **out,
                          const struct cluster_config *cluster,
                          enum isolation isolation, struct err *e) MUST_CHECK;
void reader_close(struct reader **reader);

/* One record of a log. Bytes are borrowed for the call; value NULL: a
 * tombstone. key is never NULL (a record without key gives key_len 0). */
struct log_record {
    int64_t offset;
    const char *key;
    size_t key_len;
    const char *value;
    size_t value_len;
};

enum log_verdict { LOG_GO_ON, LOG_ENOUGH, LOG_BAD };

/* Looks at a record; LOG_BAD with *e set ends the reading. */
typedef enum log_verdict log_record_fn(void *arg, const struct log_record *r,
                                       struct err *e);

/* Reads one log, from its beginning; a reader holds one log at a time. */
enum err_kind reader_open_log(struct reader *reader, const char *topic,
                              int32_t partition, struct err *e) MUST_CHECK;

/* Goes on where the last call stopped, until the log's end (last stable
 * offset) or, with `past_end`, until `see` says LOG_ENOUGH: records that come
 * later, or are hidden by an open transaction, are waited for.
 * ERR_RETRY: patience ended first. */
enum err_kind reader_read_log(struct reader *reader, bool past_end,
                              log_record_fn *see, void *arg,
                              const struct patience *patience,
                              struct err *e) MUST_CHECK;

/* What stands at, or first after, an offset. */
struct lookup {
    const char *topic; /* borrowed */
    int32_t partition;
    int64_t offset;    /* where to look */
    bool done;         /* the rest is set */
    bool missing;      /* topic or partition unknown, or offset outside */
    struct mark found; /* .offset -1: the end comes first */
    bool broker_time;  /* its timestamp was set by the broker */
};

/* Looks all of them up, side by side; those that patience leaves undone stay
 * so (ERR_RETRY). */
enum err_kind reader_look_up(struct reader *reader, struct lookup *lookups,
                             size_t count, const struct patience *patience,
                             struct err *e) MUST_CHECK;

#endif
