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

/* What happens to a record that the target does not take. */
enum divert {
    DIVERT_SKIP,        /* passed over */
    DIVERT_DEAD_LETTER, /* goes to the dead-letter topic, whole */
    DIVERT_CUT,         /* the same, cut: whole it is too large even there */
};

struct stream {
    /* Set by the lane before copy_start; borrowed strings. */
    const char *topic;
    const char *target_topic;
    int32_t partition;
    int32_t target_partition;
    int64_t stop_at;   /* read no further than this offset; -1: no end */
    int64_t hold_at;   /* wait at this offset for a commit; -1: nowhere */
    int64_t divert_at; /* the record at this offset is diverted; -1: none */
    enum divert divert;
    const char *divert_why; /* one word, for its headers; borrowed */
    int64_t cut_bytes;      /* DIVERT_CUT: what fits */
    void *owner;            /* the lane's own record of it */

    /* Moved by copy_run. */
    int64_t next;         /* everything before it is with the sink */
    struct mark anchor;   /* of the last record read */
    bool at_end;          /* the log's end was reached since the last record */
    bool moved;           /* `next` went on since the lane last cleared this */
    struct segments tail; /* what was delivered, and where */
    int64_t records, bytes; /* handed to the sink, since the start */
    enum stream_fault fault;
    char fault_text[160];
    /* STREAM_REFUSED: one of these offsets at least is meant, */
    int64_t fault_first, fault_last;
    char fault_why[40];  /* for this (librdkafka's name of the error), */
    bool too_large;      /* which is its size, */
    bool letter_refused; /* as a dead letter */
    int64_t diverted;    /* records, since the lane last cleared this */

    /* Private to relay/io. */
    uint32_t index;
    bool started;
    int64_t watch_at; /* the least of these three, or INT64_MAX */
    void *sink_topic;
    void *source_topic;
};

/* Sets all three. */
void stream_watch(struct stream *s, int64_t stop_at, int64_t hold_at,
                  int64_t divert_at);

#endif
