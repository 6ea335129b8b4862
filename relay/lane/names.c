/*
 * names.c - see names.h.
 */
#include "relay/lane/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/crc.h"

void name_offsets_topic(char out[NAME_SIZE], const char *relay, int generation)
{
    snprintf(out, NAME_SIZE, "kafka-relay.%s.offsets.%d.internal", relay,
             generation);
}

void name_map_topic(char out[NAME_SIZE], const char *relay, int generation)
{
    snprintf(out, NAME_SIZE, "kafka-relay.%s.offset-map.%d.internal", relay,
             generation);
}

void name_group(char out[NAME_SIZE], const char *relay)
{
    snprintf(out, NAME_SIZE, "kafka-relay.%s", relay);
}

void name_transactional_id(char out[NAME_SIZE], const char *relay,
                           int generation, int32_t lane)
{
    snprintf(out, NAME_SIZE, "kafka-relay.%s.%d.%d", relay, generation,
             (int)lane);
}

int name_generation(const char *topic, const char *relay)
{
    char expected[NAME_SIZE];
    char prefix[NAME_SIZE];
    size_t len;
    long generation;

    snprintf(prefix, sizeof(prefix), "kafka-relay.%s.offsets.", relay);
    len = strlen(prefix);
    if (strncmp(topic, prefix, len) != 0) {
        return -1;
    }
    generation = strtol(topic + len, NULL, 10);
    if (generation < 0 || generation > GENERATION_MAX) {
        return -1;
    }
    name_offsets_topic(expected, relay, (int)generation);
    return strcmp(topic, expected) == 0 ? (int)generation : -1;
}

int32_t lane_of(const char *topic, int32_t partition, int32_t lanes)
{
    uint64_t hash = crc32_of(topic, strlen(topic));

    return (int32_t)((hash + (uint64_t)partition) % (uint64_t)lanes);
}
