/*
 * edit.c - see edit.h.
 */
#include "relay/lane/edit.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "relay/base/mem.h"
#include "relay/lane/internal.h"

enum {
    TRIES = 4, /* two that take a lane at once fence each other */
    NAP_MS = 200,
    FLUSH_EVERY = 1000, /* records put: a bound of what is in flight */
};

struct edit {
    struct lane lane; /* without a thread */
    char host[256];
    int puts;
};

static void on_changed(void *arg)
{
    (void)arg;
}

static struct edit *edit_new(const struct edit_settings *settings)
{
    struct edit *edit = mem_calloc(1, sizeof(*edit));
    const struct lane_settings lane = {
        .cfg = settings->cfg,
        .identity = settings->identity,
        .host = edit->host,
        .index = settings->lane,
        .changed = on_changed,
    };

    gethostname(edit->host, sizeof(edit->host) - 1);
    lane_init(&edit->lane, &lane);
    edit->lane.command = settings->command;
    edit->lane.rescaled_too = settings->rescaled_too;
    return edit;
}

enum err_kind edit_open(struct edit **out, const struct edit_settings *settings,
                        struct err *e)
{
    const struct timespec nap = {.tv_nsec = NAP_MS * 1000000L};
    struct edit *edit = edit_new(settings);
    enum err_kind rc = ERR_RETRY;

    for (int tries = 0; (rc == ERR_RETRY || rc == ERR_FENCED) && tries < TRIES;
         tries++) {
        if (tries > 0) {
            session_close(&edit->lane);
            nanosleep(&nap, NULL);
        }
        e->kind = ERR_NONE;
        rc = session_take(&edit->lane, e);
    }
    if (rc != ERR_NONE) {
        edit_close(&edit);
        err_prefix(e, "lane %d", (int)settings->lane);
        return rc;
    }
    *out = edit;
    return ERR_NONE;
}

void edit_close(struct edit **edit)
{
    if (*edit == NULL) {
        return;
    }
    session_close(&(*edit)->lane);
    lane_clear(&(*edit)->lane);
    free(*edit);
    *edit = NULL;
}

const struct state *edit_state(const struct edit *edit)
{
    return &edit->lane.stored;
}

struct sink *edit_sink(struct edit *edit)
{
    return edit->lane.sink;
}

enum err_kind edit_put(struct edit *edit, const char *key, const void *value,
                       size_t len, struct err *e)
{
    const struct patience patience = patience_of(COMMIT_MS, NULL, 0);
    struct lane *lane = &edit->lane;

    if (sink_put(lane->sink, lane->offsets_topic, lane->set.index, key, value,
                 len, NULL, e) != ERR_NONE) {
        return e->kind;
    }
    return ++edit->puts % FLUSH_EVERY == 0
               ? sink_flush(lane->sink, &patience, e)
               : ERR_NONE;
}

enum err_kind edit_put_position(struct edit *edit, const char *topic,
                                int32_t partition, struct position *p,
                                struct err *e)
{
    struct buf key = {0}, value = {0};
    enum err_kind rc;

    snprintf(p->claim, sizeof(p->claim), "%s", edit->lane.nonce);
    position_key(&key, topic, partition);
    buf_add(&key, "", 1);
    position_encode(&value, p);
    rc = edit_put(edit, key.data, value.data, value.len, e);
    buf_free(&key);
    buf_free(&value);
    return rc;
}

enum err_kind edit_commit(struct edit *edit, enum edit_end end, struct err *e)
{
    const struct patience patience = patience_of(COMMIT_MS, NULL, 0);
    struct lane *lane = &edit->lane;

    if (end == EDIT_RELEASE) {
        lane->claim.released = true;
        if (commit_put_claim(lane, e) != ERR_NONE) {
            return e->kind;
        }
    }
    if (sink_commit(lane->sink, &patience, e) == ERR_RETRY) {
        return err_prefix(e,
                          "lane %d: whether it was committed is not known; "
                          "look with `offsets CONFIG show` before you repeat "
                          "this",
                          (int)lane->set.index);
    }
    if (e->kind != ERR_NONE) {
        return err_prefix(e, "lane %d", (int)lane->set.index);
    }
    if (end == EDIT_RELEASE) {
        return ERR_NONE; /* a late request finds no transaction of ours */
    }
    if (sink_is_ambiguous(lane->sink)) {
        return err_set(e, ERR_RETRY,
                       "lane %d: a transaction request was sent twice or not "
                       "answered",
                       (int)lane->set.index);
    }
    return sink_begin(lane->sink, e);
}
