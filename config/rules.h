/*
 * rules.h - the list `topics`. One thread.
 */
#ifndef CONFIG_RULES_H
#define CONFIG_RULES_H

#include "config/config.h"
#include "config/node.h"

/* Fills cfg->rules from the list; every problem goes to *p. */
void rules_read(struct config *cfg, const struct node *list,
                struct problems *p);

/* Frees cfg->rules. */
void rules_clear(struct config *cfg);

#endif
