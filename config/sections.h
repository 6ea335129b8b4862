/*
 * sections.h - all settings of a config, section by section: what the reader
 * accepts, what a later version will, and what the reference page prints.
 */
#ifndef CONFIG_SECTIONS_H
#define CONFIG_SECTIONS_H

#include <stddef.h>

#include "config/option.h"

struct section {
    const char *path;  /* "delivery", "sync.topics"; "": the top */
    const char *title; /* on the reference page */
    const struct option *options;
    size_t count;
    const char *const *nested; /* keys that are sections of their own */
    const char *const *later;  /* keys of a later version */
    const char *doc;           /* for the reference page; NULL: nothing */
};

enum section_id {
    SECTION_TOP,     /* struct config */
    SECTION_CLUSTER, /* struct cluster_config: source and target */
    SECTION_RULE,    /* struct rule: an entry of topics */
    SECTION_DELIVERY,
    SECTION_SYNC,
    SECTION_SYNC_TOPICS, /* struct sync_config */
    SECTION_LOG,
    SECTION_COUNT,
};

extern const struct section config_sections[SECTION_COUNT];

/* A lane's smallest share of delivery.buffer_memory. */
enum { LANE_MIN_BYTES = 4 << 20 };

#endif
