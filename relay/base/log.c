/*
 * log.c - see log.h.
 */
#include "relay/base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "relay/base/escape.h"

enum { LINE_MAX_BYTES = 2048, FOOT_MAX_BYTES = 4096 };

static struct {
    pthread_mutex_t mutex;
    enum log_level level;
    enum log_format format;
    char foot[FOOT_MAX_BYTES];
    int foot_lines; /* drawn below the last line now */
} logger = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .level = LOG_INFO,
    .format = LOG_TEXT,
};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_open(enum log_level level, enum log_format format)
{
    logger.level = level;
    logger.format = format;
}

bool log_enabled(enum log_level level)
{
    return level <= logger.level;
}

static void timestamp(char *out, size_t size)
{
    struct timespec now;
    struct tm tm;
    char seconds[32];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, size, "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
}

static void put_text(FILE *out, const char *when, enum log_level level,
                     const struct log_at *at, const char *message)
{
    fprintf(out, "%s %-5s ", when, level_names[level]);
    if (at != NULL && at->lane >= 0) {
        fprintf(out, "lane=%d ", (int)at->lane);
    }
    if (at != NULL && at->topic != NULL) {
        fputs("topic=", out);
        escape_put(out, at->topic, false);
        putc(' ', out);
    }
    if (at != NULL && at->partition >= 0) {
        fprintf(out, "partition=%d ", (int)at->partition);
    }
    escape_put(out, message, false);
    putc('\n', out);
}

static void put_json(FILE *out, const char *when, enum log_level level,
                     const struct log_at *at, const char *message)
{
    fprintf(out, "{\"time\":\"%s\",\"level\":\"%s\"", when, level_names[level]);
    if (at != NULL && at->lane >= 0) {
        fprintf(out, ",\"lane\":%d", (int)at->lane);
    }
    if (at != NULL && at->topic != NULL) {
        fputs(",\"topic\":\"", out);
        escape_put(out, at->topic, true);
        putc('"', out);
    }
    if (at != NULL && at->partition >= 0) {
        fprintf(out, ",\"partition\":%d", (int)at->partition);
    }
    fputs(",\"message\":\"", out);
    escape_put(out, message, true);
    fputs("\"}\n", out);
}

/* Called with the mutex held. */
static void erase_foot(void)
{
    if (logger.foot_lines > 0) {
        fprintf(stderr, "\033[%dA\033[J", logger.foot_lines);
        logger.foot_lines = 0;
    }
}

/* Called with the mutex held. */
static void draw_foot(void)
{
    fputs(logger.foot, stderr);
    for (const char *c = logger.foot; *c != '\0'; c++) {
        logger.foot_lines += *c == '\n';
    }
    fflush(stderr);
}

void log_write(enum log_level level, const struct log_at *at, const char *fmt,
               ...)
{
    char message[LINE_MAX_BYTES];
    char line[LINE_MAX_BYTES * 7];
    char when[48];
    FILE *out;
    va_list ap;

    if (!log_enabled(level)) {
        return;
    }
    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    timestamp(when, sizeof(when));

    out = fmemopen(line, sizeof(line), "w");
    if (out == NULL) {
        return;
    }
    (logger.format == LOG_JSON ? put_json : put_text)(out, when, level, at,
                                                      message);
    fclose(out);
    line[sizeof(line) - 1] = '\0';

    pthread_mutex_lock(&logger.mutex);
    erase_foot();
    fputs(line, stderr);
    draw_foot();
    pthread_mutex_unlock(&logger.mutex);
}

void log_foot(const char *text)
{
    pthread_mutex_lock(&logger.mutex);
    erase_foot();
    snprintf(logger.foot, sizeof(logger.foot), "%s", text);
    draw_foot();
    pthread_mutex_unlock(&logger.mutex);
}
