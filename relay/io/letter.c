/*
 * letter.c - see letter.h.
 */
#include "relay/io/letter.h"

#include <stdio.h>
#include <string.h>

#include "relay/base/mem.h"

static void add(rd_kafka_headers_t *headers, const char *name,
                const char *value)
{
    VERIFY(rd_kafka_header_add(headers, name, -1, value, -1) ==
           RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void add_number(rd_kafka_headers_t *headers, const char *name,
                       int64_t number)
{
    char text[24];

    snprintf(text, sizeof(text), "%lld", (long long)number);
    add(headers, name, text);
}

static size_t headers_bytes(const rd_kafka_headers_t *headers)
{
    const char *name;
    const void *value;
    size_t bytes = 0, len;

    for (size_t i = 0;
         rd_kafka_header_get_all(headers, i, &name, &value, &len) ==
         RD_KAFKA_RESP_ERR_NO_ERROR;
         i++) {
        bytes += strlen(name) + len;
    }
    return bytes;
}

static void cut(struct letter *letter, size_t room)
{
    const size_t headers = headers_bytes(letter->headers);
    char what[160];

    snprintf(what, sizeof(what),
             "key of %zu bytes %s, headers of %zu bytes %s, value of %zu bytes "
             "%s to %zu",
             letter->key_len, letter->key_len > room ? "dropped" : "kept",
             headers, headers > room ? "dropped" : "kept", letter->len,
             letter->len > room ? "cut" : "kept",
             letter->len > room ? room : letter->len);
    if (letter->key_len > room) {
        letter->key = NULL;
        letter->key_len = 0;
    }
    if (headers > room) {
        rd_kafka_headers_destroy(letter->headers);
        letter->headers = rd_kafka_headers_new(8);
    }
    if (letter->len > room) {
        letter->len = room;
    }
    add(letter->headers, "kafka-relay-error-cut", what);
}

void letter_write(struct letter *letter, const struct stream *stream,
                  const rd_kafka_message_t *m, rd_kafka_headers_t *headers,
                  const char *source)
{
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(m, &type);

    *letter = (struct letter){
        .key = m->key,
        .key_len = m->key_len,
        .value = m->payload,
        .len = m->len,
        .headers = headers != NULL ? headers : rd_kafka_headers_new(8),
    };
    if (stream->divert == DIVERT_CUT) {
        cut(letter, (size_t)stream->cut_bytes / 4);
    }
    add(letter->headers, "kafka-relay-error-reason", stream->divert_why);
    add(letter->headers, "kafka-relay-error-source", source);
    add(letter->headers, "kafka-relay-error-topic", stream->topic);
    add_number(letter->headers, "kafka-relay-error-partition",
               stream->partition);
    add_number(letter->headers, "kafka-relay-error-offset", m->offset);
    if (type != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE) {
        add_number(letter->headers, "kafka-relay-error-timestamp", timestamp);
    }
}
