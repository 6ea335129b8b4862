/*
 * property.h - the librdkafka properties of a config, checked without a
 * cluster. One thread.
 */
#ifndef RELAY_IO_PROPERTY_H
#define RELAY_IO_PROPERTY_H

#include "config/config.h"

/* Checks each property of both clusters: known, not the relay's own, its value
 * accepted by librdkafka, of use on this side; then opens (without brokers, so
 * without a network) the clients that the engine will open, which finds what
 * single properties cannot show: files that are missing, settings that need
 * each other. `cfg` may be what config_read gave after errors. */
void properties_check(const struct config *cfg, struct problems *p);

/* librdkafka's, at run time: "2.0.2". */
const char *kafka_library_version(void);

#endif
