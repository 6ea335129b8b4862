/*
 * crc.c - see crc.h. Both are reflected CRCs, a bit at a time (topic names,
 * and one record a commit: never the hot path); CRC-32C
 * has an instruction of its own on x86-64, used where the machine has it.
 */
#include "relay/base/crc.h"

#include <string.h>

enum {
    CRC32_POLYNOMIAL = (int)0xedb88320,
    CRC32C_POLYNOMIAL = (int)0x82f63b78
};

static uint32_t bitwise(uint32_t crc, const uint8_t *data, size_t len,
                        uint32_t polynomial)
{
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ ((crc & 1) ? polynomial : 0);
        }
    }
    return crc;
}

uint32_t crc32_of(const void *data, size_t len)
{
    return ~bitwise(~0U, data, len, (uint32_t)CRC32_POLYNOMIAL);
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t
crc32c_hardware(uint32_t crc, const uint8_t *data, size_t len)
{
    uint64_t wide = crc;

    for (; len >= 8; data += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, data, sizeof(word));
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; len > 0; data++, len--) {
        crc = __builtin_ia32_crc32qi(crc, *data);
    }
    return crc;
}
#endif

uint32_t crc32c_of(uint32_t crc, const void *data, size_t len)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return ~crc32c_hardware(~crc, data, len);
    }
#endif
    return ~bitwise(~crc, data, len, (uint32_t)CRC32C_POLYNOMIAL);
}
