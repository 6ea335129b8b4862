/*
 * letter.h - dead letters: records that the target does not take, with what
 * happened to them in their headers. Private to relay/io.
 *
 *     kafka-relay-error-reason     one word, such as MSG_SIZE_TOO_LARGE
 *     kafka-relay-error-source     the source cluster's name
 *     kafka-relay-error-topic, -partition, -offset
 *                                  where the record stands there
 *     kafka-relay-error-timestamp  its own time: a letter's time is when it was
 *                                  written, or retention would take it away
 *     kafka-relay-error-cut        only where it was too large even for the
 *                                  dead-letter topic: how large it was
 */
#ifndef RELAY_IO_LETTER_H
#define RELAY_IO_LETTER_H

#include <stdint.h>

#include "relay/io/client.h"
#include "relay/io/stream.h"

struct letter {
    const void *key, *value; /* borrowed from the record */
    size_t key_len, len;
    rd_kafka_headers_t *headers; /* owned until produced */
};

/* `headers` are the record's own, or NULL; they move into the letter. With
 * DIVERT_CUT each of key, headers and value gets at most a quarter of
 * stream->cut_bytes: the value is cut to that, the others dropped. */
void letter_write(struct letter *letter, const struct stream *stream,
                  const rd_kafka_message_t *m, rd_kafka_headers_t *headers,
                  const char *source);

#endif
