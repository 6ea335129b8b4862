/*
 * err.h - one error value, carried up unchanged to whoever can act on it.
 *
 * The kind says what the caller must do; the text says what went wrong, where,
 * and what the operator can do next. The library never prints it.
 */
#ifndef RELAY_BASE_ERR_H
#define RELAY_BASE_ERR_H

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

enum err_kind {
    ERR_NONE = 0,
    ERR_RETRY,       /* nothing is wrong with the request: try again later */
    ERR_FENCED,      /* another process has taken this lane */
    ERR_FAILED,      /* failed at run time */
    ERR_STATE,       /* the state on the target is not ours or not usable */
    ERR_UNREACHABLE, /* no broker of a cluster answers */
    ERR_DENIED,      /* authentication or authorisation failed */
    ERR_CONFIG,      /* the operator must change a setting */
    ERR_USAGE,       /* the command line is wrong */
};

struct err {
    enum err_kind kind;
    char text[512]; /* one line, no newline; "" while kind is ERR_NONE */
};

/* Fills *e (NULL allowed) and returns kind, so a failing function ends in one
 * line: return err_set(e, ERR_CONFIG, "%s: no such topic", name); */
enum err_kind err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Puts "what: " before the text and returns the kind, unchanged. */
enum err_kind err_prefix(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The process exit code of a kind: 0, 1, 64, 65, 69, 77 or 78 (sysexits.h). */
int err_exit_code(enum err_kind kind);

#endif
