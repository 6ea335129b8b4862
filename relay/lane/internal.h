/*
 * internal.h - what the files of a lane share. Private to relay/lane.
 *
 *     plan ----> partitions (partitions.c: first positions, anchors, halts)
 *                    |
 *     source ==> copy_run ==> sink          records (relay/io)
 *                    |
 *                commit (commit.c: positions, map chunks, end transaction)
 *
 * lane.c owns the thread, the mailbox and the states; session.c takes the lane
 * and runs it until an error.
 */
#ifndef RELAY_LANE_INTERNAL_H
#define RELAY_LANE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "relay/base/buf.h"
#include "relay/io/copy.h"
#include "relay/io/reader.h"
#include "relay/lane/lane.h"
#include "relay/lane/names.h"
#include "relay/lane/state.h"

enum part_state {
    PART_WAITING, /* for its target partition, or to be readable again */
    PART_RUNNING,
    PART_HALTED, /* stopped for good; position.halt says why */
    PART_DONE,   /* --until-end: stop_at is reached */
    PART_GONE,   /* not in the plan any more */
};

/* A refused batch is searched for the record that is meant: refusals.c. */
struct trial {
    int64_t end;     /* wait here until it is committed; -1: no trial */
    int64_t suspect; /* halving: it is before this offset */
    int64_t limit;   /* of the first refused batch: from here on, no doubt */
    int64_t size;    /* of the next trial behind a bad record; 0: halving */
};

enum bad_action { BAD_STOP, BAD_SKIP, BAD_LETTER, BAD_CUT };

/* The record that the target refuses. */
struct bad {
    int64_t at; /* -1: none is known */
    enum bad_action action;
    bool letter_failed;
    char why[40];
};

/* One partition of the lane. */
struct part {
    struct stream stream;
    struct position position; /* .next, .anchor and .tail live in stream */
    char *topic, *target;     /* owned; the stream borrows them */
    char *key;                /* of the position record, owned */
    enum part_state state;
    bool in_plan;    /* of the newest plan */
    bool met;        /* its stored position was loaded in this session */
    bool has_target; /* the target has its partition */
    bool unknown;    /* not to be found when its anchors were checked */
    bool prepared;   /* known to source and sink of this session */
    bool dirty;      /* write the position even if nothing moved */
    bool unverified, told_unverified; /* a mark of it aged out */
    int64_t plan_stop;                /* stop_at of the plan; -1: no end */
    int64_t new_end; /* of a log that changed since the plan; -1: did not */
    /* These outlive a session: the lane is taken again to go on with them. */
    struct trial trial;
    struct bad bad;
    int64_t epoch;            /* of the position that they belong to */
    int64_t held_at, held_ms; /* waits behind an open transaction: report.c */
    char halt_before[32];     /* halt.reason as it was stored */
    struct map_pointer chunk; /* on its way to the map; offset -1: none */
    int64_t logged_records;   /* of stream.records, already in the totals */
    int64_t logged_bytes;
    int64_t group_offset; /* told to the source group last */
};

enum {
    MAIL_PLAN = 1,
    MAIL_GRANTED = 2,
};

struct lane {
    struct lane_settings set;
    char offsets_topic[NAME_SIZE], map_topic[NAME_SIZE];
    char group[NAME_SIZE], transactional_id[NAME_SIZE];
    pthread_t thread;

    /* The mailbox. */
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    stop_time stopped;     /* clock_ms of lane_stop; 0: not told to stop */
    atomic_uint mail;      /* MAIL_ bits; set under the mutex */
    struct plan *new_plan; /* under the mutex */
    int64_t granted_ms;    /* under the mutex: newest grant */
    struct err refused;    /* under the mutex */

    /* Published for lane_status. */
    atomic_int state;
    atomic_llong records, bytes, lag, partitions, halted, waiting, commits,
        restarts, unverified, held, held_ms;
    atomic_llong events[LANE_EVENTS];

    /* The lane's thread only, from here on. */
    struct plan *plan;
    struct part **parts;
    size_t part_count, part_capacity;
    struct table *by_key; /* position key -> struct part */

    /* Of a command, which takes the lane without a thread: its name, for the
     * claim, and whether it may take a lane that was rescaled. */
    const char *command;
    bool rescaled_too;

    /* Of one session: from taking the lane to losing it. */
    char nonce[NONCE_SIZE];
    struct claim claim;
    struct state stored; /* what the offsets topic said */
    struct reader *target_reader, *source_reader;
    struct source *source;
    struct sink *sink;
    struct copy *copy;
    bool told_group; /* that the source group can not be committed to */
    bool settled;    /* first positions of the plan's rules are all committed */
    int64_t running_ms, last_commit_ms, last_publish_ms, last_group_ms;
    int64_t last_check_ms, next_check_ms; /* of anchors */
    unsigned errors_seen; /* of source and sink, at the last look */
    int64_t last_look_ms; /* at the end of its own log */
    int64_t own_offset;   /* of the newest record that it wrote there */
    size_t check_from;    /* parts are checked in turn */
    struct buf scratch;

    /* How slow the target is; kept over sessions. */
    int slower;          /* in-flight bytes are halved so often */
    int quick_commits;   /* in a row */
    int64_t batch_bytes; /* what the target's topics take; 0: not known */

    bool at_once; /* the session ended on purpose: take the lane again now */
    int64_t held_told_ms;
};

enum {
    TAKE_MS = 60000, /* one attempt to take the lane */
    /* With the longest commit_interval (10 s) below transaction.timeout.ms. */
    COMMIT_MS = 15000,
    STOP_MS = 4000, /* the last commit, once told to stop */
    LOOKUP_MS = 20000,
    RUNNING_LOOKUP_MS = 5000, /* others wait meanwhile */
};

/* Bytes of records that may be fetched ahead, and again so many in flight. Both
 * together are three quarters of the lane's share of buffer_memory: the rest is
 * for what librdkafka holds beside the records. */
int64_t lane_bytes(const struct lane *lane);

/* session.c: takes the lane and runs it. ERR_NONE: told to stop, or done. */
enum err_kind session_run(struct lane *lane, struct err *e) MUST_CHECK;
/* Only takes it: from then on lane->stored holds every committed position, and
 * a transaction is begun. session_close whatever it gives. */
enum err_kind session_take(struct lane *lane, struct err *e) MUST_CHECK;
void session_close(struct lane *lane);

/* park.c: waits until a lane that was taken away is worth another try. */
void lane_park(struct lane *lane, const struct err *e);

/* partitions.c */
/* Brings the parts in line with lane->plan: first positions for new ones
 * (committed here), anchors checked, streams started. Between transactions
 * only. */
enum err_kind parts_apply_plan(struct lane *lane, struct err *e) MUST_CHECK;
/* Stops streams that have a fault and halts their parts. */
enum err_kind parts_look(struct lane *lane, struct err *e) MUST_CHECK;
/* Checks the anchors of running parts, some at a time. */
enum err_kind parts_check(struct lane *lane, struct err *e) MUST_CHECK;
/* Nothing more is read of it, nor left over from reading. */
void part_stop(struct lane *lane, struct part *part);
/* Forgets what belonged to the session; counters stay. */
void parts_reset(struct lane *lane);
bool parts_all_done(const struct lane *lane);

/* halts.c */
void part_halt(struct lane *lane, struct part *part, const char *reason,
               const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Not to be judged anew: it holds until `offsets set`, or `on_gap: continue`.
 */
bool halt_is_lasting(const char *reason);

/* gaps.c: source records that can't be copied any more, or copies gone. */
struct gap {
    const char *reason; /* HALT_... */
    int64_t from, to;   /* source offsets lost; to -1: nobody knows */
    int64_t go_on;      /* where `on_gap: continue` does */
    int64_t end;        /* of the log; on the source */
    bool on_target;
};
void gap_found(struct lane *lane, struct part *part, const struct gap *gap,
               const char *fmt, ...) PRINTF_LIKE(4, 5);

/* refusals.c: between a refused batch and what becomes of the record. */
/* After a session that ended: whether the target refused something. Then the
 * next session searches on. */
bool refusals_note(struct lane *lane);
/* Sets how far the part's stream goes, and which record it diverts. */
void part_watch(struct part *part);
/* Before it is started, and after a commit: the next trial, or a halt before
 * the record. */
void refusals_look(struct lane *lane, struct part *part);
void refusals_forget(struct part *part);
/* With the position that passes the record, and once that is committed. */
void refusals_record(struct part *part, int64_t now_ms);
void refusals_passed(struct lane *lane, struct part *part);

/* report.c */
/* Sets what lane_status tells. */
void report_publish(struct lane *lane);

/* anchors.c: checks the stored marks of parts[] against both clusters and
 * halts those that do not fit. */
enum err_kind anchors_check(struct lane *lane, struct part **parts,
                            size_t count, struct err *e) MUST_CHECK;

/* first.c: positions of partitions that have none. */
enum err_kind first_positions(struct lane *lane, struct part **parts,
                              size_t count, struct err *e) MUST_CHECK;

/* commit.c */
/* Flushes, writes a position a moved partition, commits, begins anew. Does
 * nothing when nothing moved. */
enum err_kind commit_all(struct lane *lane, struct err *e) MUST_CHECK;
/* Puts lane->claim into the open transaction. */
enum err_kind commit_put_claim(struct lane *lane, struct err *e) MUST_CHECK;
/* The same commit also when nothing moved. */
enum err_kind commit_now(struct lane *lane, struct err *e) MUST_CHECK;
/* A sink for the lane's transactional id, with a transaction begun. */
enum err_kind commit_open_sink(struct lane *lane, struct err *e) MUST_CHECK;

/* lane.c */
void lane_count(struct lane *lane, enum lane_event event, int64_t n);
/* All but the thread, and all but its end. */
void lane_init(struct lane *lane, const struct lane_settings *settings);
void lane_clear(struct lane *lane);
/* Sleeps until told to stop, `mail` comes or the time is over; true: mail. */
bool lane_wait(struct lane *lane, unsigned mail, int64_t timeout_ms);
void lane_enter(struct lane *lane, enum lane_state state);
bool lane_stopping(const struct lane *lane);
/* Takes a newer plan out of the mailbox; true when there was one. */
bool lane_take_plan(struct lane *lane);
/* Waits until there has been one, or the lane is told to stop. */
void lane_wait_plan(struct lane *lane);

#endif
