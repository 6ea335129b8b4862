/*
 * owned.c - see owned.h.
 */
#include "relay/io/owned.h"

#include <stddef.h>
#include <string.h>

#define GROUP "the group is `kafka-relay.RELAY`, on the target"
#define POSITIONS "positions are committed with the records, on the target"
#define TRANSACTION "exactly-once rests on it"
#define ORDER "the order of a partition rests on it"
#define MEMORY "it follows from `delivery.buffer_memory`"
#define SIZE "only the target decides what is too large for it"
#define EXACT_PARTITION "the rule's `partition` decides it"
#define REPLAY "the relay itself replays what failed"
#define CODE "it runs code that is not the relay's"
#define FROM_C "it can be set from C code only"
#define MODERN "transactions and headers need the newest protocol"

const struct owned_property owned_properties[] = {
    {"metadata.broker.list", "write `bootstrap.servers`"},

    {"group.id", GROUP},
    {"group.instance.id", GROUP},
    {"group.protocol", GROUP},
    {"group.protocol.type", GROUP},
    {"group.remote.assignor", GROUP},
    {"partition.assignment.strategy", GROUP},

    {"enable.auto.commit", POSITIONS},
    {"auto.commit.enable", POSITIONS},
    {"auto.commit.interval.ms", POSITIONS},
    {"enable.auto.offset.store", POSITIONS},
    {"offset.store.method", POSITIONS},
    {"offset.store.path", POSITIONS},
    {"offset.store.sync.interval.ms", POSITIONS},
    {"auto.offset.reset", "`delivery.start` says where to begin, and a gap "
                          "must never pass in silence"},
    {"enable.partition.eof", "end offsets are followed through it"},
    {"isolation.level", "records of aborted transactions must not be copied"},
    {"check.crcs", "a damaged record must not be copied"},

    {"transactional.id", TRANSACTION},
    {"transaction.timeout.ms", TRANSACTION},
    {"enable.idempotence", TRANSACTION},
    {"enable.gapless.guarantee", REPLAY},
    {"acks", TRANSACTION},
    {"request.required.acks", TRANSACTION},
    {"max.in.flight", ORDER},
    {"max.in.flight.requests.per.connection", ORDER},
    {"queuing.strategy", ORDER},
    {"retries", REPLAY},
    {"message.send.max.retries", REPLAY},
    {"message.timeout.ms", REPLAY},
    {"delivery.timeout.ms", REPLAY},
    {"delivery.report.only.error", "target offsets come from the reports"},
    {"produce.offset.report", "target offsets come from the reports"},
    {"partitioner", EXACT_PARTITION},
    {"sticky.partitioning.linger.ms", EXACT_PARTITION},
    {"msg_order_cmp", FROM_C},

    {"queued.max.messages.kbytes", MEMORY},
    {"queued.min.messages", MEMORY},
    {"queue.buffering.max.messages", MEMORY},
    {"queue.buffering.max.kbytes", MEMORY},
    {"batch.num.messages", "`batch.size` alone bounds a batch"},
    {"fetch.message.max.bytes", MEMORY},
    {"max.partition.fetch.bytes", MEMORY},
    {"fetch.max.bytes", MEMORY},
    {"consume.callback.max.messages", MEMORY},
    {"message.max.bytes", SIZE},
    {"receive.message.max.bytes", SIZE},

    {"allow.auto.create.topics", "`sync.topics.create` decides it"},
    {"topic.blacklist", "write `exclude` in a rule"},
    {"api.version.request", MODERN},
    {"api.version.fallback.ms", MODERN},
    {"broker.version.fallback", MODERN},

    {"statistics.interval.ms", "the relay counts for itself"},
    {"enabled_events", FROM_C},
    {"log.queue", "librdkafka's log goes to the relay's"},
    {"internal.termination.signal", "signals are handled by the relay"},
    {"opaque", FROM_C},
    {"interceptors", FROM_C},
    {"default_topic_conf", FROM_C},
    {"ssl_engine_callback_data", FROM_C},
    {"ssl_key", "write `ssl.key.location` or `ssl.key.pem`"},
    {"ssl_certificate", "write `ssl.certificate.location` or "
                        "`ssl.certificate.pem`"},
    {"ssl_ca", "write `ssl.ca.location` or `ssl.ca.pem`"},

    {"plugin.library.paths", CODE},
    {"sasl.kerberos.kinit.cmd", CODE},
    {"ssl.engine.location", CODE},
    {"ssl.engine.id", CODE},
    {NULL, NULL},
};

const char *property_owned_reason(const char *name)
{
    size_t len = strlen(name);

    for (const struct owned_property *row = owned_properties; row->name;
         row++) {
        if (strcmp(row->name, name) == 0) {
            return row->reason;
        }
    }
    if (len > 3 && strcmp(name + len - 3, "_cb") == 0) {
        return FROM_C;
    }
    return NULL;
}
