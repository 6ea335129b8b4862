/*
 * restore_internal.h - what the files of `offsets import` share. Private to
 * them.
 */
#ifndef RELAY_SYNC_RESTORE_INTERNAL_H
#define RELAY_SYNC_RESTORE_INTERNAL_H

#include "relay/sync/ledger.h"
#include "relay/sync/restore.h"

/* Writes into the lanes of the generation in use. */
enum err_kind restore_into(struct restore *r, const struct ledger *ledger,
                           const struct patience *patience,
                           struct err *e) MUST_CHECK;

/* Going on from positions that are older than the copies doubles records:
 * ERR_STATE, or with force only a warning. */
enum err_kind restore_refuse_stale(const struct restore *r,
                                   const struct patience *patience,
                                   struct err *e) MUST_CHECK;

/* Why the position is there, and what stood there before; -1: nothing. */
void restore_note_move(const struct restore *r, struct position *p,
                       int64_t before);

/* For positions whose pointers lead into another offset map, or none. */
void restore_drop_maps(struct restore *r);

#endif
