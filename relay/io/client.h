/*
 * client.h - librdkafka handles, made the same way everywhere.
 * Private to relay/io: the only header of the program that includes rdkafka.h.
 *
 * A client is a librdkafka handle for one role on one cluster. What a role
 * needs (and what a user may not change) is a table in client.c; what the user
 * set in the config comes between the two.
 * Threads: a client belongs to the thread that opened it; its callbacks run in
 * client_poll and in the calls that say so.
 */
#ifndef RELAY_IO_CLIENT_H
#define RELAY_IO_CLIENT_H

#include <librdkafka/rdkafka.h>

#include "config/config.h"
#include "relay/base/err.h"

enum client_role {
    CLIENT_SOURCE, /* a lane's consumer */
    CLIENT_READER, /* reads single partitions: state logs, anchors */
    CLIENT_GROUP,  /* group membership on the target */
    CLIENT_TXN,    /* transactional producer */
    CLIENT_DATA,   /* idempotent producer: data of at-least-once */
    CLIENT_ADMIN,  /* metadata, topic creation, offsets */
};

struct client {
    rd_kafka_t *rk;
    char last_error[256]; /* newest connection or broker error; "" for none */
    bool denied;          /* last_error is about authentication */
    unsigned errors;      /* how many there were */
    const char *cluster;  /* its name, borrowed from the config */
    void *owner;          /* `arg` of client_open, for its callbacks */
};

/* One more property than the role's table has; NULL name ends the list. */
struct client_extra {
    const char *name;
    const char *value;
};

/* `prepare` (NULL allowed) may set callbacks; rd_kafka_conf_t is given with
 * *c as its opaque. ERR_CONFIG: a property is wrong. */
enum err_kind client_open(struct client *c, enum client_role role,
                          const struct cluster_config *cluster,
                          const struct client_extra *extra,
                          void (*prepare)(rd_kafka_conf_t *conf, void *arg),
                          void *arg, struct err *e) MUST_CHECK;

/* Serves error callbacks (and a producer's delivery reports). */
void client_poll(struct client *c, int timeout_ms);

/* What went wrong before says nothing of what is asked next. */
void client_forget_error(struct client *c);

/* Connects, and learns the leaders of all topics this handle knows, in one
 * request: without it librdkafka finds out in steps of half a second and more.
 * False when no answer came; that is not an error yet. */
bool client_warm(struct client *c, int timeout_ms);

/* Waits for librdkafka's threads; all messages, topics and queues of the
 * handle must have been given back. A client that was never opened is fine. */
void client_close(struct client *c);

/* What a caller must do about `code`. */
enum err_kind client_kind(rd_kafka_resp_err_t code);

/* Turns a librdkafka error into ours; adds the last connection error, which
 * is most often the cause of a time-out. */
enum err_kind client_fail(const struct client *c, rd_kafka_resp_err_t code,
                          const char *what, const char *detail, struct err *e);

/* The same for an error object, which it destroys. NULL is ERR_NONE, and sets
 * e->kind so. */
enum err_kind client_take(const struct client *c, rd_kafka_error_t *from,
                          const char *what, struct err *e);

#endif
