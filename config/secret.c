/*
 * secret.c - see secret.h.
 */
#include "config/secret.h"

#include <stddef.h>
#include <string.h>

bool property_is_secret(const char *name)
{
    static const char *const parts[] = {
        "password", "passphrase", "secret",
        "token",    "credential", "sasl.oauthbearer.config",
        ".pem",     "private",    "jaas.config",
    };

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strcasestr(name, parts[i]) != NULL) {
            return true;
        }
    }
    return false;
}
