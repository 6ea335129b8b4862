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
    *p = (struct position){.anchor = MARK_NONE,
                           .checked = MARK_NONE,
                           .target_anchor = MARK_NONE,
                           .moved = {.from = -1}};
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

static void put_lost(struct buf *out, const struct position *p)
{
    for (size_t i = 0; i < p->lost_count; i++) {
        const struct lost *l = &p->lost[i];
        buf_printf(out, "%s[%" PRId64 ",", i > 0 ? "," : ",\"lost\":[",
                   l->from);
        if (l->to >= 0) {
            buf_printf(out, "%" PRId64 ",", l->to);
        } else {
            buf_printf(out, "null,");
        }
        buf_json_string(out, l->reason);
        buf_printf(out, ",%" PRId64 "]", l->time_ms);
    }
    if (p->lost_count > 0) {
        buf_add(out, "]", 1);
    }
}

static void put_moved(struct buf *out, const struct moved *m)
{
    if (m->reason[0] == '\0') {
        return;
    }
    buf_printf(out, ",\"moved\":{");
    if (m->from >= 0) {
        buf_printf(out, "\"from\":%" PRId64 ",", m->from);
    }
    buf_printf(out, "\"time\":%" PRId64 ",\"reason\":", m->time_ms);
    buf_json_string(out, m->reason);
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
    put_lost(out, p);
    put_moved(out, &p->moved);
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
            record_label(json_object_get(from, "detail"), out->detail,
                         sizeof(out->detail)));
}

static bool read_lost(const json_t *root, struct position *p)
{
    const json_t *from = json_object_get(root, "lost");
    size_t i;
    json_t *item;

    if (from == NULL) {
        return true;
    }
    if (!json_is_array(from) || json_array_size(from) > LOST_MAX) {
        return false;
    }
    json_array_foreach(from, i, item)
    {
        struct lost *l = &p->lost[i];
        const json_t *to = json_array_get(item, 1);

        l->to = -1;
        if (!record_offset(json_array_get(item, 0), &l->from) ||
            (!json_is_null(to) &&
             (!record_offset(to, &l->to) || l->to < l->from)) ||
            !record_label(json_array_get(item, 2), l->reason,
                          sizeof(l->reason)) ||
            !record_offset(json_array_get(item, 3), &l->time_ms)) {
            return false;
        }
    }
    p->lost_count = json_array_size(from);
    return true;
}

static bool read_moved(const json_t *root, struct moved *out)
{
    const json_t *m = json_object_get(root, "moved");
    const json_t *from = json_object_get(m, "from");

    out->from = -1;
    return m == NULL ||
           ((from == NULL || record_offset(from, &out->from)) &&
            record_offset(json_object_get(m, "time"), &out->time_ms) &&
            record_label(json_object_get(m, "reason"), out->reason,
                         sizeof(out->reason)));
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
        !read_halt(root, &p->halt) || !read_lost(root, p) ||
        !read_moved(root, &p->moved) || !read_tail(root, &p->tail) ||
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

void position_add_lost(struct position *p, int64_t from, int64_t to,
                       const char *reason, int64_t time_ms)
{
    struct lost *l = p->lost_count > 0 ? &p->lost[p->lost_count - 1] : NULL;

    if (l != NULL && l->to >= 0 && from == l->to + 1 && to >= from &&
        strcmp(l->reason, reason) == 0) {
        l->to = to;
        l->time_ms = time_ms;
        return;
    }
    if (p->lost_count == LOST_MAX) {
        memmove(p->lost, p->lost + 1, (LOST_MAX - 1) * sizeof(*p->lost));
        p->lost_count--;
    }
    l = &p->lost[p->lost_count++];
    *l = (struct lost){.from = from, .to = to, .time_ms = time_ms};
    snprintf(l->reason, sizeof(l->reason), "%s", reason);
}

void position_cut_lost(struct position *p, int64_t next)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->lost_count; i++) {
        struct lost *l = &p->lost[i];

        if (l->from >= next) {
            continue;
        }
        if (l->to >= next) {
            l->to = next - 1;
        }
        p->lost[kept++] = *l;
    }
    p->lost_count = kept;
}

void position_new_epoch(struct position *p)
{
    p->epoch++;
    p->anchor = p->checked = p->target_anchor = MARK_NONE;
    segments_free(&p->tail);
    p->map_count = 0;
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
