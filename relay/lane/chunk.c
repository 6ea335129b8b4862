/*
 * chunk.c - segments of the offset map, to and from bytes; see position.h.
 */
#include "relay/lane/position.h"

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
