/*
 * records.c - fills topics for the benchmark, and sums up what a copy holds.
 *
 *   records load BOOTSTRAP TOPIC PARTITIONS SHAPE COUNT [PROPERTY=VALUE]...
 *   records digest BOOTSTRAP TOPIC PARTITIONS
 *
 * `load` writes COUNT flow records as JSON, of about 1 KB (SHAPE 1k) or 100
 * bytes (100b), one partition after the other in turn. The contents depend on
 * the record's number alone. It prints their bytes.
 * `digest` reads the topic (read_committed) up to its ends and prints a line a
 * partition: its number, its records, and a hash over key, value, headers and
 * timestamp of all of them in order.
 *
 * One thread. C because it handles some millions of records a run.
 */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MAX_PARTITIONS = 64,
    BATCH = 1000,
    POLL_MS = 50,
    PATIENCE_MS = 30000,
    DEVICES = 512,
    RECORD_BYTES = 2048
};

static void die(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));

static void die(const char *format, ...)
{
    va_list args;

    fputs("records: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256];

    if (rd_kafka_conf_set(conf, name, value, text, sizeof text)) {
        die("%s", text);
    }
}

static rd_kafka_t *client(rd_kafka_type_t type, rd_kafka_conf_t *conf,
                          const char *bootstrap)
{
    char text[256];
    rd_kafka_t *rk;

    set(conf, "bootstrap.servers", bootstrap);
    rk = rd_kafka_new(type, conf, text, sizeof text);
    if (!rk) {
        die("%s", text);
    }
    return rk;
}

/* ---- load: records that look like what flow collectors write ---- */

struct dice {
    uint64_t state;
};

static uint32_t roll(struct dice *d, uint32_t sides) /* splitmix64 */
{
    uint64_t z = d->state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)(((z ^ (z >> 31)) >> 32) * sides >> 32);
}

static const char *pick(struct dice *d, const char *const *words)
{
    uint32_t n = 0;

    while (words[n]) {
        n++;
    }
    return words[roll(d, n)];
}

static int one_hundred_bytes(char *out, size_t size, struct dice *d, int64_t ms)
{
    static const char *const ports[] = {"443", "80", "53", "123", "8080", NULL};

    return snprintf(out, size,
                    "{\"ts\":%" PRId64 ",\"src\":\"10.%u.%u.%u\",\"dst\":"
                    "\"198.51.%u.%u\",\"sp\":%u,\"dp\":%s,\"b\":%u,\"n\":%u}",
                    ms, roll(d, 64), roll(d, 256), roll(d, 256), roll(d, 256),
                    roll(d, 256), 1024 + roll(d, 64512), pick(d, ports),
                    40 + roll(d, 150000), 1 + roll(d, 200));
}

static int one_kilobyte(char *out, size_t size, struct dice *d, int64_t ms)
{
    static const char *const countries[] = {"GB", "DE", "FR", "US", "NL",
                                            "IE", "SE", "PL", NULL};
    static const char *const applications[] = {
        "https", "quic",  "dns",          "ntp",       "http", "imap",
        "ssh",   "mqtts", "bittorrent",   "wireguard", "rtp",  "sip",
        "smtp",  "ldap",  "unclassified", NULL};
    static const char *const carriers[] = {"Example Transit", "Example Mobile",
                                           "Sample Cable", "Test Networks",
                                           NULL};
    uint32_t device = roll(d, DEVICES), packets = 1 + roll(d, 4000);

    return snprintf(
        out, size,
        "{\"type\":\"NETFLOW_V9\",\"time_received_ms\":%" PRId64
        ",\"sequence_num\":%u,\"sampler_address\":\"172.30.%u.%u\","
        "\"observation_domain\":%u,\"template_id\":%u,"
        "\"time_flow_start_ms\":%" PRId64 ",\"time_flow_end_ms\":%" PRId64
        ",\"bytes\":%u,\"packets\":%u,\"src_addr\":\"10.%u.%u.%u\","
        "\"dst_addr\":\"198.51.%u.%u\",\"proto\":\"%s\",\"src_port\":%u,"
        "\"dst_port\":%u,\"in_if\":%u,\"out_if\":%u,"
        "\"src_mac\":\"00:1b:21:%02x:%02x:%02x\","
        "\"dst_mac\":\"3c:fd:fe:%02x:%02x:%02x\",\"tcp_flags\":%u,"
        "\"ip_tos\":%u,\"ip_ttl\":%u,\"fragment_id\":%u,\"src_as\":%u,"
        "\"dst_as\":%u,\"next_hop\":\"172.30.%u.%u\",\"src_net\":%u,"
        "\"dst_net\":%u,\"nat_src_addr\":\"203.0.113.%u\","
        "\"nat_src_port\":%u,\"src_country\":\"%s\",\"dst_country\":\"%s\","
        "\"dst_carrier\":\"%s\",\"application\":\"%s\","
        "\"subscriber\":\"26201%010u\",\"session\":\"%08x%08x\","
        "\"rtt_us\":%u,\"retransmits\":%u,\"site\":\"lon\","
        "\"collector\":\"flow-%02u.lon.example.net\","
        "\"exporter\":\"edge-%03u.example.net\",\"vrf\":\"internet\","
        "\"direction\":\"%s\",\"sampling_rate\":1000,\"engine\":\"0/"
        "0\",\"ingress_vrf\":1,"
        "\"egress_vrf\":1,\"quality\":\"ok\"}",
        ms, roll(d, UINT32_MAX), device / 256, device % 256, 256 + device % 8,
        256 + roll(d, 4), ms - roll(d, 60000), ms - roll(d, 900),
        packets * (60 + roll(d, 1400)), packets, roll(d, 64), roll(d, 256),
        roll(d, 256), roll(d, 256), roll(d, 256), roll(d, 4) ? "TCP" : "UDP",
        1024 + roll(d, 64512), roll(d, 3) ? 443 : roll(d, 10000), roll(d, 64),
        roll(d, 64), roll(d, 256), roll(d, 256), roll(d, 256), roll(d, 256),
        roll(d, 256), roll(d, 256), roll(d, 64), roll(d, 8) * 32,
        40 + roll(d, 88), roll(d, 65536), 64512 + roll(d, 1000),
        1000 + roll(d, 60000), device / 256, roll(d, 256), 16 + roll(d, 16),
        16 + roll(d, 8), roll(d, 256), roll(d, 65536), pick(d, countries),
        pick(d, countries), pick(d, carriers), pick(d, applications),
        roll(d, 1000000000), roll(d, UINT32_MAX), roll(d, UINT32_MAX),
        roll(d, 400000), roll(d, 4), device % 16, device,
        roll(d, 2) ? "ingress" : "egress");
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message,
                        void *opaque)
{
    (void)rk;
    (void)opaque;
    if (message->err) {
        die("record lost: %s", rd_kafka_err2str(message->err));
    }
}

/* `properties` are the producer's, NAME=VALUE each. */
static rd_kafka_t *producer(const char *bootstrap, char **properties)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char *value;

    set(conf, "enable.idempotence", "true");
    set(conf, "queue.buffering.max.messages", "500000");
    set(conf, "queue.buffering.max.kbytes", "262144");
    for (; *properties; properties++) {
        value = strchr(*properties, '=');
        if (!value) {
            die("%s: not PROPERTY=VALUE", *properties);
        }
        *value++ = '\0';
        set(conf, *properties, value);
    }
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return client(RD_KAFKA_PRODUCER, conf, bootstrap);
}

static void produce(rd_kafka_t *rk, rd_kafka_topic_t *topic, int32_t partition,
                    const char *key, const char *value, int64_t ms)
{
    rd_kafka_resp_err_t err;

    while ((err = rd_kafka_producev(
                rk, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition),
                RD_KAFKA_V_KEY(key, strlen(key)),
                RD_KAFKA_V_VALUE((void *)value, strlen(value)),
                RD_KAFKA_V_TIMESTAMP(ms),
                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END)) ==
           RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rd_kafka_poll(rk, 100);
    }
    if (err) {
        die("can't produce: %s", rd_kafka_err2str(err));
    }
}

static int load(const char *bootstrap, const char *topic_name,
                int32_t partitions, bool large, int64_t count,
                char **properties)
{
    rd_kafka_t *rk = producer(bootstrap, properties);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, topic_name, NULL);
    int64_t bytes = 0, start_ms = (int64_t)time(NULL) * 1000 - 3600000;
    char key[32], value[RECORD_BYTES];

    for (int64_t i = 0; i < count; i++) {
        struct dice dice = {.state = (uint64_t)i * 64};
        int64_t ms = start_ms + i / 200;
        int length = large ? one_kilobyte(value, sizeof value, &dice, ms)
                           : one_hundred_bytes(value, sizeof value, &dice, ms);

        if (length < 0 || (size_t)length >= sizeof value) {
            die("a record of %d bytes does not fit", length);
        }
        snprintf(key, sizeof key, "edge-%03u", roll(&dice, DEVICES));
        bytes += length;
        produce(rk, topic, (int32_t)(i % partitions), key, value, ms);
        if (i % BATCH == 0) {
            rd_kafka_poll(rk, 0);
        }
    }
    if (rd_kafka_flush(rk, PATIENCE_MS)) {
        die("the cluster did not take all of it in %d ms", PATIENCE_MS);
    }
    printf("%" PRId64 "\n", bytes);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(rk);
    return 0;
}

/* ---- digest ---- */

struct sum {
    int64_t records;
    uint64_t hash;
};

static void add(struct sum *s, const void *bytes, size_t length)
{
    const unsigned char *p = bytes;
    uint64_t word;

    s->hash = (s->hash ^ (bytes ? length : UINT64_MAX)) * 0x100000001b3u;
    for (; bytes && length > 0; p += sizeof word) {
        size_t part = length < sizeof word ? length : sizeof word;

        word = 0;
        memcpy(&word, p, part);
        s->hash = (s->hash ^ word) * 0x9e3779b97f4a7c15u;
        s->hash ^= s->hash >> 29;
        length -= part;
    }
}

static void add_record(struct sum *s, const rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    int64_t ms = rd_kafka_message_timestamp(message, &type);
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t size;

    s->records++;
    add(s, message->key, message->key_len);
    add(s, message->payload, message->len);
    add(s, &ms, sizeof ms);
    if (!rd_kafka_message_headers(message, &headers)) {
        for (size_t i = 0;
             !rd_kafka_header_get_all(headers, i, &name, &value, &size); i++) {
            add(s, name, strlen(name));
            add(s, value, size);
        }
    }
}

static rd_kafka_t *consumer(const char *bootstrap)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    set(conf, "group.id", "kafka-relay-bench"); /* never joined */
    set(conf, "enable.auto.commit", "false");
    set(conf, "auto.offset.reset", "error");
    set(conf, "isolation.level", "read_committed");
    set(conf, "enable.partition.eof", "true");
    set(conf, "fetch.message.max.bytes", "8388608");
    set(conf, "queued.max.messages.kbytes", "262144");
    set(conf, "queued.min.messages", "1000000");
    return client(RD_KAFKA_CONSUMER, conf, bootstrap);
}

static void assign(rd_kafka_t *rk, const char *topic, int32_t partitions)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new(partitions);
    rd_kafka_resp_err_t err;

    for (int32_t i = 0; i < partitions; i++) {
        rd_kafka_topic_partition_list_add(list, topic, i)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    }
    err = rd_kafka_assign(rk, list);
    if (err) {
        die("can't assign: %s", rd_kafka_err2str(err));
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* True when it was a partition's end. */
static bool take(struct sum *sums, rd_kafka_message_t *message)
{
    bool end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;

    if (message->err && !end) {
        die("can't read: %s", rd_kafka_message_errstr(message));
    }
    if (!end) {
        add_record(&sums[message->partition], message);
    }
    rd_kafka_message_destroy(message);
    return end;
}

static int digest(const char *bootstrap, const char *topic, int32_t partitions)
{
    rd_kafka_t *rk = consumer(bootstrap);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(rk);
    rd_kafka_message_t *messages[BATCH];
    struct sum sums[MAX_PARTITIONS] = {0};
    int32_t ended = 0;
    int silent_ms = 0;

    assign(rk, topic, partitions);
    while (ended < partitions) {
        ssize_t n = rd_kafka_consume_batch_queue(queue, POLL_MS, messages,
                                                 BATCH); /* waits for all */

        silent_ms = n > 0 ? 0 : silent_ms + POLL_MS;
        if (silent_ms >= PATIENCE_MS) {
            die("%s: nothing for %d ms before the end", topic, PATIENCE_MS);
        }
        for (ssize_t i = 0; i < n; i++) {
            ended += take(sums, messages[i]);
        }
    }
    for (int32_t i = 0; i < partitions; i++) {
        printf("%d %" PRId64 " %016" PRIx64 "\n", i, sums[i].records,
               sums[i].hash);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return 0;
}

int main(int argc, char **argv)
{
    int32_t partitions = argc > 4 ? (int32_t)strtol(argv[4], NULL, 10) : 0;

    if (partitions < 0 || partitions > MAX_PARTITIONS) {
        die("1 to %d partitions", MAX_PARTITIONS);
    }
    if (argc >= 7 && partitions && !strcmp(argv[1], "load")) {
        return load(argv[2], argv[3], partitions, !strcmp(argv[5], "1k"),
                    strtoll(argv[6], NULL, 10), argv + 7);
    }
    if (argc == 5 && partitions && !strcmp(argv[1], "digest")) {
        return digest(argv[2], argv[3], partitions);
    }
    die("usage: see the top of records.c");
}
