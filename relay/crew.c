/*
 * crew.c - see crew.h.
 */
#include "relay/crew.h"

#include <string.h>

#include "relay/base/log.h"

static void log_granted(const struct crew *crew)
{
    char text[LANES_MAX * 4 + 1] = "";
    size_t len = 0;

    for (int k = 0; k < LANES_MAX; k++) {
        if (crew->granted[k]) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, " %d", k);
        }
    }
    log_write(LOG_INFO, NULL, "lanes of this process:%s",
              len > 0 ? text : " none; standing by");
}

void crew_grant(struct crew *crew, const int32_t *lanes, size_t count,
                int64_t lanes_max)
{
    crew->told = true;
    memset(crew->granted, 0, sizeof(crew->granted));
    for (size_t i = 0; i < count; i++) {
        int32_t k = lanes[i];

        if (k >= 0 && k < lanes_max && k < LANES_MAX) {
            crew->granted[k] = true;
            if (crew->lanes[k] != NULL) {
                lane_granted(crew->lanes[k]);
            }
        }
    }
    log_granted(crew);
}

void crew_set_plan(struct crew *crew, struct plan *plan)
{
    plan_release(&crew->plan);
    crew->plan = plan;
    for (int k = 0; k < LANES_MAX; k++) {
        if (crew->lanes[k] != NULL) {
            lane_set_plan(crew->lanes[k], plan);
        }
    }
}

static void start_lane(struct crew *crew, int32_t k)
{
    struct lane_settings settings = crew->lane;

    settings.index = k;
    crew->lanes[k] = lane_start(&settings);
    crew->stop_sent[k] = false;
    if (crew->plan != NULL) {
        lane_set_plan(crew->lanes[k], crew->plan);
    }
}

static void reconcile_lane(struct crew *crew, int32_t k, struct totals *gone)
{
    const bool wanted = crew->granted[k] && !crew->leaving;
    struct lane_status status;

    if (crew->lanes[k] != NULL) {
        lane_status(crew->lanes[k], &status);
        if (status.state == LANE_STOPPED) {
            gone->records += status.records;
            gone->bytes += status.bytes;
            for (int i = 0; i < LANE_EVENTS; i++) {
                gone->events[i] += status.events[i];
            }
            lane_free(&crew->lanes[k]);
        } else if (!wanted && !crew->stop_sent[k]) {
            crew->stop_sent[k] = true;
            lane_stop(crew->lanes[k]);
        }
    }
    if (crew->lanes[k] == NULL && wanted) {
        start_lane(crew, k);
    }
}

void crew_reconcile(struct crew *crew, struct totals *gone)
{
    for (int32_t k = 0; k < LANES_MAX; k++) {
        reconcile_lane(crew, k, gone);
    }
}

static void add(struct totals *t, const struct lane_status *lane)
{
    t->records += lane->records;
    t->bytes += lane->bytes;
    t->partitions += lane->partitions;
    t->halted += lane->halted;
    t->waiting += lane->waiting;
    t->commits += lane->commits;
    t->restarts += lane->restarts;
    t->unverified += lane->unverified;
    t->held += lane->held;
    t->held_ms = lane->held_ms > t->held_ms ? lane->held_ms : t->held_ms;
    for (int i = 0; i < LANE_EVENTS; i++) {
        t->events[i] += lane->events[i];
    }
    t->lanes++;
    t->by_state[lane->state]++;
    if (lane->lag < 0) {
        t->lag_known = false;
    } else {
        t->lag += lane->lag;
    }
}

struct totals crew_totals(struct crew *crew)
{
    struct totals t = {.lag_known = true};
    struct lane_status status;

    for (int k = 0; k < LANES_MAX; k++) {
        if (crew->lanes[k] != NULL) {
            lane_status(crew->lanes[k], &status);
            add(&t, &status);
        }
    }
    return t;
}

int32_t crew_refused(struct crew *crew, struct err *e)
{
    struct lane_status status;

    for (int32_t k = 0; k < LANES_MAX; k++) {
        if (crew->lanes[k] == NULL) {
            continue;
        }
        lane_status(crew->lanes[k], &status);
        if (status.state == LANE_REFUSED) {
            lane_error(crew->lanes[k], e);
            return k;
        }
    }
    return -1;
}
