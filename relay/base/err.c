/*
 * err.c - see err.h. Any thread; no state.
 */
#include "relay/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum err_kind err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
    va_list ap;

    if (e == NULL) {
        return kind;
    }
    e->kind = kind;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    return kind;
}

enum err_kind err_prefix(struct err *e, const char *fmt, ...)
{
    char before[sizeof(e->text)];
    char prefix[sizeof(e->text) / 2];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(prefix, sizeof(prefix), fmt, ap);
    va_end(ap);
    memcpy(before, e->text, sizeof(before));
    return err_set(e, e->kind, "%s: %s", prefix, before);
}

int err_exit_code(enum err_kind kind)
{
    switch (kind) {
    case ERR_NONE:
        return EX_OK;
    case ERR_RETRY:
    case ERR_FENCED:
    case ERR_FAILED:
        return 1;
    case ERR_STATE:
        return EX_DATAERR;
    case ERR_UNREACHABLE:
        return EX_UNAVAILABLE;
    case ERR_DENIED:
        return EX_NOPERM;
    case ERR_CONFIG:
        return EX_CONFIG;
    case ERR_USAGE:
        return EX_USAGE;
    }
    return 1;
}
