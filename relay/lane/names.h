/*
 * names.h - what the relay calls things on the clusters, and which lane a
 * partition belongs to. Fixed by the format; any thread.
 */
#ifndef RELAY_LANE_NAMES_H
#define RELAY_LANE_NAMES_H

#include <stddef.h>
#include <stdint.h>

enum { RELAY_NAME_MAX = 100, NAME_SIZE = 250, GENERATION_MAX = 1000000 };

/* kafka-relay.<relay>.offsets.<g>.internal: positions, one partition a lane */
void name_offsets_topic(char out[NAME_SIZE], const char *relay, int generation);
/* kafka-relay.<relay>.offset-map.<g>.internal: history of segments */
void name_map_topic(char out[NAME_SIZE], const char *relay, int generation);
/* kafka-relay.<relay>: the lane group on the target; on the source the group
 * of the informational commits */
void name_group(char out[NAME_SIZE], const char *relay);
/* kafka-relay.<relay>.<g>.<k> */
void name_transactional_id(char out[NAME_SIZE], const char *relay,
                           int generation, int32_t lane);

/* The generation in an offsets topic's name of this relay; -1: not one. */
int name_generation(const char *topic, const char *relay);

/* (crc32(topic) + partition) mod lanes */
int32_t lane_of(const char *topic, int32_t partition, int32_t lanes);

#endif
