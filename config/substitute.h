/*
 * substitute.h - ${...} in the scalars of a config, after parsing:
 *
 *     ${VAR}            the environment variable; an error when it is not set
 *     ${VAR:-default}   `default` when it is not set or empty
 *     ${VAR:?message}   an error with `message` when it is not set or empty
 *     ${file:PATH}      the file, less one newline at its end; a relative PATH
 *                       counts from the config's directory
 *     ${cred:NAME}      the same of $CREDENTIALS_DIRECTORY/NAME (systemd's
 *                       LoadCredential=)
 *     $${               a literal ${
 *
 * What was put in is not looked at again, so a secret may hold "${". Keys are
 * left alone. One thread (it reads the environment).
 */
#ifndef CONFIG_SUBSTITUTE_H
#define CONFIG_SUBSTITUTE_H

#include "config/node.h"

enum {
    SUBSTITUTE_FILE_BYTES = 64 << 10, /* of one file */
    SUBSTITUTE_TOTAL_BYTES = 4 << 20, /* put in, in one config */
};

/* Works on the whole tree, in place. `config_path` is the config's own path.
 * A scalar with a problem is marked broken; one that held a ${...} has its
 * origin set. */
void substitute(struct node *root, const char *config_path, struct problems *p);

#endif
