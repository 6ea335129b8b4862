/*
 * value.c - see value.h.
 */
#include "config/value.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first, for printing. */
static const struct unit byte_units[] = {
    {"TiB", INT64_C(1) << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20},
    {"KiB", 1 << 10},          {"", 1},          {NULL, 0},
};
static const struct unit ms_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000},
    {"s", 1000},     {"ms", 1},      {NULL, 0},
};

size_t value_name_span(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789._-");
}

bool value_bool(bool *out, const char *text)
{
    *out = strcmp(text, "yes") == 0;
    return *out || strcmp(text, "no") == 0;
}

/* Digits up to *end, which is what follows them. */
static bool digits(int64_t *out, const char *text, const char **end)
{
    char *stop;

    if (!isdigit((unsigned char)*text)) {
        return false; /* strtoll takes spaces and signs */
    }
    errno = 0;
    *out = strtoll(text, &stop, 10);
    *end = stop;
    return errno == 0;
}

bool value_int(int64_t *out, const char *text)
{
    bool negative = *text == '-';
    const char *end;

    if (!digits(out, text + negative, &end) || *end != '\0') {
        return false;
    }
    *out = negative ? -*out : *out;
    return true;
}

static bool scaled(int64_t *out, const char *text, const struct unit *units)
{
    const char *end;

    if (!digits(out, text, &end)) {
        return false;
    }
    for (; units->name != NULL; units++) {
        if (strcmp(end, units->name) == 0) {
            return !__builtin_mul_overflow(*out, units->factor, out);
        }
    }
    return false;
}

bool value_bytes(int64_t *out, const char *text)
{
    return scaled(out, text, byte_units);
}

bool value_ms(int64_t *out, const char *text)
{
    return scaled(out, text, ms_units);
}

static void print(char *out, int64_t value, const struct unit *unit)
{
    while (value % unit->factor != 0) { /* the last factor is 1 */
        unit++;
    }
    snprintf(out, VALUE_TEXT_BYTES, "%" PRId64 "%s", value / unit->factor,
             unit->name);
}

void value_print_bytes(char out[VALUE_TEXT_BYTES], int64_t bytes)
{
    print(out, bytes, byte_units + (bytes == 0 ? 4 : 0));
}

void value_print_ms(char out[VALUE_TEXT_BYTES], int64_t ms)
{
    print(out, ms, ms_units + (ms == 0 ? 4 : 0));
}

/* `text` has the form: "9" stands for a digit, "T" and "Z" for either case. */
static bool has_form(const char *text, const char *form)
{
    for (; *form != '\0'; text++, form++) {
        bool fits = *form == '9' ? isdigit((unsigned char)*text)
                                 : toupper((unsigned char)*text) == *form;
        if (!fits) {
            return false;
        }
    }
    return true;
}

static int two_digits(const char *text)
{
    return (text[0] - '0') * 10 + (text[1] - '0');
}

/* ".5" and ".123456789" after the seconds; more than milliseconds is cut. */
static const char *fraction(int *ms, const char *text)
{
    int place = 100;

    *ms = 0;
    if (text[0] != '.' || !isdigit((unsigned char)text[1])) {
        return text;
    }
    for (text++; isdigit((unsigned char)*text); text++, place /= 10) {
        *ms += (*text - '0') * place;
    }
    return text;
}

/* "Z" or "+01:00" and then the end. */
static bool zone(int *minutes, const char *text)
{
    *minutes = 0;
    if (has_form(text, "Z")) {
        return text[1] == '\0';
    }
    if (!has_form(text, "+99:99") && !has_form(text, "-99:99")) {
        return false;
    }
    *minutes = two_digits(text + 1) * 60 + two_digits(text + 4);
    if (text[0] == '-') {
        *minutes = -*minutes;
    }
    return two_digits(text + 1) < 24 && two_digits(text + 4) < 60 &&
           text[6] == '\0';
}

/* timegm takes the 31st of February for the 3rd of March: compare. */
static bool seconds_of(int64_t *out, const char *text)
{
    struct tm tm = {
        .tm_year = two_digits(text) * 100 + two_digits(text + 2) - 1900,
        .tm_mon = two_digits(text + 5) - 1,
        .tm_mday = two_digits(text + 8),
        .tm_hour = two_digits(text + 11),
        .tm_min = two_digits(text + 14),
        .tm_sec = two_digits(text + 17),
    };
    struct tm normal = tm;

    if (tm.tm_sec == 60) { /* a leap second, which Unix time has not */
        normal.tm_sec = tm.tm_sec = 59;
    }
    *out = timegm(&normal);
    return normal.tm_year == tm.tm_year && normal.tm_mon == tm.tm_mon &&
           normal.tm_mday == tm.tm_mday && normal.tm_hour == tm.tm_hour &&
           normal.tm_min == tm.tm_min && normal.tm_sec == tm.tm_sec;
}

static bool rfc3339(int64_t *out_ms, const char *text)
{
    int64_t seconds;
    int ms, minutes;

    if (!has_form(text, "9999-99-99T99:99:99") || !seconds_of(&seconds, text) ||
        !zone(&minutes, fraction(&ms, text + strlen("9999-99-99T99:99:99")))) {
        return false;
    }
    *out_ms = (seconds - (int64_t)minutes * 60) * 1000 + ms;
    return *out_ms >= 0;
}

bool value_start(struct start *out, const char *text, int64_t now_ms)
{
    int64_t back_ms;

    *out = (struct start){.kind = START_TIME};
    if (strcmp(text, "earliest") == 0) {
        out->kind = START_EARLIEST;
        return true;
    }
    if (strcmp(text, "latest") == 0) {
        out->kind = START_LATEST;
        return true;
    }
    if (text[0] == '-' && value_ms(&back_ms, text + 1)) {
        out->time_ms = now_ms - back_ms;
        return back_ms <= now_ms;
    }
    return rfc3339(&out->time_ms, text);
}
