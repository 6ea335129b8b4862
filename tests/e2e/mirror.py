"""Is the copy the same as the original? And what goes on in the clusters meanwhile.

A Load produces to a topic in the background, with aborted transactions among the records
on request, until it is stopped:

    with Load(source, topic, partitions=8) as load:
        ...
    assert_mirrored(source, target, topic)
"""

import os
import socket
import struct
import threading
from itertools import count

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from kafka_local import ANSWER_LIMIT_S, wait_for

TICK_S = 0.01

_numbers = count()


def differences(original, copy):
    """What is wrong with a copy ({partition: [Record, ...]}), shortly; "" when it is exact."""
    if original.keys() != copy.keys():
        return f"partitions {sorted(original)} became {sorted(copy)}"
    for partition in sorted(original):
        ours, theirs = original[partition], copy[partition]
        if ours == theirs:
            continue
        same = next(
            (i for i, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]),
            min(len(ours), len(theirs)),
        )
        return (
            f"[{partition}]: {len(ours)} records became {len(theirs)}; the first difference is "
            f"number {same}:\n{_around(ours, same)}\nbecame\n{_around(theirs, same)}"
        )
    return ""


def _log_of(cluster, topic):
    """Ends and stable ends; what is in the log, aborted records included"""
    ends, stable = cluster.end_offsets(topic), cluster.end_offsets(topic, "read_committed")
    found = {p: len(records) for p, records in cluster.read_all(topic, "read_uncommitted").items()}
    return f"{topic} on {cluster.name} ends at {ends}, stable {stable}, records {found}"


def _around(records, index):
    return "\n".join(f"  {str(record)[:300]}" for record in records[index : index + 3]) or "  (end)"


def assert_mirrored(source, target, topic, copy=None, limit_s=60):
    """The committed records of both sides are the same ones in the same order.

    A commit is answered before its markers are in the log, so the copy is looked at when
    they are. The relay must be stopped, or have nothing more to do.
    """
    original = source.read_all(topic, limit_s=limit_s)
    wait_until_decided(target, copy or topic)
    wrong = differences(original, target.read_all(copy or topic, limit_s=limit_s))
    assert not wrong, f"{topic}{wrong}\n{_log_of(target, copy or topic)}"
    return original


def wait_until_decided(cluster, topic):
    """No transaction is open there."""

    def is_decided():
        return cluster.end_offsets(topic, "read_committed") == cluster.end_offsets(topic)

    wait_for(is_decided, ANSWER_LIMIT_S, f"the end of all transactions in {topic}")


def caught_up(source, state, topic):
    """A predicate: the relay's positions stand at the source's ends, as of each call."""

    def predicate():
        ends = source.end_offsets(topic, "read_committed")
        return state.next_offsets(topic) == ends

    return predicate


class Load:
    """`rate` records/s over the partitions; the last two get transactions, if asked for.

    Values tell partition and number: "3:17:..." is the 18th of partition 3.
    """

    def __init__(self, cluster, topic, partitions, rate=3000, size=100, transactions=False):
        self._cluster = cluster
        self._topic = topic
        self._plain = list(range(partitions - 2 if transactions else partitions))
        self._transactional = list(range(partitions - 2, partitions)) if transactions else []
        self._each = max(1, int(rate * TICK_S / partitions))
        self._padding = b"x" * size
        self._next = dict.fromkeys(range(partitions), 0)
        self._stop = threading.Event()
        self._error = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.produced = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        self._thread.join(2 * ANSWER_LIMIT_S)
        if self._error and not any(exception):
            raise self._error
        if self._transactional:  # the markers of the last one come after its answer
            wait_until_decided(self._cluster, self._topic)

    def wait_produced(self, more):
        """Returns when `more` records have been produced since the call."""
        goal = self.produced + more

        def reached():
            if self._error:
                raise self._error
            return self.produced >= goal

        wait_for(reached, 60, f"{more} more records produced")

    def _run(self):
        try:
            producer = self._producer()
            aborting = self._producer(**{"transactional.id": f"load-{os.getpid()}-{next(_numbers)}"})
            if self._transactional:
                aborting.init_transactions(ANSWER_LIMIT_S)
            for tick in count():
                if self._stop.wait(TICK_S):
                    break
                self._produce(producer, self._plain)
                if self._transactional and tick % 5 == 0:
                    self._transaction(aborting, abort=tick % 15 == 0)
            left = producer.flush(ANSWER_LIMIT_S)
            if left:
                raise TimeoutError(f"{left} records not produced")
        except Exception as error:  # raised again by whoever waits for this thread
            self._error = error

    def _transaction(self, producer, abort):
        producer.begin_transaction()
        self._produce(producer, self._transactional)
        if abort:
            producer.flush(ANSWER_LIMIT_S)  # else they would never reach the log
            producer.abort_transaction(ANSWER_LIMIT_S)
        else:
            producer.commit_transaction(ANSWER_LIMIT_S)

    def _produce(self, producer, partitions):
        for partition in partitions:
            for _ in range(self._each):
                number = self._next[partition]
                self._next[partition] += 1
                producer.produce(
                    self._topic,
                    partition=partition,
                    key=b"%d" % number,
                    value=b"%d:%d:%b" % (partition, number, self._padding),
                )
            self.produced += self._each
        producer.poll(0)

    def _producer(self, **properties):
        return Producer(
            {
                "bootstrap.servers": self._cluster.bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "log_level": 0,
                **properties,
            }
        )


def expel_members(cluster, group):
    """Makes the members of a group leave it, as the session time-out would in some seconds.

    For processes that were killed. The client library can't say LeaveGroup for others.
    """
    members = []

    def told():
        (future,) = cluster.admin.describe_consumer_groups([group]).values()
        try:
            members[:] = [m.member_id for m in future.result(ANSWER_LIMIT_S).members]
        except KafkaException as e:
            if e.args[0].code() == KafkaError.COORDINATOR_LOAD_IN_PROGRESS:
                return False  # the cluster's first group makes the coordinator's topic
            raise
        return True

    wait_for(told, ANSWER_LIMIT_S, "the group's coordinator")
    if not members:
        return

    def text(value):
        return struct.pack(">h", len(value)) + value.encode()

    body = struct.pack(">hhih", 13, 3, 1, 4) + b"test"  # api, version, correlation, client
    body += text(group) + struct.pack(">i", len(members))
    body += b"".join(text(member) + struct.pack(">h", -1) for member in members)
    answer = call(cluster, body)
    (error,) = struct.unpack(">h", answer[8:10])
    assert error == 0, f"LeaveGroup: error {error}"


def call(cluster, body):
    """One request to the cluster's only broker; the answer from its correlation id on."""
    host, port = cluster.bootstrap.split(":")
    with socket.create_connection((host, int(port)), ANSWER_LIMIT_S) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        answer = connection.makefile("rb")
        (size,) = struct.unpack(">i", answer.read(4))
        return answer.read(size)


class compaction_at_once:
    """The cleaner sleeps for 15 s when it found nothing to do; within this, 100 ms."""

    def __init__(self, cluster):
        self._cluster = cluster

    def _set(self, operation, value=None):
        entry = ConfigEntry("log.cleaner.backoff.ms", value, incremental_operation=operation)
        broker = ConfigResource(ResourceType.BROKER, "1", incremental_configs=[entry])
        for future in self._cluster.admin.incremental_alter_configs([broker]).values():
            future.result(ANSWER_LIMIT_S)

    def __enter__(self):
        self._set(AlterConfigOpType.SET, "100")

    def __exit__(self, *exception):
        self._set(AlterConfigOpType.DELETE)
