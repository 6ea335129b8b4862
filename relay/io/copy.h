/*
 * copy.h - the hot path: records from the source to the sink.
 *
 * This is all that a lane sees of records. Another engine (whole record
 * batches) would offer the same calls. One lane, one copy, one thread.
 */
#ifndef RELAY_IO_COPY_H
#define RELAY_IO_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "relay/base/err.h"
#include "relay/io/sink.h"
#include "relay/io/source.h"

struct copy;

/* Both ends are borrowed; close the copy before them. */
struct copy *copy_open(struct source *source, struct sink *sink);

/* Gives back what was read of a stream but not handed over. Whoever stops a
 * stream to start it elsewhere, or after records were left out, must do so:
 * what is left here would be taken for what comes next. */
void copy_forget(struct copy *copy, const struct stream *stream);

/* Gives back what was read but not handed over. Nulls. */
void copy_close(struct copy **copy);

struct copy_limits {
    int64_t interval_ms;      /* return so long after the first record moved */
    int64_t idle_ms;          /* return when none has come for so long */
    int64_t bytes;            /* return when so many have been handed over since
                                 copy_reset */
    const stop_time *stopped; /* return soon once it is set; or NULL */
};

/* Moves records until a limit is reached. Streams may stop (fault set) on the
 * way; the others go on. ERR_NONE: look at the streams; any other kind: this
 * copy's source or sink is of no more use. */
enum err_kind copy_run(struct copy *copy, const struct copy_limits *limits,
                       struct err *e) MUST_CHECK;

/* The lane has committed: counting begins anew. */
void copy_reset(struct copy *copy);

#endif
