/*
 * backoff.c - see backoff.h.
 */
#include "relay/base/backoff.h"

#include <stdlib.h>

int64_t backoff_ms(unsigned failures, int64_t min_ms, int64_t max_ms)
{
    int64_t ms = min_ms;

    for (; failures > 1 && ms < max_ms; failures--) {
        ms *= 2;
    }
    ms = ms < max_ms ? ms : max_ms;
    return ms - random() % (ms / 2 + 1);
}

bool backoff_is_news(unsigned failures)
{
    return (failures & (failures - 1)) == 0;
}
