/*
 * ledger.c - see ledger.h.
 */
#include "relay/sync/ledger.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/io/reader.h"

static enum err_kind read_lane(struct ledger *ledger, int32_t k,
                               struct reader *reader,
                               const struct patience *patience, struct err *e)
{
    struct state *state = &ledger->lanes[k];

    if (reader_open_log(reader, ledger->at.offsets, k, e) != ERR_NONE ||
        state_read_identified(state, reader, patience, e) != ERR_NONE) {
        return e->kind;
    }
    return entries_add_state(&ledger->positions, state, e);
}

static enum err_kind read_lanes(struct ledger *ledger, const struct config *cfg,
                                const struct patience *patience, struct err *e)
{
    struct reader *reader = NULL;
    enum err_kind rc = reader_open(&reader, &cfg->target, READ_COMMITTED, e);

    ledger->lane_count = ledger->at.identity.lanes;
    ledger->lanes =
        mem_calloc((size_t)ledger->lane_count, sizeof(*ledger->lanes));
    for (int32_t k = 0; k < ledger->lane_count; k++) {
        state_init(&ledger->lanes[k], k);
    }
    for (int32_t k = 0; k < ledger->lane_count && rc == ERR_NONE; k++) {
        rc = read_lane(ledger, k, reader, patience, e);
    }
    entries_sort(&ledger->positions);
    reader_close(&reader);
    return rc;
}

enum err_kind ledger_try(struct ledger *out, const struct config *cfg,
                         struct admin *target, const struct patience *patience,
                         struct err *e)
{
    struct ledger ledger = {0};
    enum err_kind rc = generation_find(&ledger.at, cfg, target, patience, e);

    if (rc == ERR_NONE && ledger.at.in_use) {
        rc = ledger.at.offsets_partitions >= ledger.at.identity.lanes
                 ? read_lanes(&ledger, cfg, patience, e)
                 : generation_check(&ledger.at, ledger.at.identity.lanes,
                                    target, patience, e);
    }
    if (rc != ERR_NONE) {
        ledger_free(&ledger);
        return rc;
    }
    *out = ledger;
    return ERR_NONE;
}

enum err_kind ledger_read(struct ledger *out, const struct config *cfg,
                          struct admin *target, const struct patience *patience,
                          struct err *e)
{
    struct ledger ledger;

    if (ledger_try(&ledger, cfg, target, patience, e) != ERR_NONE) {
        return e->kind;
    }
    if (!ledger.at.in_use) {
        return err_set(e, ERR_STATE,
                       "%s has no positions of relay %s (%s): it has not run "
                       "yet, or they were deleted. Start it, or restore them: "
                       "kafka-relay offsets CONFIG import FILE --reason TEXT",
                       cfg->target.name, cfg->relay, ledger.at.offsets);
    }
    *out = ledger;
    return ERR_NONE;
}

void ledger_free(struct ledger *ledger)
{
    for (int32_t k = 0; k < ledger->lane_count; k++) {
        state_free(&ledger->lanes[k]);
    }
    free(ledger->lanes);
    entries_free(&ledger->positions);
    *ledger = (struct ledger){0};
}

enum err_kind ledger_check(const struct ledger *ledger, const char *source,
                           int32_t lanes, bool rescaled_too, struct err *e)
{
    struct identity want = ledger->at.identity;

    snprintf(want.source, sizeof(want.source), "%s", source);
    want.lanes = lanes;
    want.generation = ledger->at.number;
    for (int32_t k = 0; k < ledger->lane_count; k++) {
        if ((rescaled_too ? state_check_identity : state_check)(
                &ledger->lanes[k], ledger->at.offsets, &want, e) != ERR_NONE) {
            return e->kind;
        }
    }
    return ERR_NONE;
}

enum err_kind ledger_is_whole(const struct ledger *ledger, struct err *e)
{
    for (int32_t k = 0; k < ledger->lane_count; k++) {
        if (!ledger->lanes[k].has_identity) {
            return err_set(e, ERR_STATE,
                           "%s[%d] has no identity record: its records were "
                           "deleted, and the positions of lane %d with them",
                           ledger->at.offsets, (int)k, (int)k);
        }
    }
    return ERR_NONE;
}

static const char *rules_of(const struct state *lane)
{
    return lane->has_claim ? lane->claim.rules : "";
}

const char *ledger_rules(const struct ledger *ledger)
{
    for (int32_t k = 1; k < ledger->lane_count; k++) {
        if (strcmp(rules_of(&ledger->lanes[k]), rules_of(&ledger->lanes[0]))) {
            return NULL;
        }
    }
    return ledger->lane_count > 0 ? rules_of(&ledger->lanes[0]) : NULL;
}
