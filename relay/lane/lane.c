/*
 * lane.c - the thread of a lane: its mailbox, its states, its back-off.
 *
 *     STARTING -> RUNNING -> DONE            (--until-end)
 *        ^  \        |
 *        |   \       v
 *     BACKOFF <----- error      PARKED <---- fenced by a newer claim
 *        REFUSED <-- unusable state
 *     any -> STOPPED             told to stop
 *
 * See internal.h for the flow of records, session.c for taking and running.
 */
#include "relay/lane/lane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "relay/base/backoff.h"
#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/lane/internal.h"

enum {
    BACKOFF_MIN_MS = 200,
    BACKOFF_MAX_MS = 10000,
    HEALTHY_MS = 5000, /* running so long starts the back-off anew */
};

static const char *const state_names[] = {
    "starting", "running", "backoff", "parked", "done", "refused", "stopped",
};

const char *lane_state_name(enum lane_state state)
{
    return state_names[state];
}

void lane_enter(struct lane *lane, enum lane_state state)
{
    enum lane_state before = atomic_exchange(&lane->state, (int)state);

    if (before != state) {
        log_write(LOG_DEBUG, LOG_LANE(lane->set.index), "%s -> %s",
                  state_names[before], state_names[state]);
        lane->set.changed(lane->set.arg);
    }
}

void lane_count(struct lane *lane, enum lane_event event, int64_t n)
{
    atomic_fetch_add(&lane->events[event], n);
}

int64_t lane_bytes(const struct lane *lane)
{
    const struct delivery_config *d = &lane->set.cfg->delivery;

    return d->buffer_memory / d->lanes * 3 / 8;
}

bool lane_stopping(const struct lane *lane)
{
    return atomic_load(&lane->stopped) != 0;
}

bool lane_take_plan(struct lane *lane)
{
    bool taken = false;

    if ((atomic_load(&lane->mail) & MAIL_PLAN) == 0) {
        return false;
    }
    pthread_mutex_lock(&lane->mutex);
    if (lane->new_plan != NULL) {
        plan_release(&lane->plan);
        lane->plan = lane->new_plan; /* the reference moves with it */
        lane->new_plan = NULL;
        taken = true;
    }
    atomic_fetch_and(&lane->mail, ~(unsigned)MAIL_PLAN);
    pthread_mutex_unlock(&lane->mutex);
    return taken;
}

void lane_wait_plan(struct lane *lane)
{
    pthread_mutex_lock(&lane->mutex);
    while (!lane_stopping(lane) && lane->plan == NULL &&
           lane->new_plan == NULL) {
        pthread_cond_wait(&lane->cond, &lane->mutex);
    }
    pthread_mutex_unlock(&lane->mutex);
    lane_take_plan(lane);
}

bool lane_wait(struct lane *lane, unsigned mail, int64_t timeout_ms)
{
    struct timespec until;
    bool came;

    timeout_ms = timeout_ms > 0 ? timeout_ms : 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&lane->mutex);
    while (!lane_stopping(lane) && (atomic_load(&lane->mail) & mail) == 0 &&
           pthread_cond_timedwait(&lane->cond, &lane->mutex, &until) !=
               ETIMEDOUT) {
    }
    came = (atomic_load(&lane->mail) & mail) != 0;
    atomic_fetch_and(&lane->mail, ~mail);
    pthread_mutex_unlock(&lane->mutex);
    return came;
}

static void back_off(struct lane *lane, unsigned failures, const struct err *e)
{
    const int64_t ms = backoff_ms(failures, BACKOFF_MIN_MS, BACKOFF_MAX_MS);

    log_write(backoff_is_news(failures) ? LOG_WARN : LOG_DEBUG,
              LOG_LANE(lane->set.index),
              "%s; taking the lane again in %lld ms (attempt %u)", e->text,
              (long long)ms, failures);
    lane_enter(lane, LANE_BACKOFF);
    lane_wait(lane, 0, ms);
}

static void refuse(struct lane *lane, const struct err *e)
{
    pthread_mutex_lock(&lane->mutex);
    lane->refused = *e;
    pthread_mutex_unlock(&lane->mutex);
    lane_enter(lane, LANE_REFUSED);
    lane_wait(lane, 0, INT32_MAX);
}

static void *lane_main(void *arg)
{
    struct lane *lane = arg;
    unsigned failures = 0;
    struct err e = {0};

    while (!lane_stopping(lane)) {
        lane_enter(lane, LANE_STARTING);
        lane->running_ms = 0;
        lane->at_once = false;
        enum err_kind rc = session_run(lane, &e);
        if (lane_stopping(lane)) {
            break;
        }
        atomic_fetch_add(&lane->restarts, rc != ERR_NONE);
        if (lane->running_ms > 0 &&
            clock_ms() - lane->running_ms >= HEALTHY_MS) {
            failures = 0;
        }
        if (rc == ERR_NONE) {
            lane_enter(lane, LANE_DONE);
            lane_wait(lane, 0, INT32_MAX);
        } else if (rc == ERR_STATE || rc == ERR_CONFIG) {
            refuse(lane, &e);
        } else if (rc == ERR_FENCED) {
            lane_park(lane, &e);
        } else if (lane->at_once) {
            log_write(LOG_DEBUG, LOG_LANE(lane->set.index),
                      "%s; taking the lane again at once", e.text);
        } else {
            back_off(lane, ++failures, &e);
        }
    }
    lane_enter(lane, LANE_STOPPED);
    return NULL;
}

void lane_init(struct lane *lane, const struct lane_settings *settings)
{
    const char *relay = settings->cfg->relay;
    const int generation = settings->identity->generation;
    pthread_condattr_t monotonic;

    lane->set = *settings;
    name_offsets_topic(lane->offsets_topic, relay, generation);
    name_map_topic(lane->map_topic, relay, generation);
    name_group(lane->group, relay);
    name_transactional_id(lane->transactional_id, relay, generation,
                          settings->index);
    lane->by_key = table_new();
    atomic_init(&lane->lag, -1);
    pthread_mutex_init(&lane->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&lane->cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

struct lane *lane_start(const struct lane_settings *settings)
{
    struct lane *lane = mem_calloc(1, sizeof(*lane));

    lane_init(lane, settings);
    VERIFY(pthread_create(&lane->thread, NULL, lane_main, lane) == 0);
    return lane;
}

static void post(struct lane *lane, unsigned mail)
{
    atomic_fetch_or(&lane->mail, mail);
    pthread_cond_signal(&lane->cond);
}

void lane_set_plan(struct lane *lane, struct plan *plan)
{
    pthread_mutex_lock(&lane->mutex);
    plan_release(&lane->new_plan);
    lane->new_plan = plan_hold(plan);
    post(lane, MAIL_PLAN);
    pthread_mutex_unlock(&lane->mutex);
}

void lane_granted(struct lane *lane)
{
    pthread_mutex_lock(&lane->mutex);
    lane->granted_ms = clock_ms();
    post(lane, MAIL_GRANTED);
    pthread_mutex_unlock(&lane->mutex);
}

void lane_stop(struct lane *lane)
{
    pthread_mutex_lock(&lane->mutex);
    atomic_store(&lane->stopped, clock_ms());
    pthread_cond_signal(&lane->cond);
    pthread_mutex_unlock(&lane->mutex);
}

void lane_status(struct lane *lane, struct lane_status *out)
{
    *out = (struct lane_status){
        .state = (enum lane_state)atomic_load(&lane->state),
        .records = atomic_load(&lane->records),
        .bytes = atomic_load(&lane->bytes),
        .lag = atomic_load(&lane->lag),
        .partitions = atomic_load(&lane->partitions),
        .halted = atomic_load(&lane->halted),
        .waiting = atomic_load(&lane->waiting),
        .commits = atomic_load(&lane->commits),
        .restarts = atomic_load(&lane->restarts),
        .unverified = atomic_load(&lane->unverified),
        .held = atomic_load(&lane->held),
        .held_ms = atomic_load(&lane->held_ms),
    };
    for (int i = 0; i < LANE_EVENTS; i++) {
        out->events[i] = atomic_load(&lane->events[i]);
    }
}

void lane_error(struct lane *lane, struct err *out)
{
    pthread_mutex_lock(&lane->mutex);
    *out = lane->refused;
    pthread_mutex_unlock(&lane->mutex);
}

void lane_clear(struct lane *l)
{
    for (size_t i = 0; i < l->part_count; i++) {
        free(l->parts[i]->topic);
        free(l->parts[i]->target);
        free(l->parts[i]->key);
        free(l->parts[i]);
    }
    free(l->parts);
    table_free(&l->by_key, NULL);
    plan_release(&l->plan);
    plan_release(&l->new_plan);
    buf_free(&l->scratch);
    pthread_mutex_destroy(&l->mutex);
    pthread_cond_destroy(&l->cond);
}

void lane_free(struct lane **lane)
{
    if (*lane == NULL) {
        return;
    }
    pthread_join((*lane)->thread, NULL);
    lane_clear(*lane);
    free(*lane);
    *lane = NULL;
}
