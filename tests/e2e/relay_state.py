"""What a relay keeps on the clusters, read without the relay: its offsets topic, its offset
map and its group. Written from the description of the records, not from the program.

A State reads on where it stopped, so that polling it is cheap. close() it, or use `with`.
"""

import json
import os
import time
import zlib
from dataclasses import dataclass
from itertools import count

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from kafka_local import ANSWER_LIMIT_S

READ_LIMIT_S = 30

_numbers = count()


@dataclass(frozen=True)
class Segment:
    """Source offsets source..source+count-1 stand at target.. of a target partition."""

    source: int
    partition: int
    target: int
    count: int

    def target_of(self, offset):
        """None when it is not one of these"""
        inside = self.source <= offset < self.source + self.count
        return self.target + offset - self.source if inside else None


def lane_of(topic, partition, lanes):
    return (zlib.crc32(topic.encode()) + partition) % lanes


def read_varints(data):
    """Unsigned LEB128, one after the other"""
    value = shift = 0
    for byte in data:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield value
            value = shift = 0
    assert shift == 0, "the last number is cut off"


def read_chunk(data):
    """(epoch, [Segment, ...]) of a record of the offset map"""

    def zigzag(number):
        return (number >> 1) ^ -(number & 1)

    numbers = read_varints(data)
    version, epoch, size = (next(numbers) for _ in range(3))
    assert version == 1
    segments = []
    source = partition = target = 0
    for _ in range(size):
        source += next(numbers)
        partition += zigzag(next(numbers))
        target += zigzag(next(numbers))
        length = next(numbers)
        segments.append(Segment(source, partition, target, length))
        source += length
        target += length
    assert next(numbers, None) is None, "more numbers than the count says"
    return epoch, segments


class State:
    """Everything committed that relay `name` has written on `target`."""

    def __init__(self, target, name, generation=0):
        self._target = target
        self.name = name
        self.offsets_topic = f"kafka-relay.{name}.offsets.{generation}.internal"
        self.map_topic = f"kafka-relay.{name}.offset-map.{generation}.internal"
        self.history = []  # (lane, key, value) in the order of each lane
        self.newest = {}  # (lane, key as text) -> value, tombstones gone
        self._consumer = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def refresh(self):
        """Reads what was committed since the last call; False while there is no topic."""
        if self._consumer is None:
            if self.offsets_topic not in self._target.topics():
                return False
            self._open()
        ends = self._target.end_offsets(self.offsets_topic, "read_committed")
        pending = {p for p, end in ends.items() if end > self._at[p]}
        deadline = time.monotonic() + READ_LIMIT_S
        while pending:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.offsets_topic}: {self._at} not read to {ends}")
            for message in self._consumer.consume(10_000, timeout=0.05):
                self._take(message)
            pending = {p for p in pending if self._at[p] < ends[p]}
        return True

    def _open(self):
        self._consumer = _consumer(self._target)
        partitions = self._consumer.list_topics(self.offsets_topic, timeout=ANSWER_LIMIT_S)
        partitions = partitions.topics[self.offsets_topic].partitions
        self._at = dict.fromkeys(partitions, 0)
        self._consumer.assign(
            [TopicPartition(self.offsets_topic, p, OFFSET_BEGINNING) for p in partitions]
        )

    def _take(self, message):
        if _is_end(message):
            self._at[message.partition()] = message.offset()
            return
        lane, key = message.partition(), message.key().decode()
        self._at[lane] = message.offset() + 1
        if message.value() is None:
            self.newest.pop((lane, key), None)
            return
        value = json.loads(message.value())
        self.history.append((lane, json.loads(key), value))
        self.newest[lane, key] = value

    def positions(self):
        """{(topic, partition): position} as of the last refresh"""
        found = {}
        for _, text in self.newest:
            key = json.loads(text)
            if "topic" in key and "group" not in key:
                found[key["topic"], key["partition"]] = self.newest[_, text]
        return found

    def next_offsets(self, topic):
        """{partition: source offset that is read next}, after a refresh"""
        self.refresh()
        return {p: value["next"] for (t, p), value in self.positions().items() if t == topic}

    def claims(self, lane):
        """All claims of a lane since the relay began, in their order"""
        return [v for at, key, v in self.history if at == lane and key == {"claim": lane}]

    def owners(self):
        """{lane: pid of the newest claim}"""
        self.refresh()
        return {
            lane: value["pid"]
            for (lane, key), value in self.newest.items()
            if "claim" in json.loads(key)
        }

    def chunks(self):
        """{(topic, partition): {offset in the map: (epoch, segments)}}"""
        lanes = self._target.read_all(self.map_topic)
        found = {}
        for records in lanes.values():
            for record in records:
                key = json.loads(record.key)
                at = found.setdefault((key["topic"], key["partition"]), {})
                at[record.offset] = read_chunk(record.value)
        return found

    def translator(self, topic, partition):
        """A function from a source offset to the target offset, None where none stands.

        As a reader would do it: the tail, else from the pointer below on through the map.
        """
        position = self.positions()[topic, partition]
        tail = [Segment(*item) for item in position["tail"]]
        chunks = self.chunks().get((topic, partition), {})
        pointers = position["map"]

        def in_map(offset):
            below = [at for source, at in pointers if source <= offset]
            for at in sorted(at for at in chunks if below and at >= max(below)):
                epoch, segments = chunks[at]
                if epoch == position["epoch"] and segments[-1].source + segments[-1].count > offset:
                    return _target_of(segments, offset)
            return None

        def translate(offset):
            if tail and offset >= tail[0].source:
                return _target_of(tail, offset)
            return in_map(offset)

        return translate


def group_offsets(cluster, group):
    """{(topic, partition): offset} that a group has committed on a cluster"""
    request = ConsumerGroupTopicPartitions(group)
    (future,) = cluster.admin.list_consumer_group_offsets([request]).values()
    listed = future.result(ANSWER_LIMIT_S).topic_partitions
    return {(tp.topic, tp.partition): tp.offset for tp in listed if tp.offset >= 0}


def _target_of(segments, offset):
    return next((t for s in segments if (t := s.target_of(offset)) is not None), None)


def _is_end(message):
    error = message.error()
    if error is None:
        return False
    if error.code() != KafkaError._PARTITION_EOF:
        raise KafkaException(error)
    return True


def _consumer(cluster):
    return Consumer(
        {
            "bootstrap.servers": cluster.bootstrap,
            "group.id": f"test-state-{os.getpid()}-{next(_numbers)}",  # never joined
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
            "log_level": 0,
        }
    )


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
