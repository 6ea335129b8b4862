/*
 * test_segment.c - tails: which source offsets stand where on the target.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/io/segment.h"

static void records_that_follow_on_lengthen_one_segment(void **state)
{
    struct segments s = {0};

    (void)state;
    for (int64_t i = 0; i < 1000; i++) {
        assert_int_equal(segments_add(&s, 50 + i, 3, 7 + i), 0);
    }
    assert_int_equal(s.count, 1);
    assert_int_equal(s.items[0].source, 50);
    assert_int_equal(s.items[0].target, 7);
    assert_int_equal(s.items[0].count, 1000);
    assert_int_equal(s.items[0].partition, 3);
    segments_free(&s);
}

static void a_source_gap_begins_a_new_segment(void **state)
{
    struct segments s = {0};

    (void)state;
    assert_int_equal(segments_add(&s, 0, 0, 0), 0);
    assert_int_equal(segments_add(&s, 2, 0, 1), 0);
    assert_int_equal(s.count, 2);
    segments_free(&s);
}

static void a_commit_marker_on_the_target_begins_a_new_segment(void **state)
{
    struct segments s = {0};

    (void)state;
    assert_int_equal(segments_add(&s, 0, 0, 0), 0);
    assert_int_equal(segments_add(&s, 1, 0, 2), 0);
    assert_int_equal(s.count, 2);
    segments_free(&s);
}

static void another_target_partition_begins_a_new_segment(void **state)
{
    struct segments s = {0};

    (void)state;
    assert_int_equal(segments_add(&s, 0, 0, 5), 0);
    assert_int_equal(segments_add(&s, 1, 1, 6), 0);
    assert_int_equal(s.count, 2);
    segments_free(&s);
}

static void deliveries_out_of_order_are_refused(void **state)
{
    struct segments s = {0};

    (void)state;
    assert_int_equal(segments_add(&s, 10, 0, 0), 0);
    assert_int_equal(segments_add(&s, 10, 0, 1), -1);
    assert_int_equal(segments_add(&s, 9, 0, 1), -1);
    assert_int_equal(s.count, 1);
    segments_free(&s);
}

static void a_segment_that_overlaps_or_is_empty_is_refused(void **state)
{
    static const struct segment bad[] = {
        {.source = 104, .target = 9, .count = 1, .partition = 0},
        {.source = 200, .target = 9, .count = 0, .partition = 0},
        {.source = 200, .target = -1, .count = 1, .partition = 0},
        {.source = 200, .target = 9, .count = 1, .partition = -1},
    };
    const struct segment first = {.source = 100, .target = 0, .count = 5};
    struct segments s = {0};

    (void)state;
    assert_int_equal(segments_append(&s, &first), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(segments_append(&s, &bad[i]), -1);
    }
    assert_int_equal(s.count, 1);
    segments_free(&s);
}

static void dropping_forgets_the_oldest(void **state)
{
    struct segments s = {0};

    (void)state;
    for (int64_t i = 0; i < 20; i++) {
        assert_int_equal(segments_add(&s, i * 10, 0, i), 0);
    }
    segments_drop(&s, 19);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.items[0].source, 190);
    segments_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_that_follow_on_lengthen_one_segment),
        cmocka_unit_test(a_source_gap_begins_a_new_segment),
        cmocka_unit_test(a_commit_marker_on_the_target_begins_a_new_segment),
        cmocka_unit_test(another_target_partition_begins_a_new_segment),
        cmocka_unit_test(deliveries_out_of_order_are_refused),
        cmocka_unit_test(a_segment_that_overlaps_or_is_empty_is_refused),
        cmocka_unit_test(dropping_forgets_the_oldest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
