/*
 * segment.h - which source offsets stand at which target offsets.
 *
 * A segment says: source offsets s0 .. s0+n-1 stand, in order, at target
 * offsets t0 .. t0+n-1 of one target partition. A list of them, in source
 * order, is the tail of a partition's history. One thread.
 */
#ifndef RELAY_IO_SEGMENT_H
#define RELAY_IO_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

struct segment {
    int64_t source;    /* s0 */
    int64_t target;    /* t0 */
    int64_t count;     /* n, at least 1 */
    int32_t partition; /* of the target topic */
};

struct segments {
    struct segment *items;
    size_t count, capacity;
};

/* Adds one record; it lengthens the newest segment when both offsets follow
 * on. -1 when the source offset, or the target offset in the same partition, is
 * not above every earlier one: deliveries came out of order, or the target's
 * topic was made anew; the caller must not commit. */
int segments_add(struct segments *s, int64_t source, int32_t partition,
                 int64_t target);

/* Adds a whole segment (one read back from a record); same rule. */
int segments_append(struct segments *s, const struct segment *segment);

/* Forgets the oldest n. */
void segments_drop(struct segments *s, size_t n);

void segments_free(struct segments *s);

#endif
