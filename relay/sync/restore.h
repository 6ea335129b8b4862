/*
 * restore.h - `offsets import`: positions back to where they were exported
 * from, or into a generation made anew when its topics are gone.
 * Blocks on the network: a command.
 */
#ifndef RELAY_SYNC_RESTORE_H
#define RELAY_SYNC_RESTORE_H

#include "config/config.h"
#include "relay/base/err.h"
#include "relay/base/patience.h"
#include "relay/io/admin.h"
#include "relay/lane/export.h"

enum restored {
    RESTORED_NOT,      /* not written (yet) */
    RESTORED_SAME,     /* stood there already */
    RESTORED_NEW,      /* there was none */
    RESTORED_REPLACED, /* another one stood there */
};

struct restore {
    const struct config *cfg;
    struct admin *target;
    const char *source_id;
    struct export *from; /* changed: what is written of each position */
    const char *reason;  /* kept in each record that is written */
    bool force;          /* replace other positions; copy records again */

    bool made_anew;         /* the generation was */
    int generation;         /* that they are in */
    enum restored *outcome; /* one for each position; the caller frees */
    int64_t *before;        /* what stood there, or -1; the caller frees */
};

/* ERR_STATE: they are not this relay's, or others stand there, or they are too
 * old: nothing is changed. Another error may come half way: `outcome` tells. */
enum err_kind restore_run(struct restore *r, const struct patience *patience,
                          struct err *e) MUST_CHECK;

#endif
