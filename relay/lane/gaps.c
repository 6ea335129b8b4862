/*
 * gaps.c - source records that can no longer be copied, and copies that are
 * gone: `on_gap` decides. Never silent: either the partition halts, or what was
 * lost is written into its position, for good.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/lane/internal.h"

/* "offsets 5 to 9", where the end is known. */
static void range_text(char *out, size_t size, const struct gap *gap)
{
    if (gap->to >= 0) {
        snprintf(out, size, "offsets %" PRId64 " to %" PRId64, gap->from,
                 gap->to);
    } else {
        snprintf(out, size, "offset %" PRId64 " and whatever came after it",
                 gap->from);
    }
}

/* A new epoch at gap->go_on. What happened on one side says nothing of the
 * other: its mark stays. */
static void go_on_behind(struct lane *lane, struct part *part,
                         const struct gap *gap)
{
    struct position *p = &part->position;
    const struct mark source[] = {part->stream.anchor, p->checked};
    const struct mark target = p->target_anchor;

    part_stop(lane, part);
    segments_free(&part->stream.tail);
    position_new_epoch(p);
    if (gap->on_target) {
        part->stream.anchor = source[0];
        p->checked = source[1];
    } else {
        part->stream.anchor = MARK_NONE;
        p->target_anchor = target;
        part->new_end = gap->end;
    }
    if (gap->to != gap->from - 1) { /* nothing was copied yet */
        position_add_lost(p, gap->from, gap->to, gap->reason, clock_wall_ms());
    }
    if (strcmp(part->halt_before, gap->reason) == 0) {
        part->halt_before[0] = '\0'; /* decided now */
    }
    part->stream.next = gap->go_on;
    part->epoch = p->epoch;
    refusals_forget(part); /* other records stand there now */
    part_watch(part);
    part->state = PART_WAITING;
    part->dirty = true;
}

void gap_found(struct lane *lane, struct part *part, const struct gap *gap,
               const char *fmt, ...)
{
    char detail[256], range[96];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(detail, sizeof(detail), fmt, ap);
    va_end(ap);
    if (part->state == PART_HALTED) {
        return;
    }
    lane_count(lane, LANE_GAPS, 1);
    lane_count(lane, LANE_LOST, gap->to >= 0 ? gap->to - gap->from + 1 : 0);
    if (lane->set.cfg->delivery.on_gap == ON_GAP_STOP) {
        part_halt(lane, part, gap->reason, "%s", detail);
        return;
    }
    range_text(range, sizeof(range), gap);
    log_write(
        LOG_WARN,
        LOG_PARTITION(lane->set.index, part->topic, part->stream.partition),
        "gap (%s): %s. On_gap is `continue`: %s are recorded as lost, "
        "going on at offset %" PRId64 "%s",
        gap->reason, detail, range, gap->go_on,
        gap->go_on < gap->from
            ? "; what is still the same there is copied again"
            : "");
    go_on_behind(lane, part, gap);
}
