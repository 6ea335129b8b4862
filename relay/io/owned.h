/*
 * owned.h - librdkafka properties that the relay sets itself, and why a user
 * must not. Any thread; no state.
 */
#ifndef RELAY_IO_OWNED_H
#define RELAY_IO_OWNED_H

struct owned_property {
    const char *name;
    const char *reason; /* completes "cannot be set: " */
};

/* In the order of the reference page; a NULL name ends it. */
extern const struct owned_property owned_properties[];

/* NULL: the user may set it. Aliases count, and so does every callback. */
const char *property_owned_reason(const char *name);

#endif
