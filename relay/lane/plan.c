/*
 * plan.c - see plan.h.
 */
#include "relay/lane/plan.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"

struct plan *plan_new(void)
{
    struct plan *plan = mem_calloc(1, sizeof(*plan));

    atomic_init(&plan->references, 1);
    return plan;
}

struct plan *plan_hold(struct plan *plan)
{
    atomic_fetch_add(&plan->references, 1);
    return plan;
}

void plan_release(struct plan **plan)
{
    struct plan *p = *plan;

    *plan = NULL;
    if (p == NULL || atomic_fetch_sub(&p->references, 1) > 1) {
        return;
    }
    for (size_t i = 0; i < p->count; i++) {
        free(p->topics[i].name);
        free(p->topics[i].target);
        free(p->topics[i].stop_at);
        free(p->topics[i].blocked);
    }
    free(p->topics);
    free(p);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct plan_topic *)a)->name,
                  ((const struct plan_topic *)b)->name);
}

const struct plan_topic *plan_find(const struct plan *plan, const char *name)
{
    const struct plan_topic key = {.name = (char *)name};

    if (plan->count == 0) {
        return NULL;
    }
    return bsearch(&key, plan->topics, plan->count, sizeof(key), by_name);
}
