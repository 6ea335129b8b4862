/*
 * position.c - see position.h. Written by hand, since a lane writes one a
 * moved partition a commit; read with jansson, since that is rare.
 */
#include "relay/lane/position.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/lane/record.h"

static const char *const partitioning_names[] = {"preserve", NULL};

void position_init(struct position *p)
{
    *p = (struct position){
        .anchor = MARK_NONE, .checked = MARK_NONE, .target_anchor = MARK_NONE};
}

void position_free(struct position *p)
{
    segments_free(&p->tail);
}

void position_key(struct buf *out, const char *topic, int32_t partition)
{
    buf_add(out, "{\"topic\":", 9);
    buf_json_string(out, topic);
    buf_printf(out, ",\"partition\":%" PRId32 "}", partition);
}

static void put_mark(struct buf *out, const char *name, const struct mark *m)
{
    if (m->offset >= 0) {
        buf_printf(out,
                   ",\"%s\":{\"offset\":%" PRId64 ",\"timestamp\":%" PRId64
                   ",\"crc\":%" PRIu32 "}",
                   name, m->offset, m->timestamp_ms, m->crc);
    }
}

static void put_halt(struct buf *out, const struct halt *h)
{
    if (h->reason[0] == '\0') {
        return;
    }
    buf_printf(out, ",\"halted\":{\"reason\":");
    buf_json_string(out, h->reason);
    buf_printf(out, ",\"since\":%" PRId64 ",\"detail\":", h->since_ms);
    buf_json_string(out, h->detail);
    buf_add(out, "}", 1);
}

static void put_tail(struct buf *out, const struct segments *tail)
{
    buf_printf(out, ",\"tail\":[");
    for (size_t i = 0; i < tail->count; i++) {
        const struct segment *s = &tail->items[i];
        buf_printf(out, "%s[%" PRId64 ",%" PRId32 ",%" PRId64 ",%" PRId64 "]",
                   i > 0 ? "," : "", s->source, s->partition, s->target,
                   s->count);
    }
    buf_add(out, "]", 1);
}

static void put_map(struct buf *out, const struct position *p)
{
    buf_printf(out, ",\"map\":[");
    for (size_t i = 0; i < p->map_count; i++) {
        buf_printf(out, "%s[%" PRId64 ",%" PRId64 "]", i > 0 ? "," : "",
                   p->map[i].source, p->map[i].offset);
    }
    buf_add(out, "]", 1);
}

void position_encode(struct buf *out, const struct position *p)
{
    buf_printf(out, "{\"v\":%d,\"next\":%" PRId64 ",\"claim\":", RECORD_VERSION,
               p->next);
    buf_json_string(out, p->claim);
    buf_printf(out, ",\"epoch\":%" PRId64 ",\"target\":{\"topic\":", p->epoch);
    buf_json_string(out, p->target_topic);
    buf_printf(out, ",\"partitioning\":\"%s\",\"filters\":\"%08" PRIx32 "\"}",
               partitioning_names[p->partitioning], p->filters);
    put_mark(out, "anchor", &p->anchor);
    put_mark(out, "checked", &p->checked);
    put_mark(out, "target_anchor", &p->target_anchor);
    put_halt(out, &p->halt);
    put_tail(out, &p->tail);
    put_map(out, p);
    buf_add(out, "}", 1);
}

/* Absent is fine: MARK_NONE. */
static bool read_mark(const json_t *root, const char *name, struct mark *out)
{
    const json_t *from = json_object_get(root, name);
    const json_t *timestamp = json_object_get(from, "timestamp");
    json_int_t crc = json_integer_value(json_object_get(from, "crc"));

    *out = MARK_NONE;
    if (from == NULL) {
        return true;
    }
    if (!record_offset(json_object_get(from, "offset"), &out->offset) ||
        !json_is_integer(timestamp) || crc < 0 || crc > UINT32_MAX) {
        return false;
    }
    out->timestamp_ms = json_integer_value(timestamp);
    out->crc = (uint32_t)crc;
    return true;
}

static bool read_target(const json_t *root, struct position *p)
{
    const json_t *target = json_object_get(root, "target");
    char partitioning[32], filters[32];

    if (!record_text(target, "topic", p->target_topic,
                     sizeof(p->target_topic)) ||
        !record_text(target, "partitioning", partitioning,
                     sizeof(partitioning)) ||
        !record_text(target, "filters", filters, sizeof(filters))) {
        return false;
    }
    p->filters = (uint32_t)strtoul(filters, NULL, 16);
    for (int i = 0; partitioning_names[i] != NULL; i++) {
        if (strcmp(partitioning, partitioning_names[i]) == 0) {
            p->partitioning = i;
            return true;
        }
    }
    return false;
}

static bool read_halt(const json_t *root, struct halt *out)
{
    const json_t *from = json_object_get(root, "halted");

    return from == NULL ||
           (record_text(from, "reason", out->reason, sizeof(out->reason)) &&
            record_offset(json_object_get(from, "since"), &out->since_ms) &&
            record_text(from, "detail", out->detail, sizeof(out->detail)));
}

static bool read_tail(const json_t *root, struct segments *out)
{
    const json_t *from = json_object_get(root, "tail");
    size_t i;
    json_t *item;

    if (!json_is_array(from) || json_array_size(from) > TAIL_MAX) {
        return false;
    }
    json_array_foreach(from, i, item)
    {
        struct segment s;
        int64_t partition;

        if (!record_offset(json_array_get(item, 0), &s.source) ||
            !record_offset(json_array_get(item, 1), &partition) ||
            partition > INT32_MAX ||
            !record_offset(json_array_get(item, 2), &s.target) ||
            !record_offset(json_array_get(item, 3), &s.count)) {
            return false;
        }
        s.partition = (int32_t)partition;
        if (segments_append(out, &s) != 0) {
            return false;
        }
    }
    return true;
}

static bool read_map(const json_t *root, struct position *p)
{
    const json_t *from = json_object_get(root, "map");
    size_t i;
    json_t *item;

    if (!json_is_array(from) || json_array_size(from) > MAP_MAX) {
        return false;
    }
    json_array_foreach(from, i, item)
    {
        if (!record_offset(json_array_get(item, 0), &p->map[i].source) ||
            !record_offset(json_array_get(item, 1), &p->map[i].offset)) {
            return false;
        }
    }
    p->map_count = json_array_size(from);
    return true;
}

enum err_kind position_decode(struct position *p, const char *data, size_t len,
                              struct err *e)
{
    json_t *root;

    position_init(p);
    root = record_load(data, len, "position", e);
    if (root == NULL) {
        return e->kind;
    }
    e->kind = ERR_NONE;
    if (!record_offset(json_object_get(root, "next"), &p->next) ||
        !record_offset(json_object_get(root, "epoch"), &p->epoch) ||
        !record_text(root, "claim", p->claim, sizeof(p->claim)) ||
        !read_target(root, p) || !read_mark(root, "anchor", &p->anchor) ||
        !read_mark(root, "checked", &p->checked) ||
        !read_mark(root, "target_anchor", &p->target_anchor) ||
        !read_halt(root, &p->halt) || !read_tail(root, &p->tail) ||
        !read_map(root, p)) {
        position_free(p);
        err_set(e, ERR_STATE, "position record: a field is missing or wrong");
    }
    json_decref(root);
    return e->kind;
}

/* Which pointer (never the oldest or the newest) stands closest to its
 * neighbours, for how far back it is. */
static size_t least_useful(const struct position *p)
{
    const int64_t newest = p->map[p->map_count - 1].source;
    size_t worst = 1;
    double least = -1;

    for (size_t i = 1; i + 1 < p->map_count; i++) {
        double span = (double)(p->map[i + 1].source - p->map[i - 1].source);
        double back = (double)(newest - p->map[i].source) + 1;

        if (least < 0 || span / back < least) {
            least = span / back;
            worst = i;
        }
    }
    return worst;
}

void position_add_map(struct position *p, int64_t source, int64_t offset)
{
    if (p->map_count == MAP_MAX) {
        size_t i = least_useful(p);
        memmove(&p->map[i], &p->map[i + 1],
                (p->map_count - i - 1) * sizeof(*p->map));
        p->map_count--;
    }
    p->map[p->map_count++] =
        (struct map_pointer){.source = source, .offset = offset};
}

int64_t position_target_of(const struct segments *tail, int64_t source)
{
    for (size_t i = tail->count; i > 0; i--) {
        const struct segment *s = &tail->items[i - 1];
        if (source >= s->source) {
            return source < s->source + s->count
                       ? s->target + (source - s->source)
                       : -1;
        }
    }
    return -1;
}

/* Version, epoch, count; then a segment each: how far it begins after the
 * end of the one before, its partition less the one before, the same for the
 * target offset, and its length. */
void chunk_encode(struct buf *out, int64_t epoch, const struct segments *tail,
                  size_t n)
{
    struct segment before = {0};

    buf_varint(out, RECORD_VERSION);
    buf_varint(out, (uint64_t)epoch);
    buf_varint(out, n);
    for (size_t i = 0; i < n; i++) {
        const struct segment *s = &tail->items[i];
        buf_varint(out, (uint64_t)(s->source - before.source - before.count));
        buf_zigzag(out, (int64_t)s->partition - before.partition);
        buf_zigzag(out, s->target - before.target - before.count);
        buf_varint(out, (uint64_t)s->count);
        before = *s;
    }
}

static bool chunk_next(struct segment *s, const char *data, size_t len,
                       size_t *at)
{
    const int64_t limit = INT64_MAX / 4;
    uint64_t skip, count;
    int64_t partition, target;

    if (varint_read(data, len, at, &skip) != 0 ||
        zigzag_read(data, len, at, &partition) != 0 ||
        zigzag_read(data, len, at, &target) != 0 ||
        varint_read(data, len, at, &count) != 0 || skip > (uint64_t)limit ||
        count < 1 || count > (uint64_t)limit || target > limit ||
        target < -limit || partition > INT32_MAX || partition < -INT32_MAX) {
        return false;
    }
    s->source += s->count + (int64_t)skip;
    s->target += s->count + target;
    partition += s->partition;
    s->count = (int64_t)count;
    s->partition = (int32_t)partition;
    return s->source <= limit && s->target >= 0 && s->target <= limit &&
           partition >= 0 && partition <= INT32_MAX;
}

enum err_kind chunk_decode(struct segments *out, int64_t *epoch,
                           const char *data, size_t len, struct err *e)
{
    struct segment s = {0};
    uint64_t version, epoch_read, count;
    size_t at = 0;

    *out = (struct segments){0};
    if (varint_read(data, len, &at, &version) != 0 ||
        version != RECORD_VERSION ||
        varint_read(data, len, &at, &epoch_read) != 0 ||
        epoch_read > INT64_MAX || varint_read(data, len, &at, &count) != 0) {
        return err_set(e, ERR_STATE, "offset map: not a chunk we can read");
    }
    while (count-- > 0) {
        if (!chunk_next(&s, data, len, &at) || segments_append(out, &s) != 0) {
            segments_free(out);
            return err_set(e, ERR_STATE, "offset map: broken chunk");
        }
    }
    *epoch = (int64_t)epoch_read;
    return ERR_NONE;
}
