/*
 * test_position.c - the records of the offsets topic and of the offset map.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/lane/position.h"

static struct position sample(void)
{
    struct position p;

    position_init(&p);
    p.next = 1234567890123;
    p.epoch = 3;
    strcpy(p.claim, "0123456789abcdef0123456789abcdef");
    strcpy(p.target_topic, "west.orders");
    p.filters = 0xdeadbeef;
    p.anchor = (struct mark){1234567890122, 1700000000000, 0xffffffff};
    p.checked = (struct mark){5, 0, 1};
    p.target_anchor = (struct mark){77, -1, 0xffffffff};
    strcpy(p.halt.reason, "gap");
    strcpy(p.halt.detail, "\"quoted\" \\ and\ttabbed");
    p.halt.since_ms = 42;
    position_add_lost(&p, 10, 19, "gap", 1);
    position_add_lost(&p, 30, -1, "made anew", 2);
    p.moved = (struct moved){.from = -1, .time_ms = 3};
    strcpy(p.moved.reason, "moved by \"hand\"");
    for (int i = 0; i < TAIL_MAX; i++) {
        assert_int_equal(segments_add(&p.tail, i * 100, 2, i * 50), 0);
    }
    for (int i = 0; i < MAP_MAX; i++) {
        position_add_map(&p, i * 1000, i);
    }
    return p;
}

static void assert_same_mark(const struct mark *a, const struct mark *b)
{
    assert_int_equal(a->offset, b->offset);
    assert_int_equal(a->timestamp_ms, b->timestamp_ms);
    assert_int_equal(a->crc, b->crc);
}

static void assert_same_segments(const struct segments *a,
                                 const struct segments *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_int_equal(a->items[i].source, b->items[i].source);
        assert_int_equal(a->items[i].target, b->items[i].target);
        assert_int_equal(a->items[i].count, b->items[i].count);
        assert_int_equal(a->items[i].partition, b->items[i].partition);
    }
}

static void a_position_comes_back_as_it_was_written(void **state)
{
    struct position p = sample(), q;
    struct buf b = {0};
    struct err e = {0};

    (void)state;
    position_encode(&b, &p);
    assert_int_equal(position_decode(&q, b.data, b.len, &e), ERR_NONE);
    assert_int_equal(q.next, p.next);
    assert_int_equal(q.epoch, p.epoch);
    assert_string_equal(q.claim, p.claim);
    assert_string_equal(q.target_topic, p.target_topic);
    assert_int_equal(q.partitioning, p.partitioning);
    assert_int_equal(q.filters, p.filters);
    assert_same_mark(&q.anchor, &p.anchor);
    assert_same_mark(&q.checked, &p.checked);
    assert_same_mark(&q.target_anchor, &p.target_anchor);
    assert_string_equal(q.halt.reason, p.halt.reason);
    assert_string_equal(q.halt.detail, p.halt.detail);
    assert_int_equal(q.halt.since_ms, p.halt.since_ms);
    assert_int_equal(q.lost_count, p.lost_count);
    for (size_t i = 0; i < q.lost_count; i++) {
        assert_int_equal(q.lost[i].from, p.lost[i].from);
        assert_int_equal(q.lost[i].to, p.lost[i].to);
        assert_string_equal(q.lost[i].reason, p.lost[i].reason);
        assert_int_equal(q.lost[i].time_ms, p.lost[i].time_ms);
    }
    assert_int_equal(q.moved.from, p.moved.from);
    assert_int_equal(q.moved.time_ms, p.moved.time_ms);
    assert_string_equal(q.moved.reason, p.moved.reason);
    assert_same_segments(&q.tail, &p.tail);
    assert_int_equal(q.map_count, p.map_count);
    assert_memory_equal(q.map, p.map, sizeof(p.map));
    buf_free(&b);
    position_free(&p);
    position_free(&q);
}

/* Every cut and every changed byte of a good record is read or refused; the
 * sanitizers watch. */
static void broken_bytes_never_break_the_reader(void **state)
{
    struct position p = sample(), q;
    struct buf b = {0};
    struct err e = {0};

    (void)state;
    position_encode(&b, &p);
    for (size_t n = 0; n < b.len; n++) {
        assert_int_equal(position_decode(&q, b.data, n, &e), ERR_STATE);
    }
    for (size_t i = 0; i < b.len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            b.data[i] ^= (char)(1 << bit);
            if (position_decode(&q, b.data, b.len, &e) == ERR_NONE) {
                position_free(&q);
            }
            b.data[i] ^= (char)(1 << bit);
        }
    }
    buf_free(&b);
    position_free(&p);
}

static void a_newer_version_is_refused_and_unknown_fields_are_not(void **state)
{
    static const char newer[] = "{\"v\":2,\"next\":1}";
    static const char more[] =
        "{\"v\":1,\"next\":1,\"claim\":\"\",\"epoch\":0,\"target\":{\"topic\":"
        "\"t\",\"partitioning\":\"preserve\",\"filters\":\"0\",\"x\":1},"
        "\"tail\":[],\"map\":[],\"future\":{\"a\":[1]}}";
    struct position p;
    struct err e = {0};

    (void)state;
    assert_int_equal(position_decode(&p, newer, strlen(newer), &e), ERR_STATE);
    assert_non_null(strstr(e.text, "newer"));
    assert_int_equal(position_decode(&p, more, strlen(more), &e), ERR_NONE);
    assert_int_equal(p.next, 1);
    assert_int_equal(p.anchor.offset, -1);
    position_free(&p);
}

static void wrong_fields_are_refused(void **state)
{
#define REST                                                       \
    "\"claim\":\"\",\"target\":{\"topic\":\"t\",\"partitioning\":" \
    "\"preserve\",\"filters\":\"0\"}"
    static const char *const bad[] = {
        "[]",
        "null",
        "{}",
        "{\"v\":\"1\"}",
        "{\"v\":1,\"next\":-1,\"epoch\":0,\"tail\":[],\"map\":[]," REST "}",
        "{\"v\":1,\"next\":1.5,\"epoch\":0,\"tail\":[],\"map\":[]," REST "}",
        "{\"v\":1,\"next\":1,\"epoch\":0,\"tail\":[[1,0,1,0]],\"map\":[]," REST
        "}",
        "{\"v\":1,\"next\":1,\"epoch\":0,\"tail\":[[9,0,1,1],[8,0,2,1]],"
        "\"map\":[]," REST "}",
        "{\"v\":1,\"next\":1,\"epoch\":0,\"tail\":[[1,4294967296,1,1]],"
        "\"map\":[]," REST "}",
        "{\"v\":1,\"next\":1,\"epoch\":0,\"tail\":{},\"map\":[]," REST "}",
        "{\"v\":1,\"next\":1,\"epoch\":0,\"tail\":[],\"map\":[[1,-1]]," REST
        "}",
        "{\"v\":1,\"next\":1,\"next\":2,\"epoch\":0,\"tail\":[],\"map\":[]"
        "," REST "}",
    };
#undef REST
    struct position p;
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(position_decode(&p, bad[i], strlen(bad[i]), &e),
                         ERR_STATE);
    }
}

static void lost_ranges_are_joined_and_the_oldest_goes_first(void **state)
{
    struct position p;

    (void)state;
    position_init(&p);
    position_add_lost(&p, 0, 9, "gap", 1);
    position_add_lost(&p, 10, 10, "gap", 2); /* goes on where that one ends */
    assert_int_equal(p.lost_count, 1);
    assert_int_equal(p.lost[0].to, 10);
    assert_int_equal(p.lost[0].time_ms, 2);
    position_add_lost(&p, 11, 11, "skipped", 3); /* for another reason */
    position_add_lost(&p, 20, -1, "skipped", 4); /* not where that one ends */
    position_add_lost(&p, 0, 5, "skipped", 5);   /* its end is not known */
    assert_int_equal(p.lost_count, 4);
    for (int i = 0; i < LOST_MAX; i++) {
        position_add_lost(&p, i * 100, i * 100, "gap", 6);
    }
    assert_int_equal(p.lost_count, LOST_MAX);
    assert_int_equal(p.lost[0].from, 0);
    assert_int_equal(p.lost[LOST_MAX - 1].from, (LOST_MAX - 1) * 100);
}

/* A position is read and written in every session. */
static void what_is_read_again_is_not_lost(void **state)
{
    (void)state;
    struct position p;

    position_init(&p);
    position_add_lost(&p, 10, 19, "gap", 1);
    position_add_lost(&p, 30, -1, "log", 2);
    position_add_lost(&p, 50, 59, "moved", 3);
    position_cut_lost(&p, 40);
    assert_int_equal(p.lost_count, 2);
    assert_int_equal(p.lost[1].to, -1);
    position_cut_lost(&p, 15);
    assert_int_equal(p.lost_count, 1);
    assert_int_equal(p.lost[0].from, 10);
    assert_int_equal(p.lost[0].to, 14);
    position_cut_lost(&p, 10);
    assert_int_equal(p.lost_count, 0);
}

static void text_does_not_grow_and_never_makes_a_record_unusable(void **state)
{
    struct position p = sample(), q;
    struct buf b = {0};
    struct err e = {0};

    (void)state;
    snprintf(p.moved.reason, sizeof(p.moved.reason), "%s",
             "f\xc3\xbcr sp\xc3\xa4ter \xff \xd1\x82\xd0\xb5\xd1\x81\xd1\x82");
    memset(p.halt.detail, 0xff, sizeof(p.halt.detail) - 1);
    for (int i = 0; i < 5; i++) {
        buf_clear(&b);
        position_encode(&b, &p);
        assert_int_equal(position_decode(&q, b.data, b.len, &e), ERR_NONE);
        if (i > 0) {
            assert_string_equal(q.moved.reason, p.moved.reason);
            assert_string_equal(q.halt.detail, p.halt.detail);
        }
        position_free(&p);
        p = q;
    }
    assert_string_equal(p.moved.reason, "f\xc3\xbcr sp\xc3\xa4ter \xef\xbf\xbd "
                                        "\xd1\x82\xd0\xb5\xd1\x81\xd1\x82");
    buf_free(&b);
    position_free(&p);
}

static void a_new_epoch_forgets_what_belonged_to_the_old_one(void **state)
{
    struct position p = sample();

    (void)state;
    position_new_epoch(&p);
    assert_int_equal(p.epoch, 4);
    assert_int_equal(p.anchor.offset, -1);
    assert_int_equal(p.checked.offset, -1);
    assert_int_equal(p.target_anchor.offset, -1);
    assert_int_equal(p.tail.count, 0);
    assert_int_equal(p.map_count, 0);
    assert_int_equal(p.lost_count, 2); /* what was lost stays so */
}

static void the_key_is_the_one_of_the_format(void **state)
{
    struct buf b = {0};

    (void)state;
    position_key(&b, "a.b-c_d", 12);
    buf_add(&b, "", 1);
    assert_string_equal(b.data, "{\"topic\":\"a.b-c_d\",\"partition\":12}");
    buf_free(&b);
}

static void the_target_of_a_source_offset_is_found_in_the_tail(void **state)
{
    struct segments tail = {0};

    (void)state;
    assert_int_equal(position_target_of(&tail, 1), -1);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(segments_add(&tail, 100 + i, 0, 5 + i), 0);
    }
    assert_int_equal(segments_add(&tail, 120, 0, 16), 0);
    assert_int_equal(position_target_of(&tail, 99), -1);
    assert_int_equal(position_target_of(&tail, 100), 5);
    assert_int_equal(position_target_of(&tail, 109), 14);
    assert_int_equal(position_target_of(&tail, 110), -1);
    assert_int_equal(position_target_of(&tail, 120), 16);
    assert_int_equal(position_target_of(&tail, 121), -1);
    segments_free(&tail);
}

/* The search from any offset back to a pointer stays bounded: the gap before
 * an offset is at most a fixed part of its distance from the newest. */
static void map_pointers_stay_exponentially_spaced(void **state)
{
    enum { TOTAL = 100000 };
    struct position p;

    (void)state;
    position_init(&p);
    for (int64_t i = 0; i < TOTAL; i++) {
        position_add_map(&p, i, i);
    }
    assert_int_equal(p.map_count, MAP_MAX);
    assert_int_equal(p.map[0].source, 0);
    assert_int_equal(p.map[MAP_MAX - 1].source, TOTAL - 1);
    for (size_t i = 1; i < p.map_count; i++) {
        int64_t gap = p.map[i].source - p.map[i - 1].source;
        int64_t back = TOTAL - p.map[i - 1].source;
        assert_true(gap > 0);
        assert_true(gap <= 1 + back * 2 / 3);
    }
}

static void a_chunk_comes_back_as_it_was_written(void **state)
{
    struct segments in = {0}, out;
    struct buf b = {0};
    struct err e = {0};
    int64_t epoch = 0, source = 0, target = 1LL << 40;

    (void)state;
    srandom(7);
    for (int i = 0; i < 4096; i++) {
        struct segment s = {.source = source + random() % 5000,
                            .target = target,
                            .count = 1 + random() % 100000,
                            .partition = (int32_t)(random() % 3)};
        assert_int_equal(segments_append(&in, &s), 0);
        source = s.source + s.count;
        target += s.count + 1;
        if (i == 2000) {
            target = 5; /* another target partition may be far behind */
        }
    }
    chunk_encode(&b, 9, &in, in.count);
    assert_int_equal(chunk_decode(&out, &epoch, b.data, b.len, &e), ERR_NONE);
    assert_int_equal(epoch, 9);
    assert_same_segments(&out, &in);
    segments_free(&in);
    segments_free(&out);
    buf_free(&b);
}

static void a_chunk_of_one_segment_a_commit_is_small(void **state)
{
    struct segments in = {0};
    struct buf b = {0};

    (void)state;
    for (int64_t i = 0; i < 16; i++) {
        const struct segment s = {i * 1000, i * 1001, 1000, 0};
        assert_int_equal(segments_append(&in, &s), 0);
    }
    chunk_encode(&b, 0, &in, in.count);
    assert_true(b.len <= 3 + 16 * 5);
    segments_free(&in);
    buf_free(&b);
}

static void broken_chunks_are_refused(void **state)
{
    struct segments in = {0}, out;
    struct buf b = {0};
    struct err e = {0};
    int64_t epoch;

    (void)state;
    for (int64_t i = 0; i < 16; i++) {
        const struct segment s = {i * 1000, i * 1001, 1000, 0};
        assert_int_equal(segments_append(&in, &s), 0);
    }
    chunk_encode(&b, 0, &in, in.count);
    for (size_t n = 0; n < b.len; n++) {
        assert_int_equal(chunk_decode(&out, &epoch, b.data, n, &e), ERR_STATE);
    }
    for (size_t i = 0; i < b.len; i++) {
        for (int value = 0; value < 256; value++) {
            char kept = b.data[i];
            b.data[i] = (char)value;
            if (chunk_decode(&out, &epoch, b.data, b.len, &e) == ERR_NONE) {
                segments_free(&out);
            }
            b.data[i] = kept;
        }
    }
    segments_free(&in);
    buf_free(&b);
}

static void identity_and_claim_come_back_as_they_were_written(void **state)
{
    struct identity id = {.source = "wTmJ0w==", .lanes = 4, .generation = 2},
                    id_read;
    struct claim claim = {.host = "h\"1", .pid = 12, .started_ms = 99},
                 claim_read;
    struct buf b = {0};
    struct err e = {0};

    (void)state;
    uuid_make(id.relay);
    nonce_make(claim.nonce);
    strcpy(claim.version, "0.1.0");
    strcpy(claim.rules, "0011aabb");
    identity_encode(&b, &id);
    assert_int_equal(identity_decode(&id_read, b.data, b.len, &e), ERR_NONE);
    assert_string_equal(id_read.relay, id.relay);
    assert_string_equal(id_read.source, id.source);
    assert_int_equal(id_read.lanes, 4);
    assert_int_equal(id_read.generation, 2);
    buf_clear(&b);
    claim_encode(&b, &claim);
    assert_int_equal(claim_decode(&claim_read, b.data, b.len, &e), ERR_NONE);
    assert_string_equal(claim_read.nonce, claim.nonce);
    assert_string_equal(claim_read.host, claim.host);
    assert_string_equal(claim_read.rules, claim.rules);
    assert_int_equal(claim_read.pid, 12);
    assert_int_equal(claim_read.started_ms, 99);
    assert_false(claim_read.released);
    buf_free(&b);
}

static void random_names_have_their_form_and_differ(void **state)
{
    char nonce[2][NONCE_SIZE], uuid[2][UUID_SIZE];

    (void)state;
    for (int i = 0; i < 2; i++) {
        nonce_make(nonce[i]);
        uuid_make(uuid[i]);
        assert_int_equal(strlen(nonce[i]), 32);
        assert_int_equal(strspn(nonce[i], "0123456789abcdef"), 32);
        assert_int_equal(strlen(uuid[i]), 36);
        assert_int_equal(uuid[i][14], '4');
        assert_non_null(strchr("89ab", uuid[i][19]));
    }
    assert_string_not_equal(nonce[0], nonce[1]);
    assert_string_not_equal(uuid[0], uuid[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_position_comes_back_as_it_was_written),
        cmocka_unit_test(broken_bytes_never_break_the_reader),
        cmocka_unit_test(a_newer_version_is_refused_and_unknown_fields_are_not),
        cmocka_unit_test(wrong_fields_are_refused),
        cmocka_unit_test(lost_ranges_are_joined_and_the_oldest_goes_first),
        cmocka_unit_test(what_is_read_again_is_not_lost),
        cmocka_unit_test(text_does_not_grow_and_never_makes_a_record_unusable),
        cmocka_unit_test(a_new_epoch_forgets_what_belonged_to_the_old_one),
        cmocka_unit_test(the_key_is_the_one_of_the_format),
        cmocka_unit_test(the_target_of_a_source_offset_is_found_in_the_tail),
        cmocka_unit_test(map_pointers_stay_exponentially_spaced),
        cmocka_unit_test(a_chunk_comes_back_as_it_was_written),
        cmocka_unit_test(a_chunk_of_one_segment_a_commit_is_small),
        cmocka_unit_test(broken_chunks_are_refused),
        cmocka_unit_test(identity_and_claim_come_back_as_they_were_written),
        cmocka_unit_test(random_names_have_their_form_and_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
