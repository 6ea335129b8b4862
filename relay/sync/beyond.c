/*
 * beyond.c - see beyond.h.
 */
#include "relay/sync/beyond.h"

#include <stdlib.h>

#include "relay/base/mem.h"
#include "relay/io/reader.h"

enum { AT_ONCE = 1000, KEY_SIZE = TOPIC_NAME_MAX + 16 };

struct search {
    const struct config *cfg;
    struct admin *target;
    const struct patience *patience;
    const struct entry **entries; /* to look at, and for each of them */
    struct offset_query *starts;  /* the log start, */
    bool *done;                   /* and whether it was looked at */
    size_t count;
};

/* Kept where copies are: partition by partition. */
static void choose(struct search *s, const struct entries *positions,
                   const struct topic_list *topics)
{
    s->entries = mem_calloc(positions->count, sizeof(*s->entries));
    s->starts = mem_calloc(positions->count, sizeof(*s->starts));
    s->done = mem_calloc(positions->count, sizeof(*s->done));
    for (size_t i = 0; i < positions->count; i++) {
        const struct entry *entry = &positions->items[i];
        const struct position *p = &entry->position;

        const bool moved = p->epoch > 0 || p->moved.reason[0] != '\0';

        if ((p->target_anchor.offset < 0 && moved) ||
            topic_list_partitions(topics, p->target_topic) <=
                entry->partition) {
            continue;
        }
        s->starts[s->count] =
            (struct offset_query){.topic = p->target_topic,
                                  .partition = entry->partition,
                                  .time_ms = OFFSETS_EARLIEST};
        s->entries[s->count++] = entry;
    }
}

static int64_t look_from(const struct search *s, size_t i)
{
    const int64_t behind = s->entries[i]->position.target_anchor.offset + 1;

    return behind > s->starts[i].offset ? behind : s->starts[i].offset;
}

/* The next ones to look up side by side: a partition only once. */
static size_t next_batch(struct search *s, struct lookup *batch, size_t *which)
{
    struct table *seen = table_new();
    size_t n = 0;

    for (size_t i = 0; i < s->count && n < AT_ONCE; i++) {
        const struct offset_query *at = &s->starts[i];
        char key[KEY_SIZE];

        snprintf(key, sizeof(key), "%s %d", at->topic, (int)at->partition);
        if (s->done[i] || table_get(seen, key) != NULL) {
            continue;
        }
        table_put(seen, key, s);
        s->done[i] = true;
        if (!at->unknown) {
            which[n] = i;
            batch[n++] = (struct lookup){.topic = at->topic,
                                         .partition = at->partition,
                                         .offset = look_from(s, i)};
        }
    }
    table_free(&seen, NULL);
    return n;
}

static enum err_kind look(struct search *s, const struct entry **found,
                          int64_t *offset, struct err *e)
{
    struct lookup *batch = mem_calloc(AT_ONCE, sizeof(*batch));
    size_t *which = mem_calloc(AT_ONCE, sizeof(*which));
    struct reader *reader = NULL;
    enum err_kind rc = reader_open(&reader, &s->cfg->target, READ_COMMITTED, e);
    size_t n;

    while (rc == ERR_NONE && *found == NULL &&
           (n = next_batch(s, batch, which)) > 0) {
        rc = reader_look_up(reader, batch, n, s->patience, e);
        for (size_t i = 0; i < n && rc == ERR_NONE && *found == NULL; i++) {
            if (!batch[i].missing && batch[i].found.offset >= 0) {
                *found = s->entries[which[i]];
                *offset = batch[i].found.offset;
            }
        }
    }
    reader_close(&reader);
    free(batch);
    free(which);
    return rc;
}

enum err_kind beyond_find(const struct entry **found, int64_t *offset,
                          const struct entries *positions,
                          const struct config *cfg, struct admin *target,
                          const struct patience *patience, struct err *e)
{
    struct search s = {.cfg = cfg, .target = target, .patience = patience};
    struct topic_list topics = {0};
    enum err_kind rc;

    *found = NULL;
    if (admin_topics(target, &topics, patience, e) != ERR_NONE) {
        return e->kind;
    }
    choose(&s, positions, &topics);
    rc = admin_offsets(target, s.starts, s.count, patience, e);
    if (rc == ERR_NONE) {
        rc = look(&s, found, offset, e);
    }
    topic_list_free(&topics);
    free(s.entries);
    free(s.starts);
    free(s.done);
    return rc;
}
