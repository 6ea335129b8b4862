/*
 * record.c - see record.h.
 */
#include "relay/lane/record.h"

#include <string.h>

#include "relay/base/escape.h"
#include "relay/lane/position.h"

json_t *record_load(const char *data, size_t len, const char *what,
                    struct err *e)
{
    json_t *root = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
    json_int_t version = json_integer_value(json_object_get(root, "v"));

    if (version >= 1 && version <= RECORD_VERSION) {
        return root;
    }
    if (version > RECORD_VERSION) {
        err_set(e, ERR_STATE,
                "%s record: version %lld is newer than this program's %d; run "
                "the newer kafka-relay",
                what, (long long)version, RECORD_VERSION);
    } else {
        err_set(e, ERR_STATE, "%s record: not a JSON object with a version",
                what);
    }
    json_decref(root);
    return NULL;
}

bool record_string(const json_t *text, char *out, size_t size)
{
    if (!json_is_string(text) || json_string_length(text) >= size) {
        return false;
    }
    memcpy(out, json_string_value(text), json_string_length(text) + 1);
    return true;
}

bool record_text(const json_t *from, const char *name, char *out, size_t size)
{
    return record_string(json_object_get(from, name), out, size);
}

bool record_label(const json_t *text, char *out, size_t size)
{
    size_t len;

    if (!json_is_string(text)) {
        return false;
    }
    len = utf8_cut(json_string_value(text), size - 1);
    memcpy(out, json_string_value(text), len);
    out[len] = '\0';
    return true;
}

bool record_offset(const json_t *value, int64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > INT64_MAX / 4) {
        return false;
    }
    *out = json_integer_value(value);
    return true;
}
