/*
 * log.h - the one logger: a line a message on stderr, as text or as JSON.
 *
 * Threads: any, after log_open. A line is written whole, under one mutex.
 * The only global mutable state of the program beside the signal flag.
 */
#ifndef RELAY_BASE_LOG_H
#define RELAY_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "relay/base/err.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

/* What a line is about. Fields that are unset (lane and partition -1, topic
 * NULL) are left out; NULL instead of the whole is allowed. */
struct log_at {
    int32_t lane;
    int32_t partition;
    const char *topic;
};

#define LOG_LANE(k) (&(struct log_at){.lane = (k), .partition = -1})
#define LOG_PARTITION(k, t, p) \
    (&(struct log_at){.lane = (k), .partition = (p), .topic = (t)})

/* Before the first thread starts. Default: LOG_INFO, LOG_TEXT. */
void log_open(enum log_level level, enum log_format format);

bool log_enabled(enum log_level level);

/* The text is one line; control characters in it are escaped. */
void log_write(enum log_level level, const struct log_at *at, const char *fmt,
               ...) PRINTF_LIKE(3, 4);

/* Keeps `text` (lines ended by \n; "" for none) below the last log line of a
 * terminal, drawn anew after each line. Copied. */
void log_foot(const char *text);

#endif
