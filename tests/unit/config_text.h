/*
 * config_text.h - for the tests of configs: a config from a string, and all
 * that is said about it. The file is called relay.yaml, in a folder of its own
 * that is the current one.
 */
#ifndef TESTS_UNIT_CONFIG_TEXT_H
#define TESTS_UNIT_CONFIG_TEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"

/* Good by itself: what a test adds to it is what is wrong. */
#define GOOD_HEAD                             \
    "relay: r\n"                              \
    "source: {bootstrap.servers: 'a:9092'}\n" \
    "target: {bootstrap.servers: 'b:9092'}\n"
#define GOOD GOOD_HEAD "topics: [{include: '.*'}]\n"

static inline void write_file(const char *path, const void *bytes, size_t len)
{
    FILE *out = fopen(path, "wb");

    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, len, out), len);
    assert_int_equal(fclose(out), 0);
}

/* Group set-up and tear-down: an empty current folder, and back. */
static char config_folder[64];

static inline int enter_folder(void **state)
{
    (void)state;
    snprintf(config_folder, sizeof(config_folder), "/tmp/relay-test-XXXXXX");
    assert_non_null(mkdtemp(config_folder));
    return chdir(config_folder);
}

static inline int leave_folder(void **state)
{
    (void)state;
    unlink("relay.yaml");
    unlink("secret");
    if (chdir("/") != 0) {
        return -1;
    }
    return rmdir(config_folder);
}

static inline char *printed(const struct problems *p)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    problems_print(p, out);
    fclose(out);
    return text;
}

/* Everything that config_load says of `len` bytes; the caller frees. */
static inline char *said_of_bytes(const void *yaml, size_t len)
{
    struct problems p = {0};
    struct config *cfg = NULL;
    enum err_kind rc;
    char *text;

    write_file("relay.yaml", yaml, len);
    rc = config_load(&cfg, "relay.yaml", &p);
    assert_int_equal(rc, p.errors > 0 ? ERR_CONFIG : ERR_NONE);
    assert_true((cfg != NULL) == (rc == ERR_NONE));
    text = printed(&p);
    config_free(&cfg);
    problems_clear(&p);
    return text;
}

static inline char *said_of(const char *yaml)
{
    return said_of_bytes(yaml, strlen(yaml));
}

static inline struct config *good_config(const char *yaml)
{
    struct problems p = {0};
    struct config *cfg = NULL;
    char *text;

    write_file("relay.yaml", yaml, strlen(yaml));
    (void)!config_load(&cfg, "relay.yaml", &p);
    text = printed(&p);
    assert_string_equal(text, "");
    free(text);
    problems_clear(&p);
    return cfg;
}

#endif
