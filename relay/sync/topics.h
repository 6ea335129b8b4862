/*
 * topics.h - topic discovery: from two clusters' topics and the rules to a
 * plan; and the target topics that are missing.
 *
 * Blocks on the network: a worker's thread, one at a time.
 */
#ifndef RELAY_SYNC_TOPICS_H
#define RELAY_SYNC_TOPICS_H

#include <stdbool.h>

#include "config/config.h"
#include "relay/base/err.h"
#include "relay/base/patience.h"
#include "relay/io/admin.h"
#include "relay/lane/plan.h"

struct topics;

/* cfg and both admins are borrowed. */
struct topics *topics_new(const struct config *cfg, struct admin *source,
                          struct admin *target);
void topics_free(struct topics **topics);

/* A new plan. With `create` (lane 0's owner) target topics are made and grown
 * first, as far as the config allows. Problems with single topics are logged,
 * once each, and leave the topic out or blocked. The caller owns *out. */
enum err_kind topics_refresh(struct topics *topics, bool create,
                             struct plan **out, const struct patience *patience,
                             struct err *e) MUST_CHECK;

/* From the next refresh on, plans carry the end offsets that the first of them
 * sees, and topics that appear later are left out (--until-end). */
void topics_until_end(struct topics *topics);

#endif
