/*
 * file.h - a whole small file in memory: the config itself, and the secrets
 * that it names. Any thread.
 */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include <stddef.h>

#include "relay/base/err.h"

/* Reads `path`. *out ends in a NUL that *len (bytes) does not count; the
 * caller frees it. ERR_CONFIG: unreadable, or more than `limit` bytes. */
enum err_kind file_read(char **out, size_t *len, const char *path, size_t limit,
                        struct err *e) MUST_CHECK;

#endif
