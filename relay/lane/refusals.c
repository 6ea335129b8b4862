/*
 * refusals.c - records that the target will not take, whenever they are sent.
 *
 * The target refuses whole batches. One that is too large may only be too many
 * records: batches are then made smaller than what the topic takes, and the
 * next refusal is of a single record. Copying stops right before that one.
 */
#include <stdlib.h>

#include "relay/base/log.h"
#include "relay/io/admin.h"
#include "relay/lane/internal.h"

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

/* A batch below the limit that is refused for its size is one record. */
static bool make_batches_smaller(struct lane *lane, const struct part *part)
{
    const int64_t limit =
        part->stream.too_large ? batch_limit(lane, part->target) : 0;
    const int64_t batch = limit - limit / 8 - 1; /* less headers and framing */

    if (batch < 1 || (lane->batch_bytes > 0 && lane->batch_bytes <= batch)) {
        return false;
    }
    lane->batch_bytes = batch;
    log_write(LOG_INFO, LOG_PARTITION(lane->set.index, part->target, -1),
              "takes no more than %lld bytes at once (max.message.bytes): this "
              "lane's batches are made smaller",
              (long long)limit);
    return true;
}

void parts_note_refusals(struct lane *lane)
{
    for (size_t i = 0; i < lane->part_count; i++) {
        struct part *part = lane->parts[i];

        if (part->stream.fault == STREAM_REFUSED &&
            !make_batches_smaller(lane, part)) {
            part->refused = true;
            part->refused_at = part->stream.fault_offset;
            part->refused_epoch = part->position.epoch;
        }
    }
}
