/*
 * ends.c - see ends.h.
 */
#include "relay/sync/ends.h"

#include "relay/lane/names.h"
#include "relay/lane/state.h"

static enum err_kind look_at(const struct state *state,
                             const struct plan_topic *topic, int32_t partition,
                             struct ends_report *out, struct err *e)
{
    struct position position;
    bool found;

    if (state_position(state, topic->name, partition, &position, &found, e) !=
        ERR_NONE) {
        return e->kind;
    }
    if (!found) {
        out->reached = false;
        return ERR_NONE;
    }
    if (position.halt.reason[0] != '\0') {
        out->halted = true;
    } else if (position.next < topic->stop_at[partition]) {
        out->reached = false;
    }
    position_free(&position);
    return ERR_NONE;
}

static enum err_kind look_at_lane(const struct plan *plan,
                                  const struct state *state, int32_t lanes,
                                  struct ends_report *out, struct err *e)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_topic *t = &plan->topics[i];

        for (int32_t p = 0; p < t->partitions && t->stop_at != NULL; p++) {
            if (lane_of(t->name, p, lanes) == state->lane &&
                look_at(state, t, p, out, e) != ERR_NONE) {
                return e->kind;
            }
        }
    }
    return ERR_NONE;
}

enum err_kind ends_look(const struct config *cfg,
                        const struct identity *identity,
                        const struct plan *plan, const bool *own,
                        struct ends_report *out,
                        const struct patience *patience, struct err *e)
{
    struct reader *reader = NULL;
    char topic[NAME_SIZE];

    *out = (struct ends_report){.reached = true};
    name_offsets_topic(topic, cfg->relay, identity->generation);
    if (reader_open(&reader, &cfg->target, READ_COMMITTED, e) != ERR_NONE) {
        return e->kind;
    }
    e->kind = ERR_NONE;
    for (int32_t k = 0; k < identity->lanes && e->kind == ERR_NONE; k++) {
        struct state state;

        if (own[k]) {
            continue;
        }
        state_init(&state, k);
        if (reader_open_log(reader, topic, k, e) != ERR_NONE ||
            state_read(&state, reader, patience, e) != ERR_NONE ||
            look_at_lane(plan, &state, identity->lanes, out, e) != ERR_NONE) {
            out->reached = false;
        }
        state_free(&state);
    }
    reader_close(&reader);
    return e->kind;
}
