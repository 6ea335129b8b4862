/*
 * remap.c - see remap.h.
 */
#include "relay/sync/remap.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/base/table.h"
#include "relay/io/reader.h"
#include "relay/lane/names.h"

enum {
    COMMIT_CHUNKS = 500,
    COMMIT_AGE_MS = 5000, /* a transaction may be open for 30 s */
    COMMIT_MS = 20000,
    QUIET_MS = 20000, /* the old map must give something within this */
    KEY_MAX = 2048,
};

/* One position's pointers, and where their chunks stand now. */
struct mapped {
    struct entry *entry;
    int64_t at[MAP_MAX]; /* -1: not found (yet) */
};

struct mover {
    struct remap *r;
    struct table *by_key; /* of the position -> struct mapped */
    size_t open;          /* chunks in the open transaction */
    int64_t open_ms;      /* clock_ms of the first of them */
    struct patience quiet;
};

static struct table *index_of(struct entries *positions)
{
    struct table *table = table_new();
    struct buf key = {0};

    for (size_t i = 0; i < positions->count; i++) {
        struct entry *entry = &positions->items[i];
        struct mapped *mapped;

        if (entry->position.map_count == 0) {
            continue;
        }
        mapped = mem_calloc(1, sizeof(*mapped));
        mapped->entry = entry;
        for (int k = 0; k < MAP_MAX; k++) {
            mapped->at[k] = -1;
        }
        buf_clear(&key);
        position_key(&key, entry->topic, entry->partition);
        buf_add(&key, "", 1);
        free(table_put(table, key.data, mapped));
    }
    buf_free(&key);
    return table;
}

static enum err_kind commit(struct mover *m, struct err *e)
{
    const struct patience patience = patience_of(COMMIT_MS, NULL, 0);

    m->open = 0;
    if (sink_commit(m->r->sink, &patience, e) != ERR_NONE) {
        return e->kind;
    }
    if (sink_is_ambiguous(m->r->sink)) {
        return err_set(e, ERR_RETRY,
                       "a transaction request was sent twice or "
                       "not answered");
    }
    return sink_begin(m->r->sink, e);
}

/* Where a pointer's new place goes; NULL: none leads to this chunk. */
static int64_t *pointer_to(struct mapped *mapped, int64_t offset)
{
    const struct position *p = &mapped->entry->position;

    for (size_t i = 0; i < p->map_count; i++) {
        if (p->map[i].offset == offset) {
            return &mapped->at[i];
        }
    }
    return NULL;
}

/* Chunks of older epochs serve nobody. */
static bool is_of_epoch(const struct log_record *r, int64_t epoch)
{
    uint64_t version, found;
    size_t at = 0;

    return r->value != NULL &&
           varint_read(r->value, r->value_len, &at, &version) == 0 &&
           version == RECORD_VERSION &&
           varint_read(r->value, r->value_len, &at, &found) == 0 &&
           found == (uint64_t)epoch;
}

static bool is_due(const struct mover *m)
{
    return m->open >= COMMIT_CHUNKS ||
           (m->open > 0 && clock_ms() - m->open_ms >= COMMIT_AGE_MS);
}

static enum log_verdict see_chunk(void *arg, const struct log_record *r,
                                  struct err *e)
{
    struct mover *m = arg;
    struct mapped *mapped;
    char key[KEY_MAX];

    m->quiet = patience_of(QUIET_MS, NULL, 0);
    if (is_due(m) && commit(m, e) != ERR_NONE) {
        return LOG_BAD;
    }
    if (r->key_len >= sizeof(key)) {
        return LOG_GO_ON;
    }
    snprintf(key, sizeof(key), "%.*s", (int)r->key_len, r->key);
    mapped = table_get(m->by_key, key);
    if (mapped == NULL || r->offset < mapped->entry->position.map[0].offset ||
        !is_of_epoch(r, mapped->entry->position.epoch)) {
        return LOG_GO_ON;
    }
    if (sink_put(m->r->sink, m->r->to->map,
                 lane_of(mapped->entry->topic, mapped->entry->partition,
                         m->r->lanes),
                 key, r->value, r->value_len, pointer_to(mapped, r->offset),
                 e) != ERR_NONE) {
        return LOG_BAD;
    }
    m->r->chunks++;
    if (m->open++ == 0) {
        m->open_ms = clock_ms();
    }
    return LOG_GO_ON;
}

static bool has_chunks(const struct entries *positions, int32_t lane,
                       int32_t lanes)
{
    for (size_t i = 0; i < positions->count; i++) {
        const struct entry *entry = &positions->items[i];
        if (entry->position.map_count > 0 &&
            lane_of(entry->topic, entry->partition, lanes) == lane) {
            return true;
        }
    }
    return false;
}

static void set_pointers(const struct table *by_key)
{
    struct mapped *mapped;
    const char *key;
    size_t at = 0;

    while ((mapped = table_next(by_key, &at, &key)) != NULL) {
        struct position *p = &mapped->entry->position;
        size_t kept = 0;

        for (size_t i = 0; i < p->map_count; i++) {
            if (mapped->at[i] >= 0) {
                p->map[kept++] =
                    (struct map_pointer){p->map[i].source, mapped->at[i]};
            }
        }
        p->map_count = kept;
    }
}

enum err_kind remap(struct remap *r, struct entries *positions, struct err *e)
{
    struct mover m = {.r = r, .by_key = index_of(positions)};
    struct reader *reader = NULL;
    enum err_kind rc = reader_open(&reader, &r->cfg->target, READ_COMMITTED, e);

    r->chunks = 0;
    r->pending = m.by_key;
    for (int32_t k = 0; k < r->from->map_partitions && rc == ERR_NONE; k++) {
        if (!has_chunks(positions, k, r->from->identity.lanes)) {
            continue;
        }
        rc = reader_open_log(reader, r->from->map, k, e);
        if (rc == ERR_NONE) {
            m.quiet = patience_of(QUIET_MS, NULL, 0);
            rc = reader_read_log(reader, false, see_chunk, &m, &m.quiet, e);
        }
    }
    if (rc == ERR_NONE && m.open > 0) {
        rc = commit(&m, e);
    }
    if (rc == ERR_NONE) {
        set_pointers(m.by_key);
    }
    reader_close(&reader);
    return rc;
}

void remap_free(struct remap *r)
{
    if (r->pending != NULL) {
        table_free(&r->pending, free);
    }
}
