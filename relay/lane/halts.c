/*
 * halts.c - partitions that stop alone: why, whether that outlives a restart,
 * and what an operator does about it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/lane/internal.h"

struct halt_kind {
    const char *reason;
    /* Its evidence may age out of the log, and what was lost stays lost: it
     * holds until somebody decides. The others are judged anew. */
    bool lasting;
    const char *way_out; /* arguments of `offsets set`; NULL: none helps */
};

static const struct halt_kind kinds[] = {
    {HALT_GAP, true, "--resume"},
    {HALT_SOURCE_LOG, true, "--to earliest"},
    {HALT_TARGET_LOG, true, "--resume"},
    {HALT_TARGET_CHANGED, false, "--resume (or --restart)"},
    {HALT_TARGET_NOT_EMPTY, false, "--to earliest (or another offset)"},
    {HALT_REFUSED, false, "--to (the offset after it)"},
    {HALT_LETTER_FAILED, false, "--to (the offset after it)"},
    {HALT_CORRUPT, false, "--to (an offset after it)"},
    {HALT_OUT_OF_RANGE, false, "--resume"},
    {HALT_BLOCKED, false, NULL},
};

static const struct halt_kind *kind_of(const char *reason)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
        if (strcmp(kinds[i].reason, reason) == 0) {
            return &kinds[i];
        }
    }
    return NULL; /* of another version, or none */
}

bool halt_is_lasting(const char *reason)
{
    const struct halt_kind *kind = kind_of(reason);

    return kind != NULL && kind->lasting;
}

static void log_halt(const struct lane *lane, const struct part *part)
{
    const struct halt *halt = &part->position.halt;
    const struct halt_kind *kind = kind_of(halt->reason);
    const struct log_at *where =
        LOG_PARTITION(lane->set.index, part->topic, part->stream.partition);

    if (kind == NULL || kind->way_out == NULL) {
        log_write(LOG_ERROR, where, "halted (%s): %s", halt->reason,
                  halt->detail);
        return;
    }
    log_write(LOG_ERROR, where,
              "halted (%s): %s. To go on: kafka-relay offsets CONFIG set "
              "--topic %s --partition %d --reason TEXT %s",
              halt->reason, halt->detail, part->topic,
              (int)part->stream.partition, kind->way_out);
}

void part_halt(struct lane *lane, struct part *part, const char *reason,
               const char *fmt, ...)
{
    struct halt *halt = &part->position.halt;
    const bool known = part->state == PART_HALTED;
    struct halt now = {.since_ms = halt->since_ms};
    va_list ap;

    va_start(ap, fmt); /* its arguments may be the halt itself */
    vsnprintf(now.detail, sizeof(now.detail), fmt, ap);
    va_end(ap);
    snprintf(now.reason, sizeof(now.reason), "%s", reason);
    part_stop(lane, part);
    if (strcmp(part->halt_before, now.reason) != 0) {
        now.since_ms = clock_wall_ms();
        memcpy(part->halt_before, now.reason, sizeof(now.reason));
    }
    *halt = now;
    part->state = PART_HALTED;
    part->dirty = part->stream.next >= 0; /* a halt is part of the position */
    if (!known) {
        log_halt(lane, part);
    }
}
