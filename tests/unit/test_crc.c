/*
 * test_crc.c - the two checksums, against their published check values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The source itself: a machine with the CRC instruction never takes the way of
 * one without it. */
#include "relay/base/crc.c"

static void both_give_the_check_value_of_their_catalogue(void **state)
{
    (void)state;
    assert_int_equal(crc32_of("123456789", 9), 0xcbf43926);
    assert_int_equal(crc32c_of(0, "123456789", 9), 0xe3069283);
}

static void a_machine_without_the_instruction_gets_the_same(void **state)
{
    (void)state;
    assert_int_equal(
        ~bitwise(~0U, (const uint8_t *)"123456789", 9, CRC32C_POLYNOMIAL),
        0xe3069283);
}

static void nothing_gives_zero(void **state)
{
    (void)state;
    assert_int_equal(crc32_of("", 0), 0);
    assert_int_equal(crc32c_of(0, "", 0), 0);
}

/* RFC 3720, B.4 */
static void crc32c_agrees_with_the_iscsi_rfc(void **state)
{
    uint8_t bytes[32] = {0};

    (void)state;
    assert_int_equal(crc32c_of(0, bytes, sizeof(bytes)), 0x8a9136aa);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = 0xff;
    }
    assert_int_equal(crc32c_of(0, bytes, sizeof(bytes)), 0x62a8ab43);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)i;
    }
    assert_int_equal(crc32c_of(0, bytes, sizeof(bytes)), 0x46dd794e);
}

static void crc32c_can_be_continued_at_any_byte(void **state)
{
    static const char text[] = "the quick brown fox jumps over the lazy dog";
    const size_t len = sizeof(text) - 1;
    const uint32_t whole = crc32c_of(0, text, len);

    (void)state;
    for (size_t cut = 0; cut <= len; cut++) {
        uint32_t part = crc32c_of(0, text, cut);
        assert_int_equal(crc32c_of(part, text + cut, len - cut), whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_give_the_check_value_of_their_catalogue),
        cmocka_unit_test(a_machine_without_the_instruction_gets_the_same),
        cmocka_unit_test(nothing_gives_zero),
        cmocka_unit_test(crc32c_agrees_with_the_iscsi_rfc),
        cmocka_unit_test(crc32c_can_be_continued_at_any_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
