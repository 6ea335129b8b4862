/*
 * claim.c - identity and claim records, and the random names in them; see
 * position.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "relay/base/mem.h"
#include "relay/lane/names.h"
#include "relay/lane/position.h"
#include "relay/lane/record.h"

void nonce_make(char out[NONCE_SIZE])
{
    unsigned char bytes[16];

    VERIFY(getrandom(bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    }
}

void uuid_make(char out[UUID_SIZE])
{
    char hex[NONCE_SIZE];

    nonce_make(hex);
    hex[12] = '4';                        /* version: random */
    hex[16] = "89ab"[(hex[16] >> 1) & 3]; /* variant: RFC 9562 */
    snprintf(out, UUID_SIZE, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8,
             hex + 12, hex + 16, hex + 20);
}

void identity_encode(struct buf *out, const struct identity *id)
{
    buf_printf(out, "{\"v\":%d,\"relay\":", RECORD_VERSION);
    buf_json_string(out, id->relay);
    buf_printf(out, ",\"source\":");
    buf_json_string(out, id->source);
    buf_printf(out, ",\"lanes\":%" PRId32 ",\"generation\":%d}", id->lanes,
               id->generation);
}

void claim_encode(struct buf *out, const struct claim *claim)
{
    buf_printf(out, "{\"v\":%d,\"nonce\":", RECORD_VERSION);
    buf_json_string(out, claim->nonce);
    buf_printf(out, ",\"host\":");
    buf_json_string(out, claim->host);
    buf_printf(out, ",\"pid\":%" PRId64 ",\"version\":", claim->pid);
    buf_json_string(out, claim->version);
    buf_printf(out, ",\"rules\":");
    buf_json_string(out, claim->rules);
    buf_printf(out, ",\"started\":%" PRId64, claim->started_ms);
    if (claim->command[0] != '\0') {
        buf_printf(out, ",\"command\":");
        buf_json_string(out, claim->command);
    }
    buf_printf(out, "%s}", claim->released ? ",\"released\":true" : "");
}

void rescaled_encode(struct buf *out, const struct rescaled *r)
{
    buf_printf(out, "{\"v\":%d,\"generation\":%d,\"lanes\":%" PRId32 "}",
               RECORD_VERSION, r->generation, r->lanes);
}

static bool read_size(const json_t *root, int *generation, int32_t *lanes)
{
    json_int_t n = json_integer_value(json_object_get(root, "lanes"));
    json_int_t g = json_integer_value(json_object_get(root, "generation"));

    if (n < 1 || n > 65536 || g < 0 || g > GENERATION_MAX) {
        return false;
    }
    *lanes = (int32_t)n;
    *generation = (int)g;
    return true;
}

enum err_kind identity_decode(struct identity *id, const char *data, size_t len,
                              struct err *e)
{
    json_t *root = record_load(data, len, "identity", e);

    if (root == NULL) {
        return e->kind;
    }
    *id = (struct identity){0};
    e->kind = ERR_NONE;
    if (!record_text(root, "relay", id->relay, sizeof(id->relay)) ||
        !record_text(root, "source", id->source, sizeof(id->source)) ||
        !read_size(root, &id->generation, &id->lanes)) {
        err_set(e, ERR_STATE, "identity record: a field is missing or wrong");
    }
    json_decref(root);
    return e->kind;
}

enum err_kind rescaled_decode(struct rescaled *r, const char *data, size_t len,
                              struct err *e)
{
    json_t *root = record_load(data, len, "moved", e);

    if (root == NULL) {
        return e->kind;
    }
    e->kind = ERR_NONE;
    if (!read_size(root, &r->generation, &r->lanes)) {
        err_set(e, ERR_STATE, "moved record: a field is missing or wrong");
    }
    json_decref(root);
    return e->kind;
}

enum err_kind claim_decode(struct claim *claim, const char *data, size_t len,
                           struct err *e)
{
    json_t *root = record_load(data, len, "claim", e);

    if (root == NULL) {
        return e->kind;
    }
    *claim = (struct claim){0};
    e->kind = ERR_NONE;
    claim->pid = json_integer_value(json_object_get(root, "pid"));
    claim->started_ms = json_integer_value(json_object_get(root, "started"));
    claim->released = json_is_true(json_object_get(root, "released"));
    (void)record_label(json_object_get(root, "command"), claim->command,
                       sizeof(claim->command)); /* most have none */
    if (!record_text(root, "nonce", claim->nonce, sizeof(claim->nonce)) ||
        !record_label(json_object_get(root, "host"), claim->host,
                      sizeof(claim->host)) ||
        !record_label(json_object_get(root, "version"), claim->version,
                      sizeof(claim->version)) ||
        !record_text(root, "rules", claim->rules, sizeof(claim->rules))) {
        err_set(e, ERR_STATE, "claim record: a field is missing or wrong");
    }
    json_decref(root);
    return e->kind;
}
