/*
 * state.c - see state.h.
 */
#include "relay/lane/state.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"

enum { IDENTITY_MS = 10000 };

void state_init(struct state *s, int32_t lane)
{
    *s = (struct state){.lane = lane, .positions = table_new()};
}

void state_free(struct state *s)
{
    table_free(&s->positions, free);
}

static enum err_kind see_identity(struct state *s, const struct log_record *r,
                                  struct err *e)
{
    s->has_identity = r->value != NULL;
    return s->has_identity
               ? identity_decode(&s->identity, r->value, r->value_len, e)
               : ERR_NONE;
}

static enum err_kind see_claim(struct state *s, const struct log_record *r,
                               struct err *e)
{
    if (r->value == NULL) {
        return ERR_NONE;
    }
    if (claim_decode(&s->claim, r->value, r->value_len, e) != ERR_NONE) {
        return e->kind;
    }
    s->has_claim = true;
    if (strcmp(s->claim.nonce, s->own) != 0) {
        s->before = s->claim;
        s->has_before = true;
    }
    return ERR_NONE;
}

static enum err_kind see_rescaled(struct state *s, const struct log_record *r,
                                  struct err *e)
{
    s->is_rescaled = r->value != NULL;
    return s->is_rescaled
               ? rescaled_decode(&s->rescaled, r->value, r->value_len, e)
               : ERR_NONE;
}

static enum err_kind see_position(struct state *s, const json_t *key,
                                  const struct log_record *r, struct err *e)
{
    const char *topic = json_string_value(json_object_get(key, "topic"));
    const json_t *partition = json_object_get(key, "partition");
    struct state_value *value;
    struct buf name = {0};

    if (topic == NULL || strlen(topic) > TOPIC_NAME_MAX ||
        !json_is_integer(partition) || json_integer_value(partition) < 0 ||
        json_integer_value(partition) > INT32_MAX) {
        return err_set(e, ERR_STATE, "a position's key is not understood");
    }
    value = mem_calloc(1, sizeof(*value) + r->value_len + strlen(topic) + 1);
    value->partition = (int32_t)json_integer_value(partition);
    value->len = r->value_len;
    if (r->value_len > 0) {
        memcpy(value->data, r->value, r->value_len);
    }
    value->topic = memcpy(value->data + r->value_len, topic, strlen(topic) + 1);
    position_key(&name, topic, value->partition);
    buf_add(&name, "", 1);
    free(table_put(s->positions, name.data, value));
    buf_free(&name);
    return ERR_NONE;
}

/* Keys of lanes other than this one stand in their own partitions. */
static bool is_for(const json_t *key, const char *name, int32_t lane)
{
    const json_t *k = json_object_get(key, name);

    return json_is_integer(k) && json_integer_value(k) == lane;
}

static enum err_kind see(struct state *s, const struct log_record *r,
                         struct err *e)
{
    json_t *key = json_loadb(r->key, r->key_len, JSON_REJECT_DUPLICATES, NULL);

    e->kind = ERR_NONE;
    if (is_for(key, "identity", s->lane)) {
        see_identity(s, r, e);
    } else if (is_for(key, "claim", s->lane)) {
        see_claim(s, r, e);
    } else if (is_for(key, "moved", s->lane)) {
        see_rescaled(s, r, e);
    } else if (is_for(key, "frozen", s->lane)) {
        s->frozen = r->value != NULL;
    } else if (json_object_get(key, "topic") != NULL &&
               json_object_get(key, "group") == NULL) {
        see_position(s, key, r, e);
    } else if (json_object_get(key, "group") == NULL) {
        err_set(e, ERR_STATE, "its key is not one of kafka-relay's");
    }
    json_decref(key);
    if (e->kind != ERR_NONE) {
        err_prefix(e, "partition %d of the offsets topic, offset %lld",
                   (int)s->lane, (long long)r->offset);
    }
    return e->kind;
}

static bool is_other(const struct state *s)
{
    return s->has_claim && strcmp(s->claim.nonce, s->known[0]) != 0 &&
           strcmp(s->claim.nonce, s->known[1]) != 0;
}

static bool is_free(const struct state *s)
{
    return s->is_rescaled || (s->has_claim && s->claim.released);
}

static enum log_verdict see_record(void *arg, const struct log_record *r,
                                   struct err *e)
{
    struct state *s = arg;

    if (see(s, r, e) != ERR_NONE) {
        return LOG_BAD;
    }
    if ((s->until_other && is_other(s)) || (s->until_free && is_free(s)) ||
        (s->until_identity && s->has_identity)) {
        return LOG_ENOUGH;
    }
    return s->own[0] != '\0' && s->has_claim &&
                   strcmp(s->claim.nonce, s->own) == 0
               ? LOG_ENOUGH
               : LOG_GO_ON;
}

enum err_kind state_read(struct state *s, struct reader *reader,
                         const struct patience *patience, struct err *e)
{
    s->own[0] = '\0';
    return reader_read_log(reader, false, see_record, s, patience, e);
}

enum err_kind state_read_identified(struct state *s, struct reader *reader,
                                    const struct patience *patience,
                                    struct err *e)
{
    const struct patience wait =
        patience_of(IDENTITY_MS, patience->stopped, patience->grace_ms);
    enum err_kind rc = state_read(s, reader, patience, e);

    if (rc != ERR_NONE || s->has_identity) {
        return rc;
    }
    s->until_identity = true;
    rc = reader_read_log(reader, true, see_record, s, &wait, e);
    s->until_identity = false;
    if (rc == ERR_RETRY) {
        e->kind = ERR_NONE;
        return ERR_NONE;
    }
    return rc == ERR_NONE ? state_read(s, reader, patience, e) : rc;
}

enum err_kind state_read_until_own(struct state *s, struct reader *reader,
                                   const struct patience *patience,
                                   struct err *e)
{
    VERIFY(s->own[0] != '\0');
    return reader_read_log(reader, true, see_record, s, patience, e);
}

enum err_kind state_read_until_other(struct state *s, struct reader *reader,
                                     const char *own, const char *before,
                                     const struct patience *patience,
                                     struct err *e)
{
    enum err_kind rc;

    s->own[0] = '\0';
    snprintf(s->known[0], sizeof(s->known[0]), "%s", own);
    snprintf(s->known[1], sizeof(s->known[1]), "%s", before);
    if (is_other(s)) {
        return ERR_NONE;
    }
    s->until_other = true;
    rc = reader_read_log(reader, true, see_record, s, patience, e);
    s->until_other = false;
    return rc;
}

/* What is free may have been taken by what stands behind. */
enum err_kind state_read_until_free(struct state *s, struct reader *reader,
                                    const struct patience *patience,
                                    struct err *e)
{
    enum err_kind rc = state_read(s, reader, patience, e);

    while (rc == ERR_NONE && !is_free(s)) {
        s->until_free = true;
        rc = reader_read_log(reader, true, see_record, s, patience, e);
        s->until_free = false;
        if (rc == ERR_NONE) {
            rc = state_read(s, reader, patience, e);
        }
    }
    return rc;
}

enum err_kind state_check_identity(const struct state *s, const char *topic,
                                   const struct identity *want, struct err *e)
{
    const struct identity *is = &s->identity;

    if (!s->has_identity) {
        return err_set(e, ERR_STATE,
                       "%s[%d] has no identity record: it was not written by "
                       "kafka-relay, or its records were deleted. Delete the "
                       "topic and restore the positions: kafka-relay offsets "
                       "CONFIG import FILE --reason TEXT; or give the relay "
                       "another name",
                       topic, (int)s->lane);
    }
    if (strcmp(is->source, want->source) != 0) {
        return err_set(e, ERR_STATE,
                       "%s belongs to a relay from cluster %s, but this "
                       "source is cluster %s. Correct source.bootstrap.servers "
                       "or give the relay another name",
                       topic, is->source, want->source);
    }
    if (is->lanes != want->lanes) {
        return err_set(e, ERR_STATE,
                       "%s was made for %d lanes, but delivery.lanes is %d. "
                       "Set delivery.lanes: %d, or change what is there: "
                       "kafka-relay offsets CONFIG rescale --lanes %d",
                       topic, (int)is->lanes, (int)want->lanes, (int)is->lanes,
                       (int)want->lanes);
    }
    if (is->generation != want->generation) {
        return err_set(e, ERR_STATE, "%s says it is generation %d", topic,
                       is->generation);
    }
    if (want->relay[0] != '\0' && strcmp(is->relay, want->relay) != 0) {
        return err_set(e, ERR_STATE,
                       "%s[%d] was written by relay %s, the others by %s: two "
                       "relays use the same name. Rename one of them",
                       topic, (int)s->lane, is->relay, want->relay);
    }
    if (s->frozen) {
        return err_set(e, ERR_STATE,
                       "%s[%d] is frozen by a failover; this version of "
                       "kafka-relay can't thaw it",
                       topic, (int)s->lane);
    }
    return ERR_NONE;
}

enum err_kind state_check(const struct state *s, const char *topic,
                          const struct identity *want, struct err *e)
{
    /* Before its lanes: who runs with the old number learns the new one. */
    if (s->has_identity && s->is_rescaled &&
        strcmp(s->identity.source, want->source) == 0) {
        return err_set(e, ERR_STATE,
                       "%s[%d] is rescaled to %d lanes (generation %d): set "
                       "delivery.lanes: %d and restart. If that command did "
                       "not end, run it again first: kafka-relay offsets "
                       "CONFIG rescale --lanes %d",
                       topic, (int)s->lane, (int)s->rescaled.lanes,
                       s->rescaled.generation, (int)s->rescaled.lanes,
                       (int)s->rescaled.lanes);
    }
    return state_check_identity(s, topic, want, e);
}

enum err_kind state_position(const struct state *s, const char *topic,
                             int32_t partition, struct position *out,
                             bool *found, struct err *e)
{
    const struct state_value *value;
    struct buf name = {0};

    position_key(&name, topic, partition);
    buf_add(&name, "", 1);
    value = table_get(s->positions, name.data);
    buf_free(&name);
    *found = value != NULL && value->len > 0;
    if (!*found) {
        return ERR_NONE;
    }
    if (position_decode(out, value->data, value->len, e) != ERR_NONE) {
        return err_prefix(e, "position of %s[%d]", topic, (int)partition);
    }
    return ERR_NONE;
}

enum err_kind state_check_positions(const struct state *s, struct err *e)
{
    const struct state_value *value;
    struct position position;
    const char *key;
    size_t at = 0;

    while ((value = table_next(s->positions, &at, &key)) != NULL) {
        if (value->len == 0) {
            continue;
        }
        if (position_decode(&position, value->data, value->len, e) !=
            ERR_NONE) {
            return err_prefix(e, "lane %d, %s", (int)s->lane, key);
        }
        position_free(&position);
    }
    return ERR_NONE;
}
