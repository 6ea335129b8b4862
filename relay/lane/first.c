/*
 * first.c - where a partition begins that has no position yet.
 *
 * `start` counts for what the rules match when they are first used; a topic or
 * partition that appears later under the same rules starts at its beginning,
 * or records between its creation and its discovery would be lost.
 */
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/io/admin.h"
#include "relay/lane/internal.h"

static int64_t start_time(const struct lane *lane)
{
    const struct start *start = &lane->set.cfg->delivery.start;

    if (lane->settled || start->kind == START_EARLIEST) {
        return OFFSETS_EARLIEST;
    }
    return start->kind == START_LATEST ? OFFSETS_LATEST : start->time_ms;
}

static struct offset_query *queries_for(struct part **parts, size_t count,
                                        bool target, int64_t time_ms)
{
    struct offset_query *queries = mem_calloc(count, sizeof(*queries));

    for (size_t i = 0; i < count; i++) {
        const struct stream *s = &parts[i]->stream;
        queries[i] = (struct offset_query){
            .topic = target ? s->target_topic : s->topic,
            .partition = target ? s->target_partition : s->partition,
            .time_ms = time_ms,
        };
    }
    return queries;
}

/* Asks both clusters' offsets with one short-lived client. */
static enum err_kind ask(struct lane *lane, bool target,
                         struct offset_query *queries, size_t count,
                         struct err *e)
{
    const struct patience patience = patience_of(LOOKUP_MS, &lane->stopped, 0);
    const struct config *cfg = lane->set.cfg;
    struct admin *admin = NULL;

    if (count == 0) {
        return ERR_NONE;
    }
    if (admin_open(&admin, target ? &cfg->target : &cfg->source,
                   target ? READ_UNCOMMITTED : READ_COMMITTED, e) != ERR_NONE ||
        admin_offsets(admin, queries, count, &patience, e) != ERR_NONE) {
        err_prefix(e, "first positions");
    }
    admin_close(&admin);
    return e->kind;
}

static enum err_kind set_starts(struct lane *lane, struct part **parts,
                                size_t count, struct err *e)
{
    struct offset_query *at =
        queries_for(parts, count, false, start_time(lane));
    struct offset_query *end = queries_for(parts, count, false, OFFSETS_LATEST);

    e->kind = ERR_NONE;
    /* The ends first: a record that comes between the two requests is then
     * found by its time, or lies behind the end. */
    if (ask(lane, false, end, count, e) == ERR_NONE &&
        ask(lane, false, at, count, e) == ERR_NONE) {
        for (size_t i = 0; i < count; i++) {
            /* No record that late: at the end. */
            if (!at[i].unknown && !end[i].unknown) {
                parts[i]->stream.next =
                    at[i].offset >= 0 ? at[i].offset : end[i].offset;
                parts[i]->dirty = true;
            }
        }
    }
    free(at);
    free(end);
    return e->kind;
}

/* The target holds records of a partition that this relay knows nothing of:
 * copying would double them, or mix two sources. */
static enum err_kind refuse_full_targets(struct lane *lane, struct part **parts,
                                         size_t count, struct err *e)
{
    struct part **existing = mem_calloc(count, sizeof(struct part *));
    struct offset_query *low, *high;
    size_t n = 0;

    for (size_t i = 0; i < count; i++) {
        if (parts[i]->state == PART_WAITING && parts[i]->has_target) {
            existing[n++] = parts[i];
        }
    }
    low = queries_for(existing, n, true, OFFSETS_EARLIEST);
    high = queries_for(existing, n, true, OFFSETS_LATEST);
    e->kind = ERR_NONE;
    if (ask(lane, true, low, n, e) == ERR_NONE &&
        ask(lane, true, high, n, e) == ERR_NONE) {
        for (size_t i = 0; i < n; i++) {
            if (!low[i].unknown && !high[i].unknown &&
                high[i].offset > low[i].offset) {
                part_halt(lane, existing[i], HALT_TARGET_NOT_EMPTY,
                          "%s[%d] on the target already holds records, but "
                          "this relay has no position for it. Delete that "
                          "topic, or rename the copy",
                          existing[i]->target, (int)low[i].partition);
            }
        }
    }
    free(low);
    free(high);
    free(existing);
    return e->kind;
}

enum err_kind first_positions(struct lane *lane, struct part **parts,
                              size_t count, struct err *e)
{
    if (count == 0) {
        return ERR_NONE;
    }
    if (refuse_full_targets(lane, parts, count, e) != ERR_NONE) {
        return e->kind;
    }
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        if (parts[i]->state != PART_HALTED) {
            parts[left++] = parts[i];
        }
    }
    return left > 0 ? set_starts(lane, parts, left, e) : ERR_NONE;
}
