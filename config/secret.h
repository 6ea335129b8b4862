/*
 * secret.h - which properties hold secrets: their values never reach a log, an
 * error or a page. Any thread; no state.
 */
#ifndef CONFIG_SECRET_H
#define CONFIG_SECRET_H

#include <stdbool.h>

/* By the name, and rather one too many: it also holds for names that this
 * librdkafka does not know. */
bool property_is_secret(const char *name);

#endif
