/*
 * export.h - all positions of a relay as one JSON text: what `offsets export`
 * gives and `offsets import` takes back. docs/offsets.md describes it.
 * What is read is untrusted. One thread.
 */
#ifndef RELAY_LANE_EXPORT_H
#define RELAY_LANE_EXPORT_H

#include "relay/base/buf.h"
#include "relay/base/err.h"
#include "relay/lane/entries.h"
#include "relay/lane/position.h"

enum {
    EXPORT_VERSION = 1,
    EXPORT_GENERATION_MAX = 500000, /* far below what rescales can reach */
    EXPORT_MAX_BYTES = 256 << 20,   /* a position has 4 KiB at most */
};

struct export
{
    char name[128]; /* of the relay */
    struct identity identity;
    char rules[16]; /* that all lanes had settled; "": none, or they differ */
    struct entries positions; /* sorted; with `raw` when they are written */
};

void export_encode(struct buf *out, const struct export *x);

/* ERR_STATE: not such a text, of a newer version, or a record in it can't be
 * used. export_free whatever it gives. */
enum err_kind export_decode(struct export *x, const char *data, size_t len,
                            struct err *e) MUST_CHECK;

void export_free(struct export *x);

#endif
