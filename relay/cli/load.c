/*
 * load.c - see load.h.
 */
#include "relay/cli/load.h"

#include "relay/io/property.h"

enum err_kind load_config(struct config **out, const char *path)
{
    struct problems p = {0};
    struct config *cfg = config_read(path, &p);
    enum err_kind rc = ERR_CONFIG;

    if (cfg != NULL) {
        properties_check(cfg, &p);
    }
    problems_print(&p, stderr);
    if (p.errors == 0) {
        *out = cfg;
        cfg = NULL; /* the caller's now */
        rc = ERR_NONE;
    }
    config_free(&cfg);
    problems_clear(&p);
    return rc;
}
