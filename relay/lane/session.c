/*
 * session.c - a lane from taking it to losing it.
 *
 *  0. read the lane's partition of the offsets topic, and refuse it unless it
 *     is ours: a process with a wrong config must not fence a healthy owner
 *  1. init_transactions: fences the previous owner, settles what it left open
 *  2. commit a claim
 *  3. read on until that claim comes by: now every committed position is known,
 *     also those that somebody's open transaction hid for a while
 *  4. check the anchors and read from the positions on (partitions.c)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/lane/internal.h"

enum {
    UNTIL_END_IDLE_MS = 50,
    IDLE_MS = 500, /* how soon an idle lane sees a stop or a newer plan */
    PUBLISH_MS = 500,
    GROUP_COMMIT_MS = 5000,
    LAST_GROUP_COMMIT_MS = 1000,
    FENCER_MS = 3000,
    ABORT_MS = 2000,
    CHECK_MS = 60000,
    FIRST_CHECK_MS = 5000, /* what was copied first gets its mark soon */
    ERROR_CHECK_MS = 2000, /* so soon after a broker error */
    CHECK_APART_MS = 10000,
    LOOK_MS = 2000, /* an idle lane looks at its own log */
    LOOK_LIMIT_MS = 1000,
    /* Below transactional.id.expiration.ms (7 days), which would forget an
     * idle lane's producer epoch. */
    HEARTBEAT_MS = 12 * 3600 * 1000,
};

static enum err_kind check_state(struct lane *lane, struct err *e)
{
    return (lane->rescaled_too ? state_check_identity : state_check)(
        &lane->stored, lane->offsets_topic, lane->set.identity, e);
}

static enum err_kind read_state(struct lane *lane, struct err *e)
{
    const struct patience patience = patience_of(TAKE_MS, &lane->stopped, 0);

    state_init(&lane->stored, lane->set.index);
    if (reader_open(&lane->target_reader, &lane->set.cfg->target,
                    READ_COMMITTED, e) != ERR_NONE ||
        reader_open_log(lane->target_reader, lane->offsets_topic,
                        lane->set.index, e) != ERR_NONE ||
        state_read_identified(&lane->stored, lane->target_reader, &patience,
                              e) != ERR_NONE) {
        return e->kind;
    }
    if (check_state(lane, e) != ERR_NONE) {
        return e->kind;
    }
    return state_check_positions(&lane->stored, e);
}

static void make_claim(struct lane *lane)
{
    struct claim *c = &lane->claim;

    *c = (struct claim){.pid = getpid(), .started_ms = clock_wall_ms()};
    nonce_make(lane->nonce);
    snprintf(c->nonce, sizeof(c->nonce), "%s", lane->nonce);
    snprintf(c->host, sizeof(c->host), "%s", lane->set.host);
    snprintf(c->version, sizeof(c->version), "%s", KAFKA_RELAY_VERSION);
    snprintf(c->command, sizeof(c->command), "%s",
             lane->command != NULL ? lane->command : "");
    /* What the previous owner had settled stays so. */
    snprintf(c->rules, sizeof(c->rules), "%s",
             lane->stored.has_claim ? lane->stored.claim.rules : "");
}

static enum err_kind put_first_claim(struct lane *lane, struct err *e)
{
    make_claim(lane);
    if (commit_open_sink(lane, e) != ERR_NONE) {
        /* Two processes took it at the same moment: not yet a lost lane. */
        if (e->kind == ERR_FENCED) {
            e->kind = ERR_RETRY;
        }
        return e->kind;
    }
    if (commit_put_claim(lane, e) != ERR_NONE) {
        return e->kind;
    }
    return commit_now(lane, e);
}

/* A claim that came between the two readings may have settled other rules
 * than the one that ours was made from. */
static enum err_kind keep_settled(struct lane *lane, struct err *e)
{
    const char *settled =
        lane->stored.has_before ? lane->stored.before.rules : "";

    if (strcmp(lane->claim.rules, settled) == 0) {
        return ERR_NONE;
    }
    snprintf(lane->claim.rules, sizeof(lane->claim.rules), "%s", settled);
    if (commit_put_claim(lane, e) != ERR_NONE) {
        return e->kind;
    }
    return commit_now(lane, e);
}

enum err_kind session_take(struct lane *lane, struct err *e)
{
    const struct patience patience = patience_of(TAKE_MS, &lane->stopped, 0);

    if (read_state(lane, e) != ERR_NONE ||
        put_first_claim(lane, e) != ERR_NONE) {
        return e->kind;
    }
    snprintf(lane->stored.own, sizeof(lane->stored.own), "%s", lane->nonce);
    if (state_read_until_own(&lane->stored, lane->target_reader, &patience,
                             e) != ERR_NONE) {
        return e->kind;
    }
    reader_close(&lane->target_reader);
    if (check_state(lane, e) != ERR_NONE || keep_settled(lane, e) != ERR_NONE) {
        return e->kind;
    }
    return ERR_NONE;
}

static enum err_kind take(struct lane *lane, struct err *e)
{
    const struct source_settings source = {
        .cluster = &lane->set.cfg->source,
        .group = lane->group,
        .fetch_bytes = lane_bytes(lane),
    };

    return session_take(lane, e) == ERR_NONE
               ? source_open(&lane->source, &source, e)
               : e->kind;
}

static void log_taken(const struct lane *lane)
{
    const struct claim *before = &lane->stored.before;

    if (lane->stored.has_before && before->command[0] != '\0') {
        log_write(LOG_INFO, LOG_LANE(lane->set.index),
                  "taken again after `%s` by %s, pid %lld", before->command,
                  before->host, (long long)before->pid);
    } else if (lane->stored.has_before) {
        log_write(LOG_INFO, LOG_LANE(lane->set.index),
                  "taken (previous owner: %s, pid %lld)", before->host,
                  (long long)before->pid);
    } else {
        log_write(LOG_INFO, LOG_LANE(lane->set.index),
                  "taken, for the first "
                  "time");
    }
}

/* Offsets for ordinary lag tools; nothing rests on them. */
static void commit_to_source_group(struct lane *lane, int wait_ms)
{
    struct stream **moved;
    size_t n = 0;

    lane->last_group_ms = clock_ms();
    moved = mem_calloc(lane->part_count, sizeof(struct stream *));
    for (size_t i = 0; i < lane->part_count; i++) {
        struct part *part = lane->parts[i];

        if (part->stream.next >= 0 && part->prepared &&
            part->stream.next != part->group_offset) {
            part->group_offset = part->stream.next;
            moved[n++] = &part->stream;
        }
    }
    source_commit(lane->source, moved, n, wait_ms);
    free(moved);
    const char *failure = source_commit_failure(lane->source);
    if (failure[0] != '\0' && !lane->told_group) {
        lane->told_group = true;
        log_write(LOG_WARN, LOG_LANE(lane->set.index),
                  "can't commit to group %s on the source: %s. Lag tools will "
                  "not see this relay; copying is not affected. Grant Read on "
                  "the group, or ignore this",
                  lane->group, failure);
    }
}

/* An idle lane sends nothing, so nothing tells it that it was fenced. Who takes
 * it writes a claim: behind our newest record and its commit marker. */
static enum err_kind look_at_own_log(struct lane *lane, struct err *e)
{
    const int64_t end = sink_log_end(lane->sink, lane->offsets_topic,
                                     lane->set.index, LOOK_LIMIT_MS);

    lane->last_look_ms = clock_ms();
    return end > lane->own_offset + 2
               ? err_set(e, ERR_FENCED, "somebody else has written to %s[%d]",
                         lane->offsets_topic, (int)lane->set.index)
               : ERR_NONE;
}

/* After broker errors the logs are checked soon: a broker that comes back may
 * come back without its newest records. */
static void hasten_check(struct lane *lane, int64_t now)
{
    const unsigned errors =
        source_errors(lane->source) + sink_errors(lane->sink);
    int64_t at = now + ERROR_CHECK_MS;

    if (at < lane->last_check_ms + CHECK_APART_MS) {
        at = lane->last_check_ms + CHECK_APART_MS;
    }
    if (errors != lane->errors_seen && at < lane->next_check_ms) {
        lane->next_check_ms = at;
    }
    lane->errors_seen = errors;
}

/* While a cluster does not answer, nothing is read of it either: the check can
 * wait, and what can be copied goes on. */
static enum err_kind check_logs(struct lane *lane, struct err *e)
{
    enum err_kind rc = parts_check(lane, e);

    lane->last_check_ms = clock_ms();
    lane->next_check_ms = lane->last_check_ms + CHECK_MS;
    if (rc == ERR_RETRY || rc == ERR_UNREACHABLE) {
        lane->next_check_ms = lane->last_check_ms + CHECK_APART_MS;
        log_write(LOG_DEBUG, LOG_LANE(lane->set.index), "%s", e->text);
        rc = e->kind = ERR_NONE;
    }
    return rc;
}

static enum err_kind look_around(struct lane *lane, struct err *e)
{
    const int64_t now = clock_ms();
    bool denied;

    if (lane_take_plan(lane) && parts_apply_plan(lane, e) != ERR_NONE) {
        return e->kind;
    }
    if (now - lane->last_publish_ms >= PUBLISH_MS) {
        report_publish(lane);
        source_last_error(lane->source, &denied);
        if (denied) {
            return err_set(e, ERR_DENIED, "%s: %s", lane->set.cfg->source.name,
                           source_last_error(lane->source, &denied));
        }
    }
    if (now - lane->last_group_ms >= GROUP_COMMIT_MS) {
        commit_to_source_group(lane, 0);
    }
    hasten_check(lane, now);
    if (now >= lane->next_check_ms && check_logs(lane, e) != ERR_NONE) {
        return e->kind;
    }
    if (now - lane->last_commit_ms >= LOOK_MS &&
        now - lane->last_look_ms >= LOOK_MS &&
        look_at_own_log(lane, e) != ERR_NONE) {
        return e->kind;
    }
    if (now - lane->last_commit_ms >= HEARTBEAT_MS) {
        if (commit_put_claim(lane, e) != ERR_NONE ||
            commit_now(lane, e) != ERR_NONE) {
            return e->kind;
        }
    }
    return ERR_NONE;
}

static enum err_kind run_once(struct lane *lane, struct err *e)
{
    const struct delivery_config *delivery = &lane->set.cfg->delivery;
    const struct copy_limits limits = {
        .interval_ms = delivery->commit_interval_ms,
        .idle_ms = lane->set.until_end ? UNTIL_END_IDLE_MS : IDLE_MS,
        .bytes = delivery->commit_bytes,
        .stopped = &lane->stopped,
    };

    /* Parts are looked at between transactions: that may take a while. */
    if (copy_run(lane->copy, &limits, e) != ERR_NONE ||
        commit_all(lane, e) != ERR_NONE || parts_look(lane, e) != ERR_NONE) {
        return e->kind;
    }
    return look_around(lane, e);
}

static enum err_kind run(struct lane *lane, struct err *e)
{
    while (!lane_stopping(lane)) {
        if (run_once(lane, e) != ERR_NONE) {
            return e->kind;
        }
        if (lane->set.until_end && parts_all_done(lane)) {
            break;
        }
    }
    if (commit_all(lane, e) != ERR_NONE) { /* halts of the last look */
        return e->kind;
    }
    report_publish(lane);
    commit_to_source_group(lane, LAST_GROUP_COMMIT_MS);
    return ERR_NONE;
}

void session_close(struct lane *lane)
{
    copy_close(&lane->copy);
    sink_close(&lane->sink);
    source_close(&lane->source);
    reader_close(&lane->target_reader);
    state_free(&lane->stored);
    parts_reset(lane);
    if (!lane->set.until_end) {
        atomic_store(&lane->lag, -1); /* nobody looks until it runs again */
    }
}

/* Fenced: by whom? Somebody who fences claims right after that, so a claim that
 * is neither ours nor the one we found is waited for a while. Without one, the
 * coordinator has ended our transaction for its age, and the lane is ours. */
static enum err_kind explain_fence(struct lane *lane, struct err *e)
{
    const struct patience patience = patience_of(FENCER_MS, &lane->stopped, 0);
    const struct err why = *e;
    struct err ignored = {0};
    char before[NONCE_SIZE] = "";

    if (lane->stored.has_before) {
        snprintf(before, sizeof(before), "%s", lane->stored.before.nonce);
    }
    reader_close(&lane->target_reader);
    state_free(&lane->stored);
    if (read_state(lane, &ignored) == ERR_NONE &&
        state_read_until_other(&lane->stored, lane->target_reader, lane->nonce,
                               before, &patience, &ignored) == ERR_NONE) {
        const struct claim *by = &lane->stored.claim;
        return err_set(e, ERR_FENCED, "by %s%s%s, pid %lld", by->command,
                       by->command[0] != '\0' ? " on " : "", by->host,
                       (long long)by->pid);
    }
    *e = why;
    e->kind = ERR_RETRY;
    return e->kind;
}

enum err_kind session_run(struct lane *lane, struct err *e)
{
    enum err_kind rc;

    e->kind = ERR_NONE;
    lane->last_commit_ms = clock_ms();
    lane->last_publish_ms = 0;
    lane->last_check_ms = clock_ms();
    lane->next_check_ms = lane->last_check_ms + FIRST_CHECK_MS;
    lane->errors_seen = 0;
    rc = take(lane, e);
    if (rc != ERR_NONE) {
        goto done;
    }
    log_taken(lane);
    lane_wait_plan(lane);
    if (lane_stopping(lane)) {
        goto done;
    }
    lane->copy = copy_open(lane->source, lane->sink);
    rc = parts_apply_plan(lane, e);
    if (rc != ERR_NONE) {
        goto done;
    }
    lane->running_ms = clock_ms();
    lane_enter(lane, LANE_RUNNING);
    report_publish(lane);
    rc = run(lane, e);
done:
    if (rc == ERR_FENCED) {
        rc = explain_fence(lane, e);
    }
    if (rc != ERR_NONE && refusals_note(lane)) {
        const struct patience patience =
            patience_of(ABORT_MS, &lane->stopped, 0);
        sink_abort(lane->sink, &patience); /* sooner than the next session */
        lane->at_once = true;
    }
    session_close(lane);
    return rc;
}
