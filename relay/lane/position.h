/*
 * position.h - the records of the offsets topic and of the offset map, to and
 * from bytes. What is read is untrusted: every number is checked.
 *
 * docs/formats.md describes them for other readers.
 */
#ifndef RELAY_LANE_POSITION_H
#define RELAY_LANE_POSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "relay/base/buf.h"
#include "relay/base/err.h"
#include "relay/io/segment.h"
#include "relay/io/stream.h"

enum {
    RECORD_VERSION = 1,
    NONCE_SIZE = 33, /* 32 hex digits */
    UUID_SIZE = 37,
    TAIL_MAX = 16,
    MAP_MAX = 32,
    LOST_MAX = 16,
};

/* Where a chunk of older segments stands in the offset map. */
struct map_pointer {
    int64_t source; /* its first source offset */
    int64_t offset; /* of the record in the lane's map partition */
};

/* Why a partition stops alone: one word, in its position; see halts.c. */
#define HALT_GAP "gap"
#define HALT_SOURCE_LOG "source_changed_log"
#define HALT_TARGET_LOG "target_changed_log"
#define HALT_TARGET_CHANGED "target_changed"
#define HALT_TARGET_NOT_EMPTY "target_not_empty"
#define HALT_REFUSED "record_refused"
#define HALT_LETTER_FAILED "dead_letter_failed"
#define HALT_CORRUPT "corrupt"
#define HALT_OUT_OF_RANGE "out_of_range"
#define HALT_BLOCKED "blocked"

struct halt {
    char reason[32]; /* one word; "" while not halted */
    int64_t since_ms;
    char detail[256];
};

/* Source offsets that will never be copied, the newest ones kept. */
struct lost {
    int64_t from, to; /* both lost; to -1: nobody knows how many more were */
    char reason[32];  /* one word */
    int64_t time_ms;
};

/* The newest `offsets set`. */
struct moved {
    int64_t from; /* the position before; -1: there was none */
    int64_t time_ms;
    char reason[128]; /* the operator's; "" : never moved */
};

struct position {
    int64_t next;
    int64_t epoch;
    char claim[NONCE_SIZE]; /* of the lane's owner that wrote it */
    char target_topic[TOPIC_NAME_MAX + 1];
    int partitioning; /* enum partitioning */
    uint32_t filters; /* hash of the filter chain; 0: none */
    struct mark anchor, checked, target_anchor;
    struct halt halt;
    struct lost lost[LOST_MAX]; /* oldest first */
    size_t lost_count;
    struct moved moved;
    struct segments tail;
    struct map_pointer map[MAP_MAX]; /* by source offset */
    size_t map_count;
};

void position_init(struct position *p);
void position_free(struct position *p);

/* Key and value of a position record, appended to *out. */
void position_key(struct buf *out, const char *topic, int32_t partition);
void position_encode(struct buf *out, const struct position *p);

/* ERR_STATE: not a position, or of a newer version. *p is initialised. */
enum err_kind position_decode(struct position *p, const char *data, size_t len,
                              struct err *e) MUST_CHECK;

/* Adds a pointer; when there are too many, one goes so that what stays is
 * spaced exponentially from the newest back. */
void position_add_map(struct position *p, int64_t source, int64_t offset);

/* Adds a lost range; the oldest goes when there are too many. One that goes on
 * where the newest ends, for the same reason, lengthens that. */
void position_add_lost(struct position *p, int64_t from, int64_t to,
                       const char *reason, int64_t time_ms);

/* Offsets from `next` on are read again: they are not lost any more. */
void position_cut_lost(struct position *p, int64_t next);

/* Another log on either side, or another place in it: offsets are not
 * translated across, so what only serves that is forgotten, and so are the
 * marks. The caller sets `next`. */
void position_new_epoch(struct position *p);

/* The target's mark of a source offset by the tail; offset -1: not in it. */
int64_t position_target_of(const struct segments *tail, int64_t source);

/* A chunk of the offset map: the first n segments of a tail. */
void chunk_encode(struct buf *out, int64_t epoch, const struct segments *tail,
                  size_t n);
enum err_kind chunk_decode(struct segments *out, int64_t *epoch,
                           const char *data, size_t len,
                           struct err *e) MUST_CHECK;

struct identity {
    char relay[UUID_SIZE];
    char source[128]; /* cluster id */
    int32_t lanes;
    int generation;
};

struct claim {
    char nonce[NONCE_SIZE];
    char host[256];
    int64_t pid;
    char version[32];
    char rules[16]; /* hash of the rules whose first positions are settled */
    int64_t started_ms;
    bool released;
    char command[32]; /* that took the lane: "offsets set"; "": `run` did */
};

/* The lane is carried on in another generation of the relay's topics. */
struct rescaled {
    int generation;
    int32_t lanes; /* of that generation */
};

void identity_encode(struct buf *out, const struct identity *id);
void claim_encode(struct buf *out, const struct claim *claim);
void rescaled_encode(struct buf *out, const struct rescaled *r);
enum err_kind identity_decode(struct identity *id, const char *data, size_t len,
                              struct err *e) MUST_CHECK;
enum err_kind claim_decode(struct claim *claim, const char *data, size_t len,
                           struct err *e) MUST_CHECK;
enum err_kind rescaled_decode(struct rescaled *r, const char *data, size_t len,
                              struct err *e) MUST_CHECK;

/* 128 random bits: as hex, and as a version 4 UUID. */
void nonce_make(char out[NONCE_SIZE]);
void uuid_make(char out[UUID_SIZE]);

#endif
