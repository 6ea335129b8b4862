"""Real Kafka clusters for the tests, over deploy/local/kafka.

A Cluster is a handle on a cluster's name: it holds no process and no socket but an
admin client, so that any number of handles on one cluster may exist. Whoever started a
cluster destroys it. Every call is bounded in time and raises when its limit passes.
"""

import itertools
import os
import subprocess
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "deploy" / "local" / "kafka"

COMMAND_LIMIT_S = 120  # above the program's own limits, which give better messages
FETCH_LIMIT_S = 600  # the first start of a version downloads it
ANSWER_LIMIT_S = 30

_ISOLATION = {
    "read_committed": IsolationLevel.READ_COMMITTED,
    "read_uncommitted": IsolationLevel.READ_UNCOMMITTED,
}
# A broker that has just started announces leaders a moment before it acts as one; the
# admin client reports that instead of asking again.
_LEADER_IN_THE_MAKING = {
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.UNKNOWN_LEADER_EPOCH,
}
_numbers = itertools.count()


@dataclass(frozen=True)
class Record:
    """A record to produce, or one that was read. Headers keep order and duplicates.

    The offset is what the log gave it; it takes no part in comparing, so that a copy
    equals its original.
    """

    partition: int = 0
    key: bytes | None = None
    value: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int | None = None
    offset: int | None = field(default=None, compare=False)


def wait_for(predicate, limit_s, what):
    """Polls until predicate() is true and returns its value; `what` is for the error."""
    deadline = time.monotonic() + limit_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {limit_s} s")
        time.sleep(0.05)


class ClusterError(Exception):
    """deploy/local/kafka failed; the text is what it said."""


class Transaction:
    """An open transaction whose records are in the log, but not yet decided."""

    def __init__(self, cluster, producer, topic, records):
        self._cluster = cluster
        self._producer = producer
        self._topic = topic
        self.records = records  # with their offsets

    def commit(self):
        self._producer.commit_transaction(ANSWER_LIMIT_S)
        self._wait_for_markers()

    def abort(self):
        self._producer.abort_transaction(ANSWER_LIMIT_S)
        self._wait_for_markers()

    def _wait_for_markers(self):
        """The broker answers before it has written them, so a reader could be too early.

        Until then the LSO stands at our first record, or below it where somebody else's
        transaction is open too and our markers make no difference to readers.
        """
        first = {}
        for record in self.records:
            first.setdefault(record.partition, record.offset)

        def decided():
            stable = self._cluster.end_offsets(self._topic, "read_committed")
            return all(stable[partition] != offset for partition, offset in first.items())

        wait_for(decided, ANSWER_LIMIT_S, f"transaction markers in {self._topic}")


class Cluster:
    """The cluster called `name`; `version` None means the program's default."""

    def __init__(self, name, version=None):
        self.name = name
        self.version = version
        self._admin = None

    def __repr__(self):
        return f"Cluster({self.name!r}, {self.version!r})"

    # ---- the broker ----

    def start(self, port=None, settings=None):
        """Makes the cluster if need be; returns when it answers."""
        # Records of the tests are years old: none may be deleted for that.
        options = ["--set", "log.retention.ms=-1", *(["--port", str(port)] if port else [])]
        for key, value in (settings or {}).items():
            options += ["--set", f"{key}={value}"]
        self._call("start", *options, limit_s=FETCH_LIMIT_S)

    def stop(self):
        self._call("stop")

    def kill(self):
        self._call("kill")

    def pause(self):
        self._call("pause")

    def resume(self):
        self._call("resume")

    def restart(self):
        self._call("restart")

    def destroy(self):
        self._call("destroy")

    @property
    def bootstrap(self):
        return self._call("bootstrap").strip()

    @property
    def state(self):
        """running, paused or stopped"""
        return self._call("status", accept=(0, 1)).split()[1]

    def ensure_running(self):
        """Undoes whatever a test did to the broker."""
        if self.state == "paused":
            self.resume()
        else:
            self.start()

    def _call(self, command, *options, limit_s=COMMAND_LIMIT_S, accept=(0,)):
        environment = dict(os.environ)
        if self.version:
            environment["KAFKA_VERSION"] = self.version
        done = subprocess.run(
            [PROGRAM, command, self.name, *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
        if done.returncode not in accept or (done.returncode and done.stderr):
            raise ClusterError(f"{command} {self.name}: {done.stderr.strip()}")
        return done.stdout

    # ---- topics ----

    @property
    def admin(self):
        """The admin client, for all that has no helper here."""
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        return self._admin

    def create_topic(self, name, partitions=1, config=None):
        """Returns when every partition has a leader, so that nothing has to retry."""
        topic = NewTopic(name, partitions, replication_factor=1, config=config or {})
        self._result(self.admin.create_topics([topic]))

        def has_leaders():
            listed = self.admin.list_topics(name, timeout=ANSWER_LIMIT_S).topics[name].partitions
            return len(listed) == partitions and all(p.leader >= 0 for p in listed.values())

        wait_for(has_leaders, ANSWER_LIMIT_S, f"leaders of {name}")

    def set_topic_config(self, name, config):
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in config.items()
        ]
        topic = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        self._result(self.admin.incremental_alter_configs([topic]))

    def delete_topic(self, name):
        """Returns when the cluster no longer lists the topic."""
        self._result(self.admin.delete_topics([name]))
        wait_for(lambda: name not in self.topics(), ANSWER_LIMIT_S, f"deletion of {name}")

    def topics(self):
        return set(self.admin.list_topics(timeout=ANSWER_LIMIT_S).topics)

    def end_offsets(self, topic, isolation="read_uncommitted"):
        """{partition: high watermark}, or with read_committed {partition: LSO}"""

        def listed():
            futures = self.admin.list_offsets(
                {TopicPartition(topic, p): OffsetSpec.latest() for p in self._partitions(topic)},
                isolation_level=_ISOLATION[isolation],
                request_timeout=ANSWER_LIMIT_S,
            )
            try:
                return {tp.partition: f.result(ANSWER_LIMIT_S).offset for tp, f in futures.items()}
            except KafkaException as exception:
                if exception.args[0].code() not in _LEADER_IN_THE_MAKING:
                    raise
                return None

        return wait_for(listed, ANSWER_LIMIT_S, f"end offsets of {topic}")

    def _partitions(self, topic, client=None):
        """Asked through the client that will use them, which then knows them as well."""
        listed = (client or self.admin).list_topics(topic, timeout=ANSWER_LIMIT_S).topics[topic]
        if listed.error:
            raise LookupError(f"{self.name}, {topic}: {listed.error}")
        return listed.partitions

    @staticmethod
    def _result(futures):
        for future in futures.values():
            future.result(ANSWER_LIMIT_S)

    # ---- producing: each returns the records with their offsets ----

    def produce(self, topic, records, **properties):
        """Appends the records in their order, idempotently."""
        return self._append(self._producer(**properties), topic, records)

    def produce_transactional(self, topic, records, transactional_id=None):
        """Appends the records in one committed transaction."""
        transaction = self.begin(topic, records, transactional_id)
        transaction.commit()
        return transaction.records

    def produce_aborted(self, topic, records, transactional_id=None):
        """Leaves the records in the log, in an aborted transaction."""
        transaction = self.begin(topic, records, transactional_id)
        transaction.abort()
        return transaction.records

    def begin(self, topic, records, transactional_id=None, **properties):
        """Leaves the records in the log, in a transaction that the caller has to end."""
        unique = f"test-{os.getpid()}-{next(_numbers)}"
        producer = self._producer(**{"transactional.id": transactional_id or unique, **properties})
        self._partitions(topic, producer)  # connected, it finds its coordinator at once
        producer.init_transactions(ANSWER_LIMIT_S)
        producer.begin_transaction()
        # The flush matters: aborting would else drop what has not been sent yet.
        return Transaction(self, producer, topic, self._append(producer, topic, records))

    def _producer(self, **properties):
        return Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "log_level": 0,
                **properties,
            }
        )

    def _append(self, producer, topic, records):
        records = list(records)
        offsets = [None] * len(records)
        errors = []

        def on_delivery(index):
            def note(error, message):
                if error:
                    errors.append(error)
                else:
                    offsets[index] = message.offset()

            return note

        self._partitions(topic, producer)  # else the first record waits for them
        for index, record in enumerate(records):
            self._send(producer, topic, record, on_delivery(index))
        left = producer.flush(ANSWER_LIMIT_S)
        if errors:
            raise KafkaException(errors[0])
        if left:
            raise TimeoutError(f"{left} records to {topic} not delivered in {ANSWER_LIMIT_S} s")
        return [replace(r, offset=o) for r, o in zip(records, offsets, strict=True)]

    @staticmethod
    def _send(producer, topic, record, on_delivery):
        if record.timestamp_ms == 0:
            raise ValueError("the client library takes timestamp 0 for 'now'")
        deadline = time.monotonic() + ANSWER_LIMIT_S
        while True:
            try:
                producer.produce(
                    topic,
                    value=record.value,
                    key=record.key,
                    partition=record.partition,
                    headers=list(record.headers),
                    timestamp=record.timestamp_ms or 0,
                    on_delivery=on_delivery,
                )
                producer.poll(0)
                return
            except BufferError:  # the queue is full: deliveries make room
                if time.monotonic() > deadline:
                    raise
                producer.poll(0.1)

    # ---- reading ----

    def read_all(self, topic, isolation="read_committed", limit_s=ANSWER_LIMIT_S):
        """{partition: [Record, ...]} of all below the end offsets seen at the call.

        A partition without records has an empty list. Ends that no record stands
        before, such as aborted records and markers, are followed as well.
        """
        ends = self.end_offsets(topic, isolation)
        found = {partition: [] for partition in ends}
        pending = {partition for partition, end in ends.items() if end > 0}
        deadline = time.monotonic() + limit_s
        consumer = self._consumer(isolation)
        try:
            self._partitions(topic, consumer)  # else it finds its leaders half a second later
            consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in pending])
            while pending:
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"{topic}: partitions {sorted(pending)} not read to {ends} in {limit_s} s"
                    )
                for message in consumer.consume(10_000, timeout=0.05):
                    self._take(message, ends, found, pending)
        finally:
            consumer.close()
        return found

    @staticmethod
    def _take(message, ends, found, pending):
        partition, offset, error = message.partition(), message.offset(), message.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
        elif offset < ends[partition]:
            found[partition].append(_record(message))
        at_end = offset >= ends[partition] or (error is None and offset + 1 == ends[partition])
        if at_end:
            pending.discard(partition)

    def _consumer(self, isolation):
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"test-{os.getpid()}-{next(_numbers)}",  # never joined
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": isolation,
                "enable.partition.eof": True,
                "check.crcs": True,
                "fetch.wait.max.ms": 20,  # the end is known when a fetch comes back empty
                "log_level": 0,
            }
        )


def _record(message):
    _, timestamp_ms = message.timestamp()
    return Record(
        partition=message.partition(),
        key=message.key(),
        value=message.value(),
        headers=tuple(message.headers() or ()),
        timestamp_ms=timestamp_ms,
        offset=message.offset(),
    )
