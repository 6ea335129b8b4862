/*
 * export.c - see export.h.
 */
#include "relay/lane/export.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "config/value.h"
#include "relay/lane/record.h"

void export_encode(struct buf *out, const struct export *x)
{
    buf_printf(out, "{\"version\":%d,\"name\":", EXPORT_VERSION);
    buf_json_string(out, x->name);
    buf_printf(out, ",\"relay\":");
    buf_json_string(out, x->identity.relay);
    buf_printf(out, ",\"source\":");
    buf_json_string(out, x->identity.source);
    buf_printf(out, ",\"generation\":%d,\"lanes\":%" PRId32 ",\"rules\":",
               x->identity.generation, x->identity.lanes);
    buf_json_string(out, x->rules);
    buf_printf(out, ",\"positions\":[");
    for (size_t i = 0; i < x->positions.count; i++) {
        const struct entry *entry = &x->positions.items[i];

        buf_printf(out, "%s\n{\"key\":", i > 0 ? "," : "");
        position_key(out, entry->topic, entry->partition);
        buf_printf(out, ",\"value\":");
        buf_add(out, entry->raw->data, entry->raw->len);
        buf_add(out, "}", 1);
    }
    buf_printf(out, "\n]}\n");
}

/* Each move adds one: those that come must still be readable. */
static const int64_t EXPORT_EPOCH_MAX = INT64_C(1) << 48;

/* 8-4-4-4-12 hex digits */
static bool is_uuid(const char *text)
{
    for (int i = 0; i < UUID_SIZE - 1; i++) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? text[i] != '-'
                 : text[i] == '\0' ||
                       strchr("0123456789abcdef", text[i]) == NULL) {
            return false;
        }
    }
    return text[UUID_SIZE - 1] == '\0';
}

static bool read_head(const json_t *root, struct export *x)
{
    struct identity *id = &x->identity;
    const json_int_t lanes = json_integer_value(json_object_get(root, "lanes"));
    const json_t *generation = json_object_get(root, "generation");

    if (lanes < 1 || lanes > 65536 || !json_is_integer(generation) ||
        json_integer_value(generation) < 0 ||
        json_integer_value(generation) > EXPORT_GENERATION_MAX) {
        return false;
    }
    id->lanes = (int32_t)lanes;
    id->generation = (int)json_integer_value(generation);
    return record_text(root, "name", x->name, sizeof(x->name)) &&
           record_text(root, "relay", id->relay, sizeof(id->relay)) &&
           is_uuid(id->relay) &&
           record_text(root, "source", id->source, sizeof(id->source)) &&
           record_text(root, "rules", x->rules, sizeof(x->rules));
}

static bool is_topic_name(const char *text)
{
    return text[0] != '\0' && text[value_name_span(text)] == '\0';
}

static bool read_key(const json_t *key, char topic[TOPIC_NAME_MAX + 1],
                     int32_t *partition)
{
    int64_t number;

    if (!record_text(key, "topic", topic, TOPIC_NAME_MAX + 1) ||
        !record_offset(json_object_get(key, "partition"), &number) ||
        number > INT32_MAX || !is_topic_name(topic)) {
        return false;
    }
    *partition = (int32_t)number;
    return true;
}

static enum err_kind read_position(struct export *x, const json_t *item,
                                   size_t number, struct err *e)
{
    char topic[TOPIC_NAME_MAX + 1];
    int32_t partition;
    char *text;
    struct entry *entry;
    enum err_kind rc;

    if (!read_key(json_object_get(item, "key"), topic, &partition)) {
        return err_set(e, ERR_STATE,
                       "positions[%zu]: its key is not a topic and a partition",
                       number);
    }
    text = json_dumps(json_object_get(item, "value"), JSON_COMPACT);
    if (text == NULL) {
        return err_set(e, ERR_STATE, "positions[%zu]: it has no value", number);
    }
    entry = entries_add(&x->positions, topic, partition);
    rc = position_decode(&entry->position, text, strlen(text), e);
    free(text);
    if (rc == ERR_NONE && !is_topic_name(entry->position.target_topic)) {
        rc = err_set(e, ERR_STATE, "its target is not a topic's name");
    }
    if (rc == ERR_NONE && entry->position.epoch > EXPORT_EPOCH_MAX) {
        rc = err_set(e, ERR_STATE, "its epoch is higher than one can get");
    }
    return rc == ERR_NONE ? rc : err_prefix(e, "positions[%zu]", number);
}

static enum err_kind refuse_twins(const struct export *x, struct err *e)
{
    const struct entries *all = &x->positions;

    for (size_t i = 1; i < all->count; i++) {
        const struct entry *one = &all->items[i - 1], *other = one + 1;

        if (one->partition == other->partition &&
            strcmp(one->topic, other->topic) == 0) {
            return err_set(e, ERR_STATE, "two positions of %s[%d]", one->topic,
                           (int)one->partition);
        }
    }
    return ERR_NONE;
}

static enum err_kind read_positions(struct export *x, const json_t *list,
                                    struct err *e)
{
    size_t i;
    json_t *item;

    if (!json_is_array(list)) {
        return err_set(e, ERR_STATE, "it has no list of positions");
    }
    json_array_foreach(list, i, item)
    {
        if (read_position(x, item, i, e) != ERR_NONE) {
            return e->kind;
        }
    }
    entries_sort(&x->positions);
    return refuse_twins(x, e);
}

enum err_kind export_decode(struct export *x, const char *data, size_t len,
                            struct err *e)
{
    json_t *root = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
    json_int_t version = json_integer_value(json_object_get(root, "version"));
    enum err_kind rc = ERR_NONE;

    *x = (struct export){0};
    if (version > EXPORT_VERSION) {
        rc = err_set(e, ERR_STATE,
                     "version %lld is newer than this program's %d; use the "
                     "newer kafka-relay",
                     (long long)version, EXPORT_VERSION);
    } else if (version < 1 || !read_head(root, x)) {
        rc = err_set(e, ERR_STATE,
                     "not what `kafka-relay offsets CONFIG export` gives: a "
                     "field is missing or wrong");
    } else {
        rc = read_positions(x, json_object_get(root, "positions"), e);
    }
    json_decref(root);
    return rc;
}

void export_free(struct export *x)
{
    entries_free(&x->positions);
}
