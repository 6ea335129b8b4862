/*
 * load.h - the config that a subcommand was given, with every check that needs
 * no cluster. Main thread.
 */
#ifndef RELAY_CLI_LOAD_H
#define RELAY_CLI_LOAD_H

#include "config/config.h"

/* Reads and checks `path` and prints every problem, warnings too, to stderr.
 * On ERR_NONE the caller owns *out (config_free); else *out is untouched and
 * the exit code is err_exit_code(ERR_CONFIG). Does not open the log. */
enum err_kind load_config(struct config **out, const char *path) MUST_CHECK;

#endif
