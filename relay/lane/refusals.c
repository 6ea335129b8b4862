/*
 * refusals.c - records that the target will not take, whenever they are sent.
 *
 * The target refuses whole batches, and the transaction with them: it is
 * aborted, and the lane taken again. First, a batch that is too large may only
 * be too many records: batches are then made smaller than what the topic takes.
 * Otherwise the batch is halved until it is one record. Each half is a trial:
 * the stream waits behind it until it is committed.
 *
 *     refused [a, b]      try [a, middle)
 *     that is committed   try half of the rest
 *     refused, a = b      that is the one: `on_record_error`
 *     behind it           trials that grow, since bad records come in flocks
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/log.h"
#include "relay/io/admin.h"
#include "relay/lane/internal.h"

enum { TRIAL_GROWTH = 4, DEFAULT_BATCH_BYTES = 1000000 /* io/client.c */ };

/* max.message.bytes of a target topic; 0: not to be learnt. */
static int64_t batch_limit(struct lane *lane, const char *topic)
{
    const struct patience patience = patience_of(LOOKUP_MS, &lane->stopped, 0);
    struct admin *admin = NULL;
    struct err e = {0};
    char *text = NULL;
    int64_t limit = 0;

    if (admin_open(&admin, &lane->set.cfg->target, READ_COMMITTED, &e) ==
            ERR_NONE &&
        admin_topic_config(admin, topic, "max.message.bytes", &text, &patience,
                           &e) == ERR_NONE) {
        limit = strtoll(text, NULL, 10);
    }
    admin_close(&admin);
    free(text);
    return limit;
}

/* The largest batch that the lane sends now. */
static int64_t batch_now(const struct lane *lane)
{
    const struct cluster_config *target = &lane->set.cfg->target;

    if (lane->batch_bytes > 0) {
        return lane->batch_bytes;
    }
    for (size_t i = 0; i < target->property_count; i++) {
        if (strcmp(target->properties[i].name, "batch.size") == 0) {
            return strtoll(target->properties[i].value, NULL, 10);
        }
    }
    return DEFAULT_BATCH_BYTES;
}

/* A batch below the limit that is refused for its size is one record. */
static bool make_batches_smaller(struct lane *lane, const struct part *part)
{
    const int64_t limit =
        part->stream.too_large ? batch_limit(lane, part->target) : 0;
    const int64_t batch = limit - limit / 8 - 1; /* less headers and framing */

    if (batch < 1 || batch_now(lane) <= batch) {
        return false;
    }
    lane->batch_bytes = batch;
    log_write(LOG_INFO, LOG_PARTITION(lane->set.index, part->target, -1),
              "takes no more than %lld bytes at once (max.message.bytes): this "
              "lane's batches are made smaller",
              (long long)limit);
    return true;
}

void part_watch(struct part *part)
{
    /* --until-end: a log made anew may never be so long again. */
    int64_t stop_at = part->plan_stop >= 0 && part->new_end >= 0 &&
                              part->new_end < part->plan_stop
                          ? part->new_end
                          : part->plan_stop;
    const bool passed = part->bad.at >= 0 && part->bad.action != BAD_STOP;

    if (!passed && part->bad.at >= 0 &&
        (stop_at < 0 || part->bad.at < stop_at)) {
        stop_at = part->bad.at;
    }
    part->stream.divert_why = part->bad.why;
    part->stream.divert = part->bad.action == BAD_SKIP  ? DIVERT_SKIP
                          : part->bad.action == BAD_CUT ? DIVERT_CUT
                                                        : DIVERT_DEAD_LETTER;
    stream_watch(&part->stream, stop_at, part->trial.end,
                 passed ? part->bad.at : -1);
}

static void forget_trial(struct part *part)
{
    part->trial = (struct trial){.end = -1};
}

void refusals_forget(struct part *part)
{
    forget_trial(part);
    part->bad = (struct bad){.at = -1};
}

static enum bad_action action_of(const struct lane *lane)
{
    switch (lane->set.cfg->delivery.on_record_error) {
    case ON_RECORD_ERROR_SKIP:
        return BAD_SKIP;
    case ON_RECORD_ERROR_DEAD_LETTER:
        return BAD_LETTER;
    default:
        return BAD_STOP;
    }
}

/* The refused batch was one record. */
static void found_it(struct lane *lane, struct part *part)
{
    const int64_t at = part->stream.fault_first;
    struct bad *bad = &part->bad;

    *bad = (struct bad){.at = at, .action = action_of(lane)};
    snprintf(bad->why, sizeof(bad->why), "%s", part->stream.fault_why);
    part->trial.end = at + 1;
    part->trial.size = 1;
    if (part->trial.limit < at + 1) {
        part->trial.limit = at + 1;
    }
    lane_count(lane, LANE_REFUSED_RECORDS, 1);
}

static void halve(struct lane *lane, struct part *part)
{
    const int64_t first = part->stream.fault_first;
    const int64_t end = part->stream.fault_last + 1;
    struct trial *trial = &part->trial;

    log_write(
        trial->end < 0 ? LOG_WARN : LOG_DEBUG,
        LOG_PARTITION(lane->set.index, part->topic, part->stream.partition),
        "%s refuses what was sent with offsets %" PRId64 " to %" PRId64
        ": %s. Singling out the record that is meant",
        lane->set.cfg->target.name, first, end - 1, part->stream.fault_why);
    trial->limit = trial->limit > end ? trial->limit : end;
    trial->suspect = end;
    trial->end = first + (end - first) / 2;
    trial->size = 0;
}

/* Whole, it is too large even there; or nothing of it fits. */
static void letter_refused(struct lane *lane, struct part *part)
{
    const char *topic = lane->set.cfg->delivery.dead_letter_topic;
    const struct log_at *where =
        LOG_PARTITION(lane->set.index, part->topic, part->stream.partition);
    const int64_t limit =
        part->stream.too_large && part->bad.action == BAD_LETTER
            ? batch_limit(lane, topic)
            : 0;

    if (limit > 0) {
        part->bad.action = BAD_CUT;
        part->stream.cut_bytes = limit - limit / 8;
        log_write(LOG_WARN, where,
                  "the record at offset %" PRId64 " is too large for %s as "
                  "well: it is cut",
                  part->bad.at, topic);
        return;
    }
    part->bad.action = BAD_STOP;
    part->bad.letter_failed = true;
    snprintf(part->bad.why, sizeof(part->bad.why), "%s",
             part->stream.fault_why);
}

bool refusals_note(struct lane *lane)
{
    bool any = false;

    for (size_t i = 0; i < lane->part_count; i++) {
        struct part *part = lane->parts[i];
        const struct stream *s = &part->stream;

        if (s->fault != STREAM_REFUSED) {
            continue;
        }
        any = true;
        if (s->letter_refused) {
            letter_refused(lane, part);
        } else if (make_batches_smaller(lane, part)) {
            forget_trial(part);
        } else if (s->fault_first == s->fault_last) {
            found_it(lane, part);
        } else {
            halve(lane, part);
        }
    }
    return any;
}

static void halt(struct lane *lane, struct part *part)
{
    const struct bad *bad = &part->bad;

    if (bad->letter_failed) {
        part_halt(lane, part, HALT_LETTER_FAILED,
                  "the record at offset %" PRId64 " could not be written to %s "
                  "either: %s",
                  bad->at, lane->set.cfg->delivery.dead_letter_topic, bad->why);
    } else {
        part_halt(lane, part, HALT_REFUSED,
                  "%s refuses the record at offset %" PRId64 ": %s",
                  lane->set.cfg->target.name, bad->at, bad->why);
    }
}

void refusals_look(struct lane *lane, struct part *part)
{
    struct trial *trial = &part->trial;
    const int64_t next = part->stream.next;

    if (part->bad.at >= 0 && next > part->bad.at) {
        part->bad.at = -1; /* it is gone from the log meanwhile */
        part_watch(part);
    }
    if (part->bad.at == next && part->bad.action == BAD_STOP) {
        halt(lane, part);
        return;
    }
    if (trial->end < 0 || next < trial->end) {
        return;
    }
    if (trial->size > 0) {
        trial->end += trial->size;
        trial->size *= TRIAL_GROWTH;
    } else {
        trial->end += (trial->suspect - trial->end + 1) / 2;
    }
    if (trial->end > (trial->size > 0 ? trial->limit : trial->suspect) ||
        trial->end <= next) {
        forget_trial(part); /* nothing more to doubt */
    }
    part_watch(part);
}

static bool is_passing(const struct part *part)
{
    return part->stream.diverted > 0 && part->bad.at >= 0;
}

void refusals_record(struct part *part, int64_t now_ms)
{
    char reason[32];

    if (is_passing(part) && part->bad.action == BAD_SKIP) {
        snprintf(reason, sizeof(reason), "skipped %.23s", part->bad.why);
        position_add_lost(&part->position, part->bad.at, part->bad.at, reason,
                          now_ms);
    }
}

void refusals_passed(struct lane *lane, struct part *part)
{
    const bool skipped = part->bad.action == BAD_SKIP;

    if (!is_passing(part)) {
        return;
    }
    log_write(
        LOG_WARN,
        LOG_PARTITION(lane->set.index, part->topic, part->stream.partition),
        "the record at offset %" PRId64 " was refused by %s (%s): %s%s",
        part->bad.at, lane->set.cfg->target.name, part->bad.why,
        skipped ? "passed over" : "it is in ",
        skipped ? "" : lane->set.cfg->delivery.dead_letter_topic);
    lane_count(lane, skipped ? LANE_SKIPPED : LANE_DEAD_LETTERS, 1);
    part->stream.diverted = 0;
    part->bad = (struct bad){.at = -1};
    part_watch(part);
}
