/*
 * stream.h - one source partition on its way to one target partition.
 *
 * The lane owns a stream and reads it between two calls of copy_run; copy, the
 * source and the sink move it, on the same thread. Nothing here knows records:
 * that is what lets another engine stand below the same lane.
 */
#ifndef RELAY_IO_STREAM_H
#define RELAY_IO_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "relay/io/segment.h"

/* The fingerprint of one record, to find out later whether the log is still
 * the one that it was read from. */
struct mark {
    int64_t offset;       /* -1: none */
    int64_t timestamp_ms; /* -1: not known, or set by the broker */
    uint32_t crc;         /* CRC-32C of the key's, then the value's bytes */
};

#define MARK_NONE ((struct mark){.offset = -1, .timestamp_ms = -1})

enum stream_fault {
    STREAM_OK = 0,
    STREAM_OUT_OF_RANGE, /* the log does not hold the next offset any more */
    STREAM_MISSING,      /* the topic or the partition is gone */
    STREAM_DENIED,       /* not allowed to read */
    STREAM_CORRUPT,      /* the broker's answer cannot be read */
    STREAM_REFUSED,      /* the target refuses a record of it for good */
};

struct stream {
    /* Set by the lane before copy_start; borrowed strings. */
    const char *topic;
    const char *target_topic;
    int32_t partition;
    int32_t target_partition;
    int64_t stop_at; /* read no further than this offset; -1: no end */
    void *owner;     /* the lane's own record of it */

    /* Moved by copy_run. */
    int64_t next;         /* everything before it is with the sink */
    struct mark anchor;   /* of the last record read */
    bool at_end;          /* the log's end was reached since the last record */
    bool moved;           /* `next` went on since the lane last cleared this */
    struct segments tail; /* what was delivered, and where */
    int64_t records, bytes; /* handed to the sink, since the start */
    enum stream_fault fault;
    char fault_text[160];
    int64_t fault_offset; /* STREAM_REFUSED: the first of the refused batch */
    bool too_large;       /* STREAM_REFUSED: for its size */

    /* Private to relay/io. */
    uint32_t index;
    bool started;
    void *sink_topic;
    void *source_topic;
};

#endif
