"""The invariants, checked all the time.

    I1  committed target = committed source, in order, byte for byte
    I2  all source records below a stored position are on the target, none at or above it
    I3  no record of an aborted transaction is on the target
    I6  what is lost is halted, or recorded

A Watch reads source, target and positions, each up to a known end, and compares record by
record what has come so far; nothing is read twice. Two topics can't be read at the same
instant, nor do the markers of one transaction arrive at the same one, so a snapshot is

    positions -> target up to its LSO -> source up to its LSO -> positions again

and what it owes (a record below the first positions that is missing, or one above the
second) is forgiven when it is there a moment later. A frozen snapshot, with every relay
stopped by a signal, forgives nothing once its transactions' markers are written.
"""

import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from itertools import count

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

READ_LIMIT_S = 10
ASK_LIMIT_S = 3
SETTLE_S = 5  # markers of one transaction arrive within this
SNAPSHOT_S = 0.3

_numbers = count()


class NotNow(Exception):
    """A cluster does not answer: the snapshot is taken another time."""


def is_accounted_for(position, first, last):
    """I6: source offsets first..last can't be copied any more, and the position says so."""
    if position.get("halted") and position["next"] <= first:
        return True
    recorded = position.get("lost", [])  # [[from, to, reason, time], ...]
    return any(entry[0] <= first and last <= entry[1] for entry in recorded)


class Log:
    """Topics of one cluster, read on and on with read_committed."""

    def __init__(self, bootstrap):
        self._bootstrap = bootstrap
        self._admin = self._new_admin()
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"faults-{next(_numbers)}",  # never joined
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "check.crcs": True,
                "fetch.wait.max.ms": 50,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        self._at = {}

    def _new_admin(self):
        return AdminClient({"bootstrap.servers": self._bootstrap, "log_level": 0})

    def close(self):
        self._consumer.close()

    def at(self, where):
        return self._at[where]

    def add(self, topic, partitions):
        for partition in range(partitions):
            self._at[topic, partition] = 0
        self._assign()

    def _assign(self):
        self._consumer.assign(
            [TopicPartition(t, p, at or OFFSET_BEGINNING) for (t, p), at in self._at.items()]
        )

    def ends(self, isolation=IsolationLevel.READ_COMMITTED, where=None):
        """{(topic, partition): LSO}"""
        wanted = {TopicPartition(t, p): OffsetSpec.latest() for t, p in where or self._at}
        try:
            futures = self._admin.list_offsets(
                wanted, isolation_level=isolation, request_timeout=ASK_LIMIT_S
            )
            return {
                (tp.topic, tp.partition): future.result(2 * ASK_LIMIT_S).offset
                for tp, future in futures.items()
            }
        except (KafkaException, TimeoutError) as error:
            self._admin = self._new_admin()  # the old one may keep leaders of before
            raise NotNow(str(error)) from error

    def read_to(self, ends, take):
        """Gives every record below `ends` to take()."""
        deadline = time.monotonic() + READ_LIMIT_S
        while any(self._at[where] < end for where, end in ends.items()):
            for message in self._consumer.consume(10_000, timeout=0.05):
                self._take(message, take)
            if time.monotonic() > deadline:
                self._assign()
                raise NotNow(f"{self._at} not read to {ends}")

    def _take(self, message, take):
        error = message.error()
        where = (message.topic(), message.partition())
        if error is None:
            if message.offset() >= self._at[where]:  # else read again, after _assign()
                take(message)
                self._at[where] = message.offset() + 1
        elif error.code() == KafkaError._PARTITION_EOF:
            self._at[where] = max(self._at[where], message.offset())
        elif where in self._at:  # a broker that has just come back: it may stop reading
            self._assign()


def _content(message):
    return (
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
        message.timestamp()[1],
    )


def _number(key):
    return int(key.split(b":")[1])


@dataclass
class Stream:
    """What is known of one partition: records of either side that the other lacks."""

    topic: str
    partition: int
    source: deque = field(default_factory=deque)  # (offset, content)
    target: deque = field(default_factory=deque)
    matched: int = 0
    matched_offset: int = -1  # source offset of the newest record on both sides
    matched_number: int = -1


class Watch:
    """`copies` {topic: partitions}; violations are collected, not raised."""

    def __init__(self, source, target, offsets_topic, lanes, copies, aborted):
        self._source, self.target, self._positions = Log(source), Log(target), Log(target)
        self._offsets_topic = offsets_topic
        self._streams = {}
        self._aborted = aborted
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread = None
        self._lanes = lanes
        self._owed = {}  # what -> (record, for how many seconds)
        self._last = time.monotonic()  # snapshot
        self._passed_s = 0.0  # between the newest two, as far as it counts
        self.newest = {}  # (topic, partition) -> position
        self.claims = []  # (lane, claim)
        self.violations = []
        self.lost = self.duplicated = 0
        self.snapshots = 0
        self.trouble = None  # of the newest snapshot
        for topic, partitions in copies.items():
            self._source.add(topic, partitions)
            self.target.add(topic, partitions)
            for partition in range(partitions):
                self._streams[topic, partition] = Stream(topic, partition)
        self._positions.add(offsets_topic, lanes)

    # ---- in the background ----

    def start(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self):
        self._stop.set()
        if self._thread:
            self._thread.join(6 * READ_LIMIT_S)
        for log in (self._source, self.target, self._positions):
            log.close()

    def _run(self):
        while not self._stop.wait(SNAPSHOT_S):
            try:
                self.snapshot()
                self.trouble = None
            except NotNow as why:
                self.trouble = why
            except Exception as error:
                self.violations.append(f"the watch itself failed: {error!r}")
                raise

    # ---- snapshots ----

    def snapshot(self, strict=False):
        """Raises NotNow when a cluster does not answer."""
        with self._lock:
            before = self.read_positions()
            self.target.read_to(self.target.ends(), self._take_target)
            source_ends = self._source.ends()
            self._source.read_to(source_ends, self._take_source)
            self._refuse_older_ends(source_ends, before)
            after = self.read_positions()
            self._match()
            now = time.monotonic()
            self._passed_s = min(now - self._last, 2 * SNAPSHOT_S)
            self._last = now
            for where, stream in self._streams.items():
                self._judge(where, stream, before.get(where, 0), after.get(where, 0), strict)
            self.snapshots += 1

    @staticmethod
    def _refuse_older_ends(ends, positions):
        """A broker that has just come back tells, for seconds, older ends than it told before."""
        older = [where for where, end in ends.items() if end < positions.get(where, 0)]
        if older:
            raise NotNow(f"the source tells ends of {older} that it has already passed")

    def read_positions(self):
        """{(topic, partition): next}"""
        with self._lock:
            self._positions.read_to(self._positions.ends(), self._take_position)
            return {where: value["next"] for where, value in self.newest.items()}

    def _take_position(self, message):
        key = json.loads(message.key())
        if message.value() is None:
            return
        value = json.loads(message.value())
        if "claim" in key:
            self.claims.append((message.partition(), value))
        elif "topic" in key and "group" not in key:
            self.newest[key["topic"], key["partition"]] = value

    def _take_source(self, message):
        stream = self._streams[message.topic(), message.partition()]
        stream.source.append((message.offset(), _content(message)))

    def _take_target(self, message):
        stream = self._streams[message.topic(), message.partition()]
        content = _content(message)
        if content[0] in self._aborted[stream.topic]:
            self._violate("I3", stream, f"the aborted record {content[0]} is on the target")
        stream.target.append((message.offset(), content))

    def _match(self):
        for stream in self._streams.values():
            while stream.source and stream.target:
                self._match_one(stream)

    def _match_one(self, stream):
        (offset, ours), (at, theirs) = stream.source[0], stream.target[0]
        if ours == theirs:
            stream.target.popleft()
            self._arrived(stream)
            return
        number = _number(theirs[0])
        if number <= stream.matched_number:
            stream.target.popleft()
            self.duplicated += 1
            what = "came again"
        elif number > _number(ours[0]):
            stream.source.popleft()
            self.lost += 1
            what = f"came where {ours[0]} of source offset {offset} is missing"
        else:
            stream.target.popleft()
            self._arrived(stream)
            what = f"differs from {ours}"
        self._violate("I1", stream, f"{theirs[0]} at target offset {at} {what}")

    @staticmethod
    def _arrived(stream):
        stream.matched_offset, content = stream.source.popleft()
        stream.matched_number = _number(content[0])
        stream.matched += 1

    def _judge(self, where, stream, before, after, strict):
        """I2; what is not as it should be may be so for a moment."""
        missing = early = None
        if stream.source and stream.source[0][0] < before:
            missing = stream.source[0][0]
        if stream.target:
            early = stream.target[0][0]
        elif stream.matched_offset >= after:
            early = stream.matched_offset
        self._owe(("missing", where), missing, strict, stream, f"position {before}")
        self._owe(("early", where), early, strict, stream, f"position {after}")

    def _owe(self, what, record, strict, stream, text):
        """A debt is one record, and grows only while it can be seen not to be paid."""
        if record is None:
            self._owed.pop(what, None)
            return
        before, owed_s = self._owed.get(what, (None, 0))
        owed_s = owed_s + self._passed_s if before == record else 0
        self._owed[what] = (record, owed_s)
        if strict or owed_s > SETTLE_S:
            first = stream.source[0][0] if stream.source else None
            self._violate(
                "I2",
                stream,
                f"{what[0]} ({record}): {text}, newest on the target is source offset "
                f"{stream.matched_offset}, the first that is missing {first}; "
                f"{len(stream.target)} unknown on the target: {list(stream.target)[:2]!r:.300}; "
                f"the source is read to {self._source.at(what[1])}, ends at {self._ends_text(what[1])}",
            )

    def _ends_text(self, where):
        def end(isolation):
            try:
                return self._source.ends(isolation, [where])[where]
            except NotNow as why:
                return str(why)

        return f"{end(IsolationLevel.READ_UNCOMMITTED)}, stable {end(IsolationLevel.READ_COMMITTED)}"

    def _violate(self, invariant, stream, text):
        if len(self.violations) < 20:
            self.violations.append(f"{invariant} {stream.topic}[{stream.partition}]: {text}")

    # ---- for the tests ----

    def source_ends(self):
        return self._source.ends()

    def behind(self, ends):
        """Partitions whose position or copies are not at these source ends"""
        with self._lock:
            return sorted(
                where
                for where, end in ends.items()
                if self.newest.get(where, {"next": -1})["next"] < end
                or (self._streams[where].source and self._streams[where].source[0][0] < end)
            )

    def missing(self):
        """Source records that are not on the target"""
        with self._lock:
            return sum(len(stream.source) for stream in self._streams.values())

    def matched(self):
        with self._lock:
            return sum(stream.matched for stream in self._streams.values())

    def owes(self):
        return bool(self._owed)

    def owners(self):
        """{lane: pid of its newest claim}"""
        with self._lock:
            return {lane: claim["pid"] for lane, claim in self.claims}
