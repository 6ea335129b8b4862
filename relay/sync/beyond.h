/*
 * beyond.h - does the target hold copies that positions know nothing of? Then
 * they are too old, and going on from them would copy those records again.
 * Blocks on the network: a command.
 */
#ifndef RELAY_SYNC_BEYOND_H
#define RELAY_SYNC_BEYOND_H

#include "config/config.h"
#include "relay/base/err.h"
#include "relay/base/patience.h"
#include "relay/io/admin.h"
#include "relay/lane/entries.h"

/* Looks in each position's target partition for a committed record behind the
 * newest copy that it knows. A position that has copied nothing since it was
 * moved by hand knows none, and is not looked at.
 * *found: the first one that is too old, or NULL; *offset: of that record. */
enum err_kind beyond_find(const struct entry **found, int64_t *offset,
                          const struct entries *positions,
                          const struct config *cfg, struct admin *target,
                          const struct patience *patience,
                          struct err *e) MUST_CHECK;

#endif
