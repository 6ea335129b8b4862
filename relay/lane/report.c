/*
 * report.c - what a lane tells of itself: lag, and partitions that stand still.
 *
 * A transaction that somebody opened on the source and never ended holds back
 * every record behind its first one (the last stable offset stays). Nothing is
 * lost by that, but only an operator can end it: so it is told, with its time.
 */
#include <inttypes.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/lane/internal.h"

enum {
    HELD_MS = 15000, /* ordinary transactions end sooner */
    HELD_AGAIN = 4,  /* told again when it lasts so many times as long */
};

static int64_t part_lag(const struct lane *lane, const struct part *part)
{
    int64_t low, high;

    if (part->stream.at_end) {
        return 0;
    }
    if (!source_watermarks(lane->source, &part->stream, &low, &high)) {
        return -1;
    }
    return high > part->stream.next ? high - part->stream.next : 0;
}

/* Whether an open transaction of somebody holds the part back: everything that
 * may be read is, and the log goes on. */
static bool is_held(const struct lane *lane, struct part *part, int64_t now)
{
    const struct stream *s = &part->stream;
    int64_t low, high;

    if (part->state != PART_RUNNING || !s->at_end ||
        !source_watermarks(lane->source, s, &low, &high) || high <= s->next) {
        part->held_at = -1;
        return false;
    }
    if (part->held_at != s->next) {
        part->held_at = s->next;
        part->held_ms = now;
    }
    return now - part->held_ms >= HELD_MS;
}

static void tell_held(struct lane *lane, const struct part *oldest,
                      int64_t count, int64_t for_ms)
{
    if (for_ms < lane->held_told_ms) {
        return;
    }
    lane->held_told_ms = for_ms * HELD_AGAIN;
    log_write(
        LOG_WARN,
        LOG_PARTITION(lane->set.index, oldest->topic, oldest->stream.partition),
        "an open transaction on %s holds back what comes after offset "
        "%" PRId64 ", for %" PRId64 " s now; %" PRId64 " partitions of "
        "this lane wait so. Nothing is lost. If its producer is gone: "
        "kafka-transactions.sh find-hanging, then abort",
        lane->set.cfg->source.name, oldest->held_at, for_ms / 1000, count);
}

static void publish_held(struct lane *lane)
{
    const int64_t now = clock_ms();
    const struct part *oldest = NULL;
    int64_t count = 0;

    for (size_t i = 0; i < lane->part_count; i++) {
        struct part *part = lane->parts[i];

        if (is_held(lane, part, now)) {
            count++;
            oldest = oldest == NULL || part->held_ms < oldest->held_ms ? part
                                                                       : oldest;
        }
    }
    atomic_store(&lane->held, count);
    atomic_store(&lane->held_ms, oldest != NULL ? now - oldest->held_ms : 0);
    if (oldest != NULL) {
        tell_held(lane, oldest, count, now - oldest->held_ms);
    } else if (lane->held_told_ms > 0) {
        lane->held_told_ms = 0;
        log_write(LOG_INFO, LOG_LANE(lane->set.index),
                  "no transaction on %s holds anything back any more",
                  lane->set.cfg->source.name);
    }
}

void report_publish(struct lane *lane)
{
    int64_t lag = 0, partitions = 0, halted = 0, waiting = 0, unverified = 0;

    for (size_t i = 0; i < lane->part_count; i++) {
        const struct part *part = lane->parts[i];

        partitions += part->state != PART_GONE;
        halted += part->state == PART_HALTED ||
                  (part->state == PART_GONE && part->plan_stop >= 0);
        waiting += part->state == PART_WAITING;
        unverified += part->unverified;
        if (part->state == PART_RUNNING && lag >= 0) {
            int64_t one = part_lag(lane, part);
            lag = one < 0 ? -1 : lag + one;
        }
    }
    atomic_store(&lane->lag, lane->plan != NULL ? lag : -1);
    atomic_store(&lane->partitions, partitions);
    atomic_store(&lane->halted, halted);
    atomic_store(&lane->waiting, waiting);
    atomic_store(&lane->unverified, unverified);
    publish_held(lane);
    lane->last_publish_ms = clock_ms();
}
