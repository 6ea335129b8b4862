/*
 * clock_shim.c - a wall clock that jumps, for one process.
 *
 * Preloaded, it adds the number of nanoseconds in the file $CLOCK_SHIM to the
 * wall clock, from one moment to the next; the monotonic clock stays as it is.
 * As in the kernel, somebody who waits for a point of the wall clock waits for
 * the clock as it is then: after a jump back by an hour for an hour.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>

enum {
    SLICE_NS = 20000000,
    BILLION = 1000000000,
    MONOTONIC_BIT = 2, /* of a condition variable, in glibc */
};

static const volatile int64_t *offset_ns;
static int (*real_gettime)(clockid_t, struct timespec *);
static int (*real_wait)(pthread_cond_t *, pthread_mutex_t *,
                        const struct timespec *);
static int (*real_cnd_wait)(cnd_t *, mtx_t *, const struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CLOCK_SHIM");
    int file = path != NULL ? open(path, O_RDONLY) : -1;
    void *page =
        file >= 0 ? mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0)
                  : MAP_FAILED;

    if (page != MAP_FAILED) {
        offset_ns = page;
    }
    real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_wait = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    real_cnd_wait = dlsym(RTLD_NEXT, "cnd_timedwait");
}

static int64_t ns_of(const struct timespec *t)
{
    return (int64_t)t->tv_sec * BILLION + t->tv_nsec;
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){ns / BILLION, ns % BILLION};
}

int clock_gettime(clockid_t id, struct timespec *out)
{
    int rc;

    if (real_gettime == NULL) {
        begin();
    }
    rc = real_gettime(id, out);
    if (rc == 0 && offset_ns != NULL &&
        (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        *out = timespec_of(ns_of(out) + *offset_ns);
    }
    return rc;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;

    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

int timespec_get(struct timespec *out, int base)
{
    clock_gettime(CLOCK_REALTIME, out);
    return base;
}

time_t time(time_t *out)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}

/* The end of the next slice on the real clock; false when it is over. */
static int next_slice(const struct timespec *until, struct timespec *slice)
{
    struct timespec now;
    int64_t left;

    clock_gettime(CLOCK_REALTIME, &now);
    left = ns_of(until) - ns_of(&now);
    real_gettime(CLOCK_REALTIME, slice);
    *slice = timespec_of(ns_of(slice) + (left < SLICE_NS ? left : SLICE_NS));
    return left > 0;
}

int pthread_cond_timedwait(pthread_cond_t *restrict cond,
                           pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
    struct timespec slice;
    int rc = 0;

    if (cond->__data.__wrefs & MONOTONIC_BIT) {
        return real_wait(cond, mutex, until);
    }
    do {
        if (!next_slice(until, &slice)) {
            slice = (struct timespec){0};
            return real_wait(cond, mutex, &slice);
        }
        rc = real_wait(cond, mutex, &slice);
    } while (rc == ETIMEDOUT);
    return rc;
}

int cnd_timedwait(cnd_t *restrict cond, mtx_t *restrict mutex,
                  const struct timespec *restrict until)
{
    struct timespec slice;
    int rc = 0;

    do {
        if (!next_slice(until, &slice)) {
            slice = (struct timespec){0};
            return real_cnd_wait(cond, mutex, &slice);
        }
        rc = real_cnd_wait(cond, mutex, &slice);
    } while (rc == thrd_timedout);
    return rc;
}
