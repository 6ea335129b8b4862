/*
 * segment.c - see segment.h.
 */
#include "relay/io/segment.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"

/* Sums of two stay in range, also of what was read from a record. */
#define OFFSET_MAX (INT64_MAX / 4)

static struct segment *newest(struct segments *s)
{
    return s->count > 0 ? &s->items[s->count - 1] : NULL;
}

static struct segment *grow(struct segments *s)
{
    if (s->count == s->capacity) {
        s->capacity = s->capacity > 0 ? s->capacity * 2 : 8;
        s->items = mem_realloc(s->items, s->capacity, sizeof(*s->items));
    }
    return &s->items[s->count++];
}

int segments_add(struct segments *s, int64_t source, int32_t partition,
                 int64_t target)
{
    struct segment *last = newest(s);

    if (last != NULL) {
        if (source < last->source + last->count ||
            (partition == last->partition &&
             target < last->target + last->count)) {
            return -1;
        }
        if (source == last->source + last->count &&
            target == last->target + last->count &&
            partition == last->partition) {
            last->count++;
            return 0;
        }
    }
    *grow(s) = (struct segment){
        .source = source, .target = target, .count = 1, .partition = partition};
    return 0;
}

int segments_append(struct segments *s, const struct segment *segment)
{
    const struct segment *last = newest(s);

    if (segment->count < 1 || segment->source < 0 || segment->target < 0 ||
        segment->count > OFFSET_MAX || segment->source > OFFSET_MAX ||
        segment->target > OFFSET_MAX || segment->partition < 0 ||
        (last != NULL && segment->source < last->source + last->count)) {
        return -1;
    }
    *grow(s) = *segment;
    return 0;
}

void segments_drop(struct segments *s, size_t n)
{
    VERIFY(n <= s->count);
    s->count -= n;
    memmove(s->items, s->items + n, s->count * sizeof(*s->items));
}

void segments_free(struct segments *s)
{
    free(s->items);
    *s = (struct segments){0};
}
