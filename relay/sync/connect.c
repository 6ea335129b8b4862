/*
 * connect.c - see connect.h.
 */
#include "relay/sync/connect.h"

#include <stdlib.h>

#include "relay/io/admin.h"
#include "relay/lane/plan.h"
#include "relay/sync/topics.h"

enum { CONNECT_MS = 10000 };

struct both {
    struct admin *source, *target;
    char *source_id, *target_id;
};

static enum err_kind connect_one(struct admin **admin, char **id,
                                 const struct cluster_config *cluster,
                                 FILE *out, struct err *e)
{
    const struct patience patience = patience_of(CONNECT_MS, NULL, 0);

    if (admin_open(admin, cluster, READ_COMMITTED, e) != ERR_NONE ||
        admin_cluster_id(*admin, id, &patience, e) != ERR_NONE) {
        return e->kind;
    }
    fprintf(out, "%s: connected, cluster id %s\n", cluster->name, *id);
    return ERR_NONE;
}

static enum err_kind connect_both(struct both *both, const struct config *cfg,
                                  FILE *out, struct err *e)
{
    struct err source = {0}, target = {0};

    connect_one(&both->source, &both->source_id, &cfg->source, out, &source);
    connect_one(&both->target, &both->target_id, &cfg->target, out, &target);
    if (source.kind != ERR_NONE && target.kind != ERR_NONE) {
        return err_set(e, source.kind, "%s; %s", source.text, target.text);
    }
    *e = source.kind != ERR_NONE ? source : target;
    return e->kind;
}

static void print_plan(const struct config *cfg, const struct plan *plan,
                       FILE *out)
{
    int64_t partitions = 0;
    size_t missing = 0;

    for (size_t i = 0; i < plan->count; i++) {
        partitions += plan->topics[i].partitions;
        missing += plan->topics[i].target_partitions == 0;
    }
    fprintf(out, "%s: %zu topics match, %lld partitions\n", cfg->source.name,
            plan->count, (long long)partitions);
    fprintf(out, "%s: %zu of their target topics are to be created\n",
            cfg->target.name, missing);
}

enum err_kind connect_check(const struct config *cfg, FILE *out, struct err *e)
{
    const struct patience patience = patience_of(CONNECT_MS * 2, NULL, 0);
    struct topics *topics = NULL;
    struct plan *plan = NULL;
    struct both both = {0};

    e->kind = ERR_NONE;
    if (connect_both(&both, cfg, out, e) == ERR_NONE) {
        topics = topics_new(cfg, both.source, both.target);
        if (topics_refresh(topics, false, &plan, &patience, e) == ERR_NONE) {
            print_plan(cfg, plan, out);
            fputs("untested, since a test would leave a trace: writing to the "
                  "target, transactional ids, joining the group\n",
                  out);
        }
    }
    plan_release(&plan);
    topics_free(&topics);
    admin_close(&both.source);
    admin_close(&both.target);
    free(both.source_id);
    free(both.target_id);
    return e->kind;
}
