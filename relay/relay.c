/*
 * relay.c - see relay.h.
 *
 *     timer, or a lane's news          worker thread
 *          |   start_work ----------------> discover topics, make what is
 *          |                                missing, check the ground
 *          |   worked <------------------------ plan, or an error
 *          v
 *     lanes <- plan         group -> assigned: which lanes run here
 *          |
 *          +-> reconcile: starts, stops and frees lanes until what runs is
 *              what the group granted
 */
#include "relay/relay.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "relay/base/backoff.h"
#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/crew.h"
#include "relay/io/group.h"
#include "relay/lane/names.h"
#include "relay/progress.h"
#include "relay/sync/ends.h"
#include "relay/sync/ground.h"
#include "relay/sync/topics.h"

enum {
    GROUP_POLL_MS = 1000, /* beside the group's own news */
    WORK_MS = 60000,      /* one refresh */
    RETRY_MIN_MS = 500,
    RETRY_MAX_MS = 10000,
    WAITING_MS = 2000, /* refresh sooner while target partitions are missing */
    WAITING_TRIES = 10,
    END_MS = 9000, /* a stop takes no longer */
    LEAVE_MS = 1000,
    ENDS_MS = 500,
};

struct relay {
    const struct config *cfg;
    struct relay_options options;
    char host[256];

    uv_loop_t loop;
    uv_signal_t signals[3];
    uv_timer_t group_timer, refresh_timer, progress_timer, end_timer;
    uv_async_t lane_news, group_news;
    uv_work_t work;

    /* The worker's, while `working`; else the loop's. */
    bool working, create;
    struct admin *source, *target;
    struct topics *topics;
    struct plan *new_plan;
    struct err work_error;
    bool grounded;
    bool look_at_ends; /* --until-end: of the lanes that are not `own` */
    bool own[LANES_MAX];
    struct ends_report ends;
    struct identity identity;

    struct group *group;
    struct crew crew;
    bool work_again; /* something changed while the worker was at it */
    struct progress progress;
    struct err group_error;
    unsigned failures; /* of work, in a row */
    int waiting_tries;
    stop_time stopped; /* 0: running */
    int exit_code;
};

static void start_work(struct relay *r);

static void begin_stop(struct relay *r, int exit_code);
static void on_refresh_timer(uv_timer_t *timer);

/* ---- the worker ---- */

static enum err_kind open_admins(struct relay *r, struct err *e)
{
    if (r->source == NULL && admin_open(&r->source, &r->cfg->source,
                                        READ_COMMITTED, e) != ERR_NONE) {
        return e->kind;
    }
    if (r->target == NULL && admin_open(&r->target, &r->cfg->target,
                                        READ_UNCOMMITTED, e) != ERR_NONE) {
        return e->kind;
    }
    if (r->topics == NULL) {
        r->topics = topics_new(r->cfg, r->source, r->target);
        if (r->options.until_end) {
            topics_until_end(r->topics);
        }
    }
    return ERR_NONE;
}

static void work_main(uv_work_t *work)
{
    struct relay *r = work->data;
    const struct patience patience = patience_of(WORK_MS, &r->stopped, 0);
    struct err *e = &r->work_error;

    e->kind = ERR_NONE;
    if (open_admins(r, e) != ERR_NONE ||
        topics_refresh(r->topics, r->create, &r->new_plan, &patience, e) !=
            ERR_NONE) {
        return;
    }
    if (r->grounded && r->look_at_ends) {
        if (ends_look(r->cfg, &r->identity, r->new_plan, r->own, &r->ends,
                      &patience, e) != ERR_NONE) {
            return;
        }
    }
    if (r->grounded && ground_still_there(r->cfg, r->target, &r->identity,
                                          &patience, e) != ERR_NONE) {
        return;
    }
    if (!r->grounded) {
        r->grounded = ground_prepare(r->cfg, r->source, r->target, r->new_plan,
                                     &r->identity, &patience, e) == ERR_NONE;
    }
}

/* ---- lanes ---- */

static void on_lane_changed(void *arg)
{
    struct relay *r = arg;

    uv_async_send(&r->lane_news);
}

static void check_refused(struct relay *r)
{
    struct err e;
    int32_t k = crew_refused(&r->crew, &e);

    if (k >= 0 && !r->crew.leaving) {
        log_write(LOG_ERROR, LOG_LANE(k), "%s", e.text);
        begin_stop(r, err_exit_code(e.kind));
    }
}

/* The end is that of all lanes. Those of other processes are looked up; those
 * of one that died come to this process once the group has noticed. */
static void check_end(struct relay *r, const struct totals *t)
{
    const bool others = t->lanes < r->cfg->delivery.lanes;
    bool halted = t->halted > 0;

    if (!r->options.until_end || r->crew.plan == NULL || r->crew.leaving ||
        !r->crew.told || t->by_state[LANE_DONE] < t->lanes) {
        return;
    }
    if (others && !(r->look_at_ends && r->ends.reached)) {
        r->look_at_ends = true; /* with the next refresh, soon */
        if (!r->working) {
            uv_timer_start(&r->refresh_timer, on_refresh_timer, ENDS_MS, 0);
        }
        return;
    }
    halted |= others && r->ends.halted;
    if (halted) {
        log_write(LOG_ERROR, NULL,
                  "%lld partitions are halted: not everything was copied",
                  (long long)t->halted);
    }
    begin_stop(r, halted ? 1 : EXIT_SUCCESS);
}

static void reconcile(struct relay *r)
{
    crew_reconcile(&r->crew, &r->progress.gone);
    struct totals t = crew_totals(&r->crew);
    check_refused(r);
    check_end(r, &t);
    if (r->crew.leaving && t.lanes == 0 && !r->working) {
        uv_stop(&r->loop);
    }
}

static void on_lane_news(uv_async_t *async)
{
    reconcile(async->data);
}

/* ---- the group ---- */

static void on_assigned(void *arg, const int32_t *lanes, size_t count)
{
    struct relay *r = arg;
    const bool had_lane_0 = r->crew.granted[0];

    crew_grant(&r->crew, lanes, count, r->cfg->delivery.lanes);
    reconcile(r);
    if (r->crew.granted[0] && !had_lane_0) {
        start_work(r); /* its owner makes what is missing on the target */
    }
}

static void poll_group(struct relay *r)
{
    struct err e = {0};

    if (r->group == NULL) {
        return;
    }
    group_poll(r->group, &e);
    if (e.kind != ERR_NONE && strcmp(e.text, r->group_error.text) != 0) {
        r->group_error = e;
        log_write(LOG_WARN, NULL, "%s", e.text);
    }
}

static void on_group_timer(uv_timer_t *timer)
{
    poll_group(timer->data);
}

static void on_group_news(uv_async_t *async)
{
    poll_group(async->data);
}

/* On a thread of librdkafka. */
static void wake_for_group(void *arg)
{
    struct relay *r = arg;

    uv_async_send(&r->group_news);
}

static void join_group(struct relay *r)
{
    char id[NAME_SIZE], topic[NAME_SIZE];
    struct err e = {0};

    name_group(id, r->cfg->relay);
    name_offsets_topic(topic, r->cfg->relay, r->identity.generation);
    if (group_open(&r->group, &r->cfg->target, id, topic, on_assigned,
                   wake_for_group, r, &e) != ERR_NONE) {
        log_write(LOG_ERROR, NULL, "%s", e.text);
        begin_stop(r, err_exit_code(e.kind));
        return;
    }
    uv_timer_start(&r->group_timer, on_group_timer, 0, GROUP_POLL_MS);
}

/* ---- topic discovery ---- */

static void on_refresh_timer(uv_timer_t *timer)
{
    start_work(timer->data);
}

static void work_failed(struct relay *r)
{
    const struct err *e = &r->work_error;
    int64_t ms;

    if (atomic_load(&r->stopped) != 0) {
        return;
    }
    if (e->kind == ERR_STATE || e->kind == ERR_CONFIG) {
        log_write(LOG_ERROR, NULL, "%s", e->text);
        begin_stop(r, err_exit_code(e->kind));
        return;
    }
    r->failures++;
    ms = backoff_ms(r->failures, RETRY_MIN_MS, RETRY_MAX_MS);
    log_write(backoff_is_news(r->failures) ? LOG_WARN : LOG_DEBUG, NULL,
              "%s; trying again in %lld ms (attempt %u)", e->text,
              (long long)ms, r->failures);
    uv_timer_start(&r->refresh_timer, on_refresh_timer, (uint64_t)ms, 0);
}

static int64_t next_refresh_ms(struct relay *r)
{
    const int64_t interval = r->cfg->sync.topics_interval_ms;

    if (r->crew.plan->waiting == 0) {
        r->waiting_tries = 0;
        return interval;
    }
    if (++r->waiting_tries > WAITING_TRIES) {
        return interval;
    }
    return interval < WAITING_MS ? interval : WAITING_MS;
}

static void on_worked(uv_work_t *work, int status)
{
    struct relay *r = work->data;

    (void)status;
    r->working = false;
    if (r->work_error.kind != ERR_NONE) {
        plan_release(&r->new_plan);
        work_failed(r);
    } else if (atomic_load(&r->stopped) == 0) {
        if (r->failures > 0) {
            log_write(LOG_INFO, NULL, "both clusters answer again");
        }
        r->failures = 0;
        crew_set_plan(&r->crew, r->new_plan); /* takes it over */
        r->new_plan = NULL;
        uv_timer_start(&r->refresh_timer, on_refresh_timer,
                       (uint64_t)next_refresh_ms(r), 0);
        if (r->group == NULL) {
            join_group(r);
        }
        if (r->work_again) {
            start_work(r);
        }
    }
    reconcile(r);
}

static void start_work(struct relay *r)
{
    if (r->working || atomic_load(&r->stopped) != 0) {
        r->work_again = true;
        return;
    }
    r->work_again = false;
    r->working = true;
    r->create = r->crew.granted[0];
    r->ends.reached = false;
    memcpy(r->own, r->crew.granted, sizeof(r->own));
    r->work.data = r;
    VERIFY(uv_queue_work(&r->loop, &r->work, work_main, on_worked) == 0);
}

/* ---- the end ---- */

static void on_end_timer(uv_timer_t *timer)
{
    struct relay *r = timer->data;

    log_write(LOG_WARN, NULL,
              "a broker did not answer in time; leaving without the last "
              "commit. Nothing is lost: the next start goes on from the last "
              "one that succeeded");
    _exit(r->exit_code);
}

static void begin_stop(struct relay *r, int exit_code)
{
    if (atomic_load(&r->stopped) != 0) {
        return;
    }
    r->exit_code = exit_code;
    atomic_store(&r->stopped, clock_ms());
    r->crew.leaving = true;
    uv_timer_stop(&r->refresh_timer);
    uv_timer_start(&r->end_timer, on_end_timer, END_MS, 0);
    uv_async_send(&r->lane_news); /* reconcile stops the lanes */
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct relay *r = handle->data;

    if (number == SIGHUP) {
        log_write(LOG_WARN, NULL,
                  "SIGHUP: this version can't reload its config; restart it");
        return;
    }
    if (atomic_load(&r->stopped) != 0) {
        log_write(LOG_WARN, NULL, "stopped twice: leaving at once");
        _exit(1);
    }
    log_write(LOG_INFO, NULL, "%s: committing and leaving", strsignal(number));
    begin_stop(r, EXIT_SUCCESS);
}

static void on_progress_timer(uv_timer_t *timer)
{
    struct relay *r = timer->data;
    struct totals t = crew_totals(&r->crew);

    progress_show(&r->progress, &t);
}

static void open_loop(struct relay *r)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    uv_timer_t *const timers[] = {&r->group_timer, &r->refresh_timer,
                                  &r->progress_timer, &r->end_timer};
    const int64_t every = progress_interval_ms(&r->progress);

    VERIFY(uv_loop_init(&r->loop) == 0);
    VERIFY(uv_async_init(&r->loop, &r->lane_news, on_lane_news) == 0);
    r->lane_news.data = r;
    VERIFY(uv_async_init(&r->loop, &r->group_news, on_group_news) == 0);
    r->group_news.data = r;
    for (size_t i = 0; i < sizeof(timers) / sizeof(*timers); i++) {
        uv_timer_init(&r->loop, timers[i]);
        timers[i]->data = r;
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        uv_signal_init(&r->loop, &r->signals[i]);
        r->signals[i].data = r;
        VERIFY(uv_signal_start(&r->signals[i], on_signal, numbers[i]) == 0);
    }
    uv_timer_start(&r->progress_timer, on_progress_timer, (uint64_t)every,
                   (uint64_t)every);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void close_all(struct relay *r)
{
    group_close(&r->group, LEAVE_MS);
    uv_walk(&r->loop, close_handle, NULL);
    uv_run(&r->loop, UV_RUN_DEFAULT);
    VERIFY(uv_loop_close(&r->loop) == 0);
    uv_library_shutdown();
    topics_free(&r->topics);
    admin_close(&r->source);
    admin_close(&r->target);
    plan_release(&r->crew.plan);
    plan_release(&r->new_plan);
}

/* Fetched and decompressed batches come and go by the megabyte, on many
 * threads. Left alone, malloc keeps up to eight arenas a core and returns
 * little of them: half as much again as buffer_memory. */
static void tame_malloc(const struct config *cfg)
{
    mallopt(M_ARENA_MAX, 1 + (int)cfg->delivery.lanes / 4);
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

int relay_run(const struct config *cfg, const struct relay_options *options)
{
    struct relay *r = mem_calloc(1, sizeof(*r));
    int exit_code;

    r->cfg = cfg;
    r->options = *options;
    r->crew.lane = (struct lane_settings){
        .cfg = cfg,
        .identity = &r->identity,
        .host = r->host,
        .until_end = options->until_end,
        .changed = on_lane_changed,
        .arg = r,
    };
    gethostname(r->host, sizeof(r->host) - 1);
    srandom((unsigned)clock_wall_ms() ^ (unsigned)getpid());
    signal(SIGPIPE, SIG_IGN);
    tame_malloc(cfg);
    progress_init(&r->progress, cfg->source.name, cfg->target.name);
    open_loop(r);
    log_write(
        LOG_INFO, NULL, "kafka-relay %s: relay %s, %s -> %s, %s, %lld lanes",
        KAFKA_RELAY_VERSION, cfg->relay, cfg->source.name, cfg->target.name,
        cfg->delivery.guarantee == GUARANTEE_EXACTLY_ONCE ? "exactly_once"
                                                          : "at_least_once",
        (long long)cfg->delivery.lanes);
    start_work(r);
    uv_run(&r->loop, UV_RUN_DEFAULT);

    struct totals t = crew_totals(&r->crew);
    close_all(r);
    progress_end(&r->progress, &t);
    exit_code = r->exit_code;
    free(r);
    return exit_code;
}
