/*
 * ground.h - what a relay stands on: its topics on the target, made once and
 * checked at every start.
 *
 * Blocks on the network: a worker's thread.
 */
#ifndef RELAY_SYNC_GROUND_H
#define RELAY_SYNC_GROUND_H

#include "config/config.h"
#include "relay/base/err.h"
#include "relay/base/patience.h"
#include "relay/io/admin.h"
#include "relay/lane/plan.h"
#include "relay/lane/position.h"

/* Finds the newest generation in use of the relay's topics, or makes the first,
 * and fills *identity with what every lane's state must say. `plan` (the first
 * one) tells whether the target holds copies that no state belongs to.
 * ERR_STATE: not usable, with the ways out; ERR_UNREACHABLE, ERR_DENIED. */
enum err_kind ground_prepare(const struct config *cfg, struct admin *source,
                             struct admin *target, const struct plan *plan,
                             struct identity *identity,
                             const struct patience *patience,
                             struct err *e) MUST_CHECK;

/* While running: ERR_FAILED when the offsets topic is listed no more. */
enum err_kind ground_still_there(const struct config *cfg, struct admin *target,
                                 const struct identity *identity,
                                 const struct patience *patience,
                                 struct err *e) MUST_CHECK;

#endif
