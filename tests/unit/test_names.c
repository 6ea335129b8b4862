/*
 * test_names.c - names on the clusters, and the lane of a partition. Both are
 * a format: a change strands what is on the target.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/lane/names.h"

static void names_are_those_of_the_format(void **state)
{
    char name[NAME_SIZE];

    (void)state;
    name_offsets_topic(name, "east-to-west", 2);
    assert_string_equal(name, "kafka-relay.east-to-west.offsets.2.internal");
    name_map_topic(name, "east-to-west", 0);
    assert_string_equal(name, "kafka-relay.east-to-west.offset-map.0.internal");
    name_group(name, "east-to-west");
    assert_string_equal(name, "kafka-relay.east-to-west");
    name_transactional_id(name, "east-to-west", 1, 3);
    assert_string_equal(name, "kafka-relay.east-to-west.1.3");
}

static void a_generation_is_read_only_from_this_relays_own_topics(void **state)
{
    static const struct {
        const char *topic;
        int generation;
    } cases[] = {
        {"kafka-relay.r.offsets.0.internal", 0},
        {"kafka-relay.r.offsets.17.internal", 17},
        {"kafka-relay.r.offsets.017.internal", -1},
        {"kafka-relay.r.offsets.-1.internal", -1},
        {"kafka-relay.r.offsets.1.internal.x", -1},
        {"kafka-relay.r.offsets..internal", -1},
        {"kafka-relay.rr.offsets.1.internal", -1},
        {"kafka-relay.r.offset-map.1.internal", -1},
        {"other", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_int_equal(name_generation(cases[i].topic, "r"),
                         cases[i].generation);
    }
}

/* Reference values: zlib's crc32 in Python. */
static void a_partition_keeps_its_lane(void **state)
{
    (void)state;
    assert_int_equal(lane_of("orders", 0, 4), 0xe52ffdee % 4);
    assert_int_equal(lane_of("orders", 1, 4), (0xe52ffdee + 1) % 4);
    assert_int_equal(lane_of("syslog.lon", 7, 16), (0x57c2542dLL + 7) % 16);
}

static void neighbouring_partitions_are_spread_over_all_lanes(void **state)
{
    int seen[5] = {0};

    (void)state;
    for (int32_t p = 0; p < 5; p++) {
        seen[lane_of("any.topic", p, 5)]++;
    }
    for (int k = 0; k < 5; k++) {
        assert_int_equal(seen[k], 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_those_of_the_format),
        cmocka_unit_test(a_generation_is_read_only_from_this_relays_own_topics),
        cmocka_unit_test(a_partition_keeps_its_lane),
        cmocka_unit_test(neighbouring_partitions_are_spread_over_all_lanes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
