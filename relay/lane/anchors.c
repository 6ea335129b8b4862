/*
 * anchors.c - is the log still the one that the position was taken from?
 *
 * A position is only a number. A topic that was deleted and made again, or
 * truncated, gives other records under the same numbers, without any error
 * (FACTS). So a position carries fingerprints of records, and before reading
 * goes on they are looked up: on the source `checked` (the newest that was
 * found good) and `anchor` (the newest read), on the target the newest copy.
 *
 *   the same record is there                  fine
 *   another record, or the log ends before    made anew or truncated: halt
 *   the log begins after the position         retention ran ahead: halt
 *   aged out, or compacted away               cannot be told: `unverified`
 */
#include <stdlib.h>
#include <string.h>

#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/io/admin.h"
#include "relay/lane/internal.h"

/* One side of one partition. */
struct check {
    struct part *part;
    const char *topic;
    int32_t partition;
    int64_t next;              /* the log must hold offsets up to here */
    struct mark marks[2];      /* to be found; offset -1: none */
    struct lookup *lookups[3]; /* their answers; [2]: what stands at `next` */
    int64_t low, high;         /* log start and end */
    bool settled;              /* a gap was found */
    bool unverified;           /* a mark can't be looked up */
};

struct side {
    struct lane *lane;
    bool target;
    const struct cluster_config *cluster;
    struct check *checks;
    size_t count;
    struct lookup *lookups;
    size_t lookup_count;
};

/* On the target somebody else's open transaction must not hide our records. */
static enum isolation side_isolation(const struct side *side)
{
    return side->target ? READ_UNCOMMITTED : READ_COMMITTED;
}

static void add_check(struct side *side, struct part *part)
{
    const struct position *p = &part->position;
    struct check *c = &side->checks[side->count];

    if (side->target) {
        *c = (struct check){.part = part,
                            .topic = part->target,
                            .partition = part->stream.target_partition,
                            .next = p->target_anchor.offset + 1,
                            .marks = {p->target_anchor, MARK_NONE}};
        if (p->target_anchor.offset < 0) {
            return; /* nothing was copied yet */
        }
    } else {
        *c = (struct check){.part = part,
                            .topic = part->topic,
                            .partition = part->stream.partition,
                            .next = part->stream.next,
                            .marks = {p->checked, part->stream.anchor}};
        if (p->checked.offset == part->stream.anchor.offset) {
            c->marks[0] = MARK_NONE;
        }
    }
    side->count++;
}

/* Log starts and ends of all checks, in two requests a broker. */
static enum err_kind ask_bounds(struct side *side,
                                const struct patience *patience, struct err *e)
{
    struct offset_query *queries = mem_calloc(side->count, sizeof(*queries));
    struct admin *admin = NULL;

    e->kind = ERR_NONE;
    if (admin_open(&admin, side->cluster, side_isolation(side), e) !=
        ERR_NONE) {
        goto done;
    }
    for (int high = 0; high < 2; high++) {
        for (size_t i = 0; i < side->count; i++) {
            queries[i] = (struct offset_query){
                .topic = side->checks[i].topic,
                .partition = side->checks[i].partition,
                .time_ms = high ? OFFSETS_LATEST : OFFSETS_EARLIEST};
        }
        if (admin_offsets(admin, queries, side->count, patience, e) !=
            ERR_NONE) {
            goto done;
        }
        for (size_t i = 0; i < side->count; i++) {
            *(high ? &side->checks[i].high : &side->checks[i].low) =
                queries[i].offset;
            side->checks[i].part->unknown |= queries[i].unknown;
        }
    }
done:
    admin_close(&admin);
    free(queries);
    return e->kind;
}

static void add_lookup(struct side *side, struct check *c, int m,
                       int64_t offset)
{
    struct lookup *l = &side->lookups[side->lookup_count++];

    *l = (struct lookup){
        .topic = c->topic, .partition = c->partition, .offset = offset};
    c->lookups[m] = l;
}

static void add_lookups(struct side *side)
{
    side->lookups = mem_calloc(side->count * 3, sizeof(*side->lookups));
    for (size_t i = 0; i < side->count; i++) {
        struct check *c = &side->checks[i];

        if (c->part->unknown) {
            continue;
        }
        for (int m = 0; m < 2; m++) {
            /* Outside the log there is nothing to find. */
            if (c->marks[m].offset >= c->low && c->marks[m].offset < c->high) {
                add_lookup(side, c, m, c->marks[m].offset);
            }
        }
        if (c->high < c->next) {
            add_lookup(side, c, 2, c->next);
        }
    }
}

/* A partition can be looked up once at a time: first all [0], then [1], [2]. */
static enum err_kind look_up(struct side *side, const struct patience *patience,
                             struct err *e)
{
    struct reader *reader = NULL;
    struct lookup *batch = mem_calloc(side->lookup_count, sizeof(*batch));

    e->kind = ERR_NONE;
    if (reader_open(&reader, side->cluster, side_isolation(side), e) !=
        ERR_NONE) {
        goto done;
    }
    for (int m = 0; m < 3; m++) {
        size_t n = 0;
        for (size_t i = 0; i < side->count; i++) {
            if (side->checks[i].lookups[m] != NULL) {
                batch[n++] = *side->checks[i].lookups[m];
            }
        }
        if (n > 0 &&
            reader_look_up(reader, batch, n, patience, e) != ERR_NONE) {
            goto done;
        }
        n = 0;
        for (size_t i = 0; i < side->count; i++) {
            if (side->checks[i].lookups[m] != NULL) {
                *side->checks[i].lookups[m] = batch[n++];
            }
        }
    }
done:
    reader_close(&reader);
    free(batch);
    return e->kind;
}

/* Times that a broker has set tell nothing; nor do unknown ones. */
static bool same_record(const struct mark *want, const struct lookup *l)
{
    return l->found.offset == want->offset && l->found.crc == want->crc &&
           (l->broker_time || want->timestamp_ms < 0 ||
            l->found.timestamp_ms == want->timestamp_ms);
}

static bool is_compacted(struct side *side, const struct check *c)
{
    const struct patience patience =
        patience_of(LOOKUP_MS, &side->lane->stopped, 0);
    struct admin *admin = NULL;
    char *policy = NULL;
    bool compacted = true; /* when it can't be told, do not halt for it */
    struct err e = {0};

    if (admin_open(&admin, side->cluster, READ_COMMITTED, &e) == ERR_NONE &&
        admin_topic_config(admin, c->topic, "cleanup.policy", &policy,
                           &patience, &e) == ERR_NONE) {
        compacted = strstr(policy, "compact") != NULL;
    }
    admin_close(&admin);
    free(policy);
    return compacted;
}

static bool is_good(const struct check *c, int m)
{
    return c->lookups[m] != NULL && same_record(&c->marks[m], c->lookups[m]);
}

static bool is_other(const struct check *c, int m)
{
    return c->lookups[m] != NULL && !is_good(c, m);
}

/* The newest record that is still the one that was read; -1: none is known.
 * The newer mark says nothing once the older one is another: it was read of the
 * new log. */
static int64_t last_good(const struct check *c)
{
    if (is_good(c, 1) && !is_other(c, 0)) {
        return c->marks[1].offset;
    }
    return is_good(c, 0) ? c->marks[0].offset : -1;
}

/* Another log than the one that was read, or written. Where it was cut, what
 * follows the last record that is the same is read again; else all of it. */
static void log_changed(struct side *side, struct check *c, const char *what)
{
    const struct stream *s = &c->part->stream;
    const int64_t good = side->target ? -1 : last_good(c);
    const struct gap on_source = {.reason = HALT_SOURCE_LOG,
                                  .from = s->next,
                                  .to = -1,
                                  .go_on = good >= 0 ? good + 1 : c->low,
                                  .end = c->high};
    const struct gap on_target = {.reason = HALT_TARGET_LOG,
                                  .from = 0,
                                  .to = s->next - 1,
                                  .go_on = s->next,
                                  .on_target = true};

    gap_found(side->lane, c->part, side->target ? &on_target : &on_source,
              "%s[%d] on %s was truncated, or deleted and made again: %s",
              c->topic, (int)c->partition, side->cluster->name, what);
}

static void other_record(struct side *side, struct check *c,
                         const struct mark *want, const char *found)
{
    char what[128];

    snprintf(what, sizeof(what), "%s at offset %lld, which this relay has %s",
             found, (long long)want->offset, side->target ? "written" : "read");
    log_changed(side, c, what);
}

static void note_unverified(struct side *side, struct check *c,
                            const struct mark *want)
{
    if (!c->part->told_unverified) {
        log_write(LOG_WARN,
                  LOG_PARTITION(side->lane->set.index, c->topic, c->partition),
                  "unverified: the record at offset %lld aged out or was "
                  "compacted away on %s, so nobody can tell whether the topic "
                  "was made anew",
                  (long long)want->offset, side->cluster->name);
    }
    c->part->told_unverified = c->part->unverified = true;
    c->unverified = true;
}

static void judge_mark(struct side *side, struct check *c, int m)
{
    const struct mark *want = &c->marks[m];
    const struct lookup *l = c->lookups[m];

    if (want->offset < 0 || c->settled) {
        return;
    }
    if (l != NULL && l->found.offset == want->offset) {
        if (!same_record(want, l)) {
            other_record(side, c, want, "another record stands");
            c->settled = true;
        }
        return;
    }
    if (l != NULL && !l->missing && !is_compacted(side, c)) {
        other_record(side, c, want, "no record stands");
        c->settled = true;
        return;
    }
    note_unverified(side, c, want);
}

/* It was found changed before, by an owner that halted; by now its marks may
 * have aged out. */
static bool was_changed(const struct side *side, const struct check *c)
{
    return strcmp(c->part->halt_before,
                  side->target ? HALT_TARGET_LOG : HALT_SOURCE_LOG) == 0;
}

/* A broker that has just come back may tell an older end than it told before,
 * for seconds; but only what is really not there is refused when it is read. */
static void judge_end(struct side *side, struct check *c)
{
    char what[128];

    if (c->lookups[2] == NULL || !c->lookups[2]->missing) {
        return;
    }
    snprintf(what, sizeof(what), "it ends at offset %lld, below %lld",
             (long long)c->high, (long long)c->next);
    log_changed(side, c, what);
}

static void judge_start(struct side *side, struct check *c)
{
    const struct gap gap = {.reason = HALT_GAP,
                            .from = c->next,
                            .to = c->low - 1,
                            .go_on = c->low,
                            .end = c->high};

    gap_found(side->lane, c->part, &gap,
              "offsets %lld to %lld were deleted on %s before they were "
              "copied (retention, or DeleteRecords)",
              (long long)gap.from, (long long)gap.to, side->cluster->name);
}

static void judge(struct side *side, struct check *c)
{
    if (c->part->unknown) {
        return; /* gone, or not readable now: it waits */
    }
    if (was_changed(side, c)) {
        log_changed(side, c, "so an earlier check found");
        return;
    }
    if (c->high < c->next) {
        judge_end(side, c);
        return;
    }
    if (!side->target && c->low > c->next) {
        judge_start(side, c);
        return;
    }
    judge_mark(side, c, 0);
    judge_mark(side, c, 1);
    if (!c->settled && !c->unverified) {
        c->part->unverified = false;
    }
    if (!side->target && !c->settled &&
        last_good(c) == c->part->stream.anchor.offset) {
        c->part->position.checked = c->part->stream.anchor;
    }
}

static enum err_kind check_side(struct lane *lane, bool target,
                                struct part **parts, size_t count,
                                struct err *e)
{
    const struct patience patience =
        patience_of(lane->running_ms > 0 ? RUNNING_LOOKUP_MS : LOOKUP_MS,
                    &lane->stopped, 0);
    const struct config *cfg = lane->set.cfg;
    struct side side = {.lane = lane,
                        .target = target,
                        .cluster = target ? &cfg->target : &cfg->source,
                        .checks = mem_calloc(count, sizeof(*side.checks))};

    e->kind = ERR_NONE;
    for (size_t i = 0; i < count; i++) {
        if (parts[i]->state != PART_HALTED && !parts[i]->unknown) {
            add_check(&side, parts[i]);
        }
    }
    if (side.count > 0 && ask_bounds(&side, &patience, e) == ERR_NONE) {
        add_lookups(&side);
        if (side.lookup_count == 0 ||
            look_up(&side, &patience, e) == ERR_NONE) {
            for (size_t i = 0; i < side.count; i++) {
                judge(&side, &side.checks[i]);
            }
        }
    }
    free(side.lookups);
    free(side.checks);
    return e->kind;
}

enum err_kind anchors_check(struct lane *lane, struct part **parts,
                            size_t count, struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        parts[i]->unknown = false;
    }
    if (check_side(lane, false, parts, count, e) != ERR_NONE) {
        return err_prefix(e, "check anchors on the source");
    }
    if (check_side(lane, true, parts, count, e) != ERR_NONE) {
        return err_prefix(e, "check anchors on the target");
    }
    return ERR_NONE;
}
