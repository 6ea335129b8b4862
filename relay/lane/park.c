/*
 * park.c - a lane that somebody else has taken: it waits, and follows its log.
 *
 * A process that took it keeps it, and the group decides who that is: the wait
 * ends when it grants the lane anew. A command that took it (`offsets set`)
 * ends with a claim marked `released`: then the lane is taken again at once.
 * Should the one who took it be gone before either could tell, nothing would:
 * so after a while the lane is tried again, which does no harm but a fence.
 */
#include <stdlib.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/lane/internal.h"

enum {
    PARK_LOOK_MS = 30000,  /* a parked lane looks whether it must take over */
    FRESH_GRANT_MS = 5000, /* so new a grant may be newer than the fence */
    SLICE_MS = 500,        /* how soon it sees a grant while it reads */
};

/* A grant from long before the fence is not one to take it back. */
static void forget_old_grant(struct lane *lane)
{
    pthread_mutex_lock(&lane->mutex);
    if (clock_ms() - lane->granted_ms > FRESH_GRANT_MS) {
        atomic_fetch_and(&lane->mail, ~(unsigned)MAIL_GRANTED);
    }
    pthread_mutex_unlock(&lane->mutex);
}

static bool is_granted(const struct lane *lane)
{
    return (atomic_load(&lane->mail) & MAIL_GRANTED) != 0;
}

/* True when the log says that the lane is free. ERR_RETRY of the reading: not
 * yet. Anything else that goes wrong with it, the next session tells better. */
static bool follow(struct lane *lane, int64_t until_ms)
{
    enum err_kind rc = ERR_RETRY;
    struct err e = {0};

    state_init(&lane->stored, lane->set.index);
    if (reader_open(&lane->target_reader, &lane->set.cfg->target,
                    READ_COMMITTED, &e) != ERR_NONE ||
        reader_open_log(lane->target_reader, lane->offsets_topic,
                        lane->set.index, &e) != ERR_NONE) {
        rc = e.kind;
    }
    while (rc == ERR_RETRY && !lane_stopping(lane) && !is_granted(lane) &&
           clock_ms() < until_ms) {
        const struct patience slice = patience_of(SLICE_MS, &lane->stopped, 0);

        rc = state_read_until_free(&lane->stored, lane->target_reader, &slice,
                                   &e);
    }
    reader_close(&lane->target_reader);
    state_free(&lane->stored);
    return rc == ERR_NONE;
}

void lane_park(struct lane *lane, const struct err *e)
{
    const int64_t until_ms =
        clock_ms() + PARK_LOOK_MS + random() % PARK_LOOK_MS;

    log_write(LOG_WARN, LOG_LANE(lane->set.index),
              "another process has taken this lane (%s); waiting until it is "
              "free, or the group gives it back",
              e->text);
    lane_enter(lane, LANE_PARKED);
    forget_old_grant(lane);
    if (!follow(lane, until_ms)) {
        lane_wait(lane, MAIL_GRANTED, until_ms - clock_ms());
    }
}
