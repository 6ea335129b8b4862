/*
 * crc.h - the two checksums of DESIGN.md. Any thread; no state.
 */
#ifndef RELAY_BASE_CRC_H
#define RELAY_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32 (IEEE 802.3), as zlib's crc32: maps topics to lanes. */
uint32_t crc32_of(const void *data, size_t len);

/* CRC-32C (Castagnoli), continued from `crc` (0 to begin): anchors. */
uint32_t crc32c_of(uint32_t crc, const void *data, size_t len);

#endif
