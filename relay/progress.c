/*
 * progress.c - see progress.h.
 */
#include "relay/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"

enum { LINE_MS = 10000, BLOCK_MS = 500 };

void progress_init(struct progress *p, const char *source, const char *target)
{
    const char *term = getenv("TERM");

    *p = (struct progress){.source = source,
                           .target = target,
                           .start_ms = clock_ms(),
                           .last_ms = clock_ms()};
    p->terminal =
        isatty(STDERR_FILENO) && term != NULL && strcmp(term, "dumb") != 0;
}

int64_t progress_interval_ms(const struct progress *p)
{
    return p->terminal ? BLOCK_MS : LINE_MS;
}

/* 1234567 -> "1.23 M"; powers of 1000 */
static void human(char *out, size_t size, double value)
{
    static const char *const units[] = {"", " k", " M", " G", " T", " P"};
    size_t unit = 0;

    for (; value >= 1000 && unit + 1 < sizeof(units) / sizeof(*units); unit++) {
        value /= 1000;
    }
    snprintf(out, size, unit == 0 ? "%.0f%s" : "%.2f%s", value, units[unit]);
}

static void lag_text(char *out, size_t size, const struct totals *t)
{
    if (t->lag_known && t->lanes > 0) {
        snprintf(out, size, "%" PRId64, t->lag);
    } else {
        snprintf(out, size, "unknown");
    }
}

static void show_block(const struct progress *p, const struct totals *t,
                       double records_s, double bytes_s)
{
    const bool colour = getenv("NO_COLOR") == NULL;
    char block[1024], records[24], rate[24], bytes[24], byte_rate[24], lag[32];

    human(records, sizeof(records), (double)(t->records + p->gone.records));
    human(bytes, sizeof(bytes), (double)(t->bytes + p->gone.bytes));
    human(rate, sizeof(rate), records_s);
    human(byte_rate, sizeof(byte_rate), bytes_s);
    lag_text(lag, sizeof(lag), t);
    snprintf(block, sizeof(block),
             "%s%s -> %s%s   %" PRId64 " s\n"
             "  copied    %s records, %sB\n"
             "  now       %s records/s, %sB/s\n"
             "  lag       %s records\n"
             "  lanes     %d of %d running, %d parked, %d in back-off\n"
             "  partitions %" PRId64 "%s: %" PRId64 " waiting, %" PRId64
             " halted\n",
             colour ? "\033[1m" : "", p->source, p->target,
             colour ? "\033[0m" : "", (p->last_ms - p->start_ms) / 1000,
             records, bytes, rate, byte_rate, lag, t->by_state[LANE_RUNNING],
             t->lanes, t->by_state[LANE_PARKED], t->by_state[LANE_BACKOFF],
             t->partitions, t->halted > 0 && colour ? " \033[31m!\033[0m" : "",
             t->waiting, t->halted);
    log_foot(block);
}

/* What an operator would rather not see; "" when there is none of it. */
static void trouble_text(char *out, size_t size, const struct progress *p,
                         const struct totals *t)
{
    const struct {
        const char *name;
        int64_t count;
    } rows[] = {
        {"unverified", t->unverified},
        {"behind an open transaction", t->held},
        {"gaps", t->events[LANE_GAPS] + p->gone.events[LANE_GAPS]},
        {"records refused", t->events[LANE_REFUSED_RECORDS] +
                                p->gone.events[LANE_REFUSED_RECORDS]},
        {"skipped", t->events[LANE_SKIPPED] + p->gone.events[LANE_SKIPPED]},
        {"dead letters",
         t->events[LANE_DEAD_LETTERS] + p->gone.events[LANE_DEAD_LETTERS]},
    };
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (rows[i].count > 0 && len < size) {
            len += (size_t)snprintf(out + len, size - len, ", %" PRId64 " %s",
                                    rows[i].count, rows[i].name);
        }
    }
}

static void show_line(const struct progress *p, const struct totals *t,
                      double records_s, double bytes_s)
{
    char lag[32], trouble[256];

    lag_text(lag, sizeof(lag), t);
    trouble_text(trouble, sizeof(trouble), p, t);
    log_write(LOG_INFO, NULL,
              "status: %" PRId64 " records, %.0f records/s, %.0f bytes/s, "
              "lag %s, lanes %d/%d running, partitions %" PRId64 " (%" PRId64
              " waiting, %" PRId64 " halted)%s",
              t->records + p->gone.records, records_s, bytes_s, lag,
              t->by_state[LANE_RUNNING], t->lanes, t->partitions, t->waiting,
              t->halted, trouble);
}

void progress_show(struct progress *p, const struct totals *t)
{
    const int64_t now = clock_ms();
    const int64_t records = t->records + p->gone.records;
    const int64_t bytes = t->bytes + p->gone.bytes;
    double seconds = (double)(now - p->last_ms) / 1000;
    double records_s, bytes_s;

    if (seconds <= 0) {
        return;
    }
    records_s = (double)(records - p->last_records) / seconds;
    bytes_s = (double)(bytes - p->last_bytes) / seconds;
    p->last_ms = now;
    p->last_records = records;
    p->last_bytes = bytes;
    (p->terminal ? show_block : show_line)(p, t, records_s, bytes_s);
}

void progress_end(struct progress *p, const struct totals *t)
{
    if (p->terminal) {
        log_foot("");
    }
    log_write(LOG_INFO, NULL,
              "ended: %" PRId64 " records, %" PRId64 " bytes copied in %.1f s",
              t->records + p->gone.records, t->bytes + p->gone.bytes,
              (double)(clock_ms() - p->start_ms) / 1000);
}
