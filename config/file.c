/*
 * file.c - see file.h. Reads to the limit and not by the size that stat gives,
 * so that pipes and /proc work and a file that grows does no harm.
 */
#include "config/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/base/mem.h"

/* Up to `limit` bytes of fd; -1 with errno. */
static ssize_t read_all(int fd, char *out, size_t limit)
{
    size_t len = 0;

    while (len < limit) {
        ssize_t n = read(fd, out + len, limit - len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        if (n == 0) {
            break;
        }
        len += (size_t)n;
    }
    return (ssize_t)len;
}

enum err_kind file_read(char **out, size_t *len, const char *path, size_t limit,
                        struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    char *text;
    ssize_t n;

    if (fd < 0) {
        return err_set(e, ERR_CONFIG, "cannot open %s: %s", path,
                       strerror(errno));
    }
    text = mem_calloc(limit + 2, 1);
    n = read_all(fd, text, limit + 1);
    if (n < 0) {
        err_set(e, ERR_CONFIG, "cannot read %s: %s", path, strerror(errno));
    } else if ((size_t)n > limit) {
        err_set(e, ERR_CONFIG, "%s is larger than %zu KiB", path, limit / 1024);
        n = -1;
    }
    close(fd);
    if (n < 0) {
        free(text);
        return ERR_CONFIG;
    }
    *out = text;
    *len = (size_t)n;
    return ERR_NONE;
}
