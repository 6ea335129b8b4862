"""A copy is the original: every record as it was, nothing more and nothing less.

The still life: topics that are filled, copied by one relay in one pass, and looked at by
many tests. Below it, what changes while a relay runs, and which topics it takes at all.
"""

import os
import random
import struct
import time
from itertools import count

import pytest
from confluent_kafka.admin import NewPartitions
from kafka_local import ANSWER_LIMIT_S, Record, wait_for
from mirror import assert_mirrored, call, caught_up, compaction_at_once
from relay_process import Relays, config
from relay_state import State, crc32c

pytestmark = [pytest.mark.matrix, pytest.mark.sanitizers]

CREATED_MS = 1_446_143_678_000
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
BINARY = bytes(range(256))
SOON = {"sync": {"topics": {"interval": "1s"}}}


def records(count, partition=0, prefix="v", start=0):
    return [
        Record(partition, b"k%d" % i, f"{prefix}{i}".encode(), timestamp_ms=CREATED_MS + i)
        for i in range(start, start + count)
    ]


# ---- what the client library can't produce ----


def varint(number):
    number = number << 1 if number >= 0 else ~(number << 1)
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def sized(data):
    return varint(-1) if data is None else varint(len(data)) + data


def raw_batch(entries, base_ms):
    """A record batch, version 2; entries are (milliseconds after base_ms, key, value, headers)."""
    body = b""
    for delta, (after_ms, key, value, headers) in enumerate(entries):
        one = b"\0" + varint(after_ms) + varint(delta) + sized(key) + sized(value)
        one += varint(len(headers)) + b"".join(sized(n) + sized(v) for n, v in headers)
        body += sized(one)
    last, newest_ms = len(entries) - 1, base_ms + max(entry[0] for entry in entries)
    head = struct.pack(">hiqqqhii", 0, last, base_ms, newest_ms, -1, -1, -1, len(entries))
    checked = head + body
    tail = struct.pack(">ibI", -1, 2, crc32c(checked)) + checked
    return struct.pack(">qi", 0, len(tail)) + tail


def produce_raw(cluster, topic, batch, partition=0):
    """A Produce request, version 7, to the cluster's only broker."""

    def text(value):
        return struct.pack(">h", len(value)) + value.encode()

    body = struct.pack(">hhih", 0, 7, 1, 4) + b"test"  # api, version, correlation, client
    body += struct.pack(">hhi", -1, 1, 10_000)  # transactional id, acks, time-out
    body += struct.pack(">i", 1) + text(topic) + struct.pack(">iii", 1, partition, len(batch))
    body += batch
    payload = call(cluster, body)
    error = payload[4 + 4 + 2 + len(topic) + 4 + 4 :][:2]
    assert error == b"\0\0", f"Produce: error {struct.unpack('>h', error)[0]}"


# ---- the still life ----


class StillLife:
    """Topics of the source, filled; then copied by one relay."""

    def __init__(self, source, target, relays):
        self.source, self.target, self._relays = source, target, relays
        self.name = f"still-life-{os.getpid()}"
        self._fill()
        self.process = relays.finish(
            config(source, target, [{"include": [rf"{self.name}\..*"]}], name=self.name),
            "--until-end",
        )

    def topic(self, name):
        return f"{self.name}.{name}"

    def new(self, name, partitions=1, **settings):
        self.source.create_topic(self.topic(name), partitions, settings)
        return self.topic(name)

    def assert_mirrored(self, name):
        try:
            return assert_mirrored(self.source, self.target, self.topic(name))
        except (AssertionError, LookupError) as error:
            raise AssertionError(f"{error}\n{self.process.tail()}") from None

    def read(self, name):
        return self.source.read_all(self.topic(name)), self.target.read_all(self.topic(name))

    def _fill(self):
        for filler in (
            self._empties,
            self._headers,
            self._times,
            self._sizes,
            self._codecs,
            self._transactions,
            self._compacted,
            self._partitions,
        ):
            filler()

    def _empties(self):
        both = [None, b"", b"x", BINARY, b"\0", b"\xff\xfe"]
        self.source.produce(
            self.new("empties", 2),
            [Record(p, key, value) for p in (0, 1) for key in both for value in both],
        )
        self.new("no-records", 3)

    def _headers(self):
        awkward = [
            (("a", b"1"), ("b", b"2"), ("a", b"3"), ("a", b"1")),
            (("z", None), ("y", b""), ("x", BINARY)),
            (("", b"no name"), ("", None), ("", b"")),
            (("same", None), ("same", None)),
            (("Größe", b"\xc3\xa4"), ("with space", b" "), ("n" * 500, b"v" * 5_000)),
            tuple((f"h{i % 7}", b"%d" % i) for i in range(300)),
            (),
        ]
        topic = self.new("headers")
        self.source.produce(
            topic,
            [
                Record(0, b"k%d" % i, value, headers, CREATED_MS + i)
                for i, headers in enumerate(awkward)
                # a tombstone, a record that is copied and one that is sent as it lies
                for value in (None, b"v", b"v" * 1_000)
            ],
        )

    def _times(self):
        odd = [1, 999, CREATED_MS, CREATED_MS - 50_000, 1, int(time.time() * 1000)]
        topic = self.new("times")
        self.source.produce(
            topic, [Record(0, b"k", b"v%d" % i, (), ms) for i, ms in enumerate(odd)]
        )
        topic = self.new("broker-times", **{"message.timestamp.type": "LogAppendTime"})
        self.source.produce(topic, records(100))
        plain = [(0, b"zero", b"v", []), (5, b"five", b"v", [])]
        produce_raw(self.source, self.new("time-zero"), raw_batch(plain, base_ms=0))
        produce_raw(self.source, self.new("time-unknown"), raw_batch(plain[:1], base_ms=-1))

    def _sizes(self):
        topic = self.new("big", 2)
        generator = random.Random(1)
        self.source.produce(
            topic,
            [
                Record(i % 2, b"k%d" % i, generator.randbytes(size), (("h", b"v"),), CREATED_MS)
                for i, size in enumerate([900_000, 1, 900_000, 899_999, 255, 256, 257, 900_000])
            ],
        )

    def _codecs(self):
        text = [Record(0, b"k%d" % i, b"value %d " % i * 20, (), CREATED_MS) for i in range(500)]
        mixed = self.new("every-codec")
        for codec in CODECS:
            topic = self.new(f"codec-{codec}")
            for _ in range(2):
                self.source.produce(topic, text, **{"compression.type": codec})
            self.source.produce(mixed, text, **{"compression.type": codec})

    def _transactions(self):
        topic = self.new("transactions")
        self.source.produce(topic, records(3, prefix="plain"))
        self.source.produce_aborted(topic, records(2_000, prefix="aborted"))
        self.source.produce_transactional(topic, records(3, prefix="committed"))
        self.source.produce_aborted(topic, records(1, prefix="aborted"))
        self.source.produce(topic, records(1, prefix="plain"))

        topic = self.new("ends-in-an-abort")
        self.source.produce(topic, records(3))
        self.source.produce_aborted(topic, records(500, prefix="aborted"))

        topic = self.new("ends-in-a-commit")
        self.source.produce_transactional(topic, records(3))

        topic = self.new("aborted-only")
        self.source.produce_aborted(topic, records(10))

        topic = self.new("open")
        self.source.produce(topic, records(3, prefix="before"))
        self.open = self.source.begin(topic, records(3, prefix="open"))
        self.source.produce(topic, records(3, prefix="behind"))

    def _compacted(self):
        """Four of five records go away, in the middle of segments and at their ends."""
        settings = {
            "cleanup.policy": "compact",
            "min.cleanable.dirty.ratio": "0.01",
            "segment.ms": "100",
            "delete.retention.ms": "60000",
        }
        topic = self.new("compacted", **settings)
        self.source.produce(
            topic,
            [
                Record(0, b"k%d" % (i % 40 if i % 5 else i), b"v%d" % i, (), CREATED_MS)
                for i in range(500)
            ]
            + [Record(0, b"k%d" % i, None, (), CREATED_MS) for i in range(5)],
        )

        times = count(CREATED_MS, 1_000)

        def has_holes():
            """Only a record with a later time begins a new segment; older ones are compacted."""
            self.source.produce(topic, [Record(0, b"roll", b"", (), next(times))])
            return len(self.source.read_all(topic)[0]) < 250

        with compaction_at_once(self.source):
            wait_for(has_holes, 60, "compaction")

    def _partitions(self):
        topic = self.new("many-partitions", 50)
        # partition 7 stays empty
        self.source.produce(
            topic, [Record(p, b"k", b"v%d" % p) for p in range(50) if p != 7 for _ in range(p)]
        )


@pytest.fixture(scope="module")
def still(clusters, tmp_path_factory):
    relays = Relays(tmp_path_factory.mktemp("still-life"))
    yield StillLife(*clusters, relays)
    relays.end_all()


def test_one_pass_over_awkward_topics_succeeds(still):
    assert still.process.exit_code == 0, still.process.tail()
    assert " error " not in still.process.log
    assert "unverified" not in still.process.log


def test_null_and_empty_and_binary_keys_and_values_are_kept_apart(still):
    original = still.assert_mirrored("empties")
    assert {record.key for record in original[0]} == {None, b"", b"x", BINARY, b"\0", b"\xff\xfe"}
    assert [len(records) for records in original.values()] == [36, 36]


def test_a_topic_without_records_gets_its_partitions(still):
    assert still.assert_mirrored("no-records") == {0: [], 1: [], 2: []}


def test_headers_keep_order_and_duplicates_and_nulls_and_empty_names(still):
    original = still.assert_mirrored("headers")
    assert ("", None) in original[0][6].headers
    assert len(original[0]) == 21


def test_creation_times_are_kept(still):
    original = still.assert_mirrored("times")
    assert [record.timestamp_ms for record in original[0]][:4] == [
        1,
        999,
        CREATED_MS,
        CREATED_MS - 50_000,
    ]


def test_times_that_the_source_broker_set_are_kept(still):
    original = still.assert_mirrored("broker-times")
    assert all(record.timestamp_ms > CREATED_MS * 1.1 for record in original[0])


def test_time_zero_becomes_now_and_the_others_of_its_batch_are_kept(still):
    original, copy = still.read("time-zero")
    assert [r.timestamp_ms for r in original[0]] == [0, 5]
    zero, five = copy[0]
    assert five == original[0][1]
    assert abs(zero.timestamp_ms - time.time() * 1000) < 600_000
    assert (zero.key, zero.value) == (b"zero", b"v")


def test_a_record_without_a_time_is_copied(still):
    original, copy = still.read("time-unknown")
    assert [(r.key, r.value) for r in copy[0]] == [(r.key, r.value) for r in original[0]]


def test_values_of_900_kilobytes_are_kept(still):
    original = still.assert_mirrored("big")
    assert max(len(record.value) for record in original[0]) == 900_000


@pytest.mark.parametrize("codec", CODECS)
def test_batches_of_every_codec_are_read(still, codec):
    assert len(still.assert_mirrored(f"codec-{codec}")[0]) == 1_000


def test_codecs_may_change_within_a_partition(still):
    assert len(still.assert_mirrored("every-codec")[0]) == 500 * len(CODECS)


def test_aborted_records_are_left_behind(still):
    original = still.assert_mirrored("transactions")
    assert len(original[0]) == 7


@pytest.mark.parametrize("name", ["ends-in-an-abort", "ends-in-a-commit", "aborted-only"])
def test_the_position_passes_what_is_no_record_at_the_end(still, name):
    still.assert_mirrored(name)
    with State(still.target, still.name) as state:
        ends = still.source.end_offsets(still.topic(name))
        assert state.next_offsets(still.topic(name)) == ends


def test_a_pass_ends_where_an_open_transaction_begins(still):
    copied = still.target.read_all(still.topic("open"))[0]
    assert [record.value for record in copied] == [b"before0", b"before1", b"before2"]
    still.open.abort()  # and the next pass goes on behind it
    still._relays.until_end(
        config(still.source, still.target, [{"include": [rf"{still.name}\..*"]}], name=still.name)
    )
    assert len(still.assert_mirrored("open")[0]) == 6


def test_holes_of_a_compacted_topic_are_no_obstacle(still):
    original = still.assert_mirrored("compacted")
    offsets = [record.offset for record in original[0]]
    assert offsets[-1] - offsets[0] >= 2 * len(offsets), "holes, or this test shows nothing"
    assert any(record.value is None for record in original[0]), "tombstones"


def test_every_record_of_many_partitions_stays_in_its_partition(still):
    original = still.assert_mirrored("many-partitions")
    assert [len(original[p]) for p in range(50)] == [p if p != 7 else 0 for p in range(50)]


# ---- while it runs ----


def test_new_partitions_are_copied_from_their_first_record(source, target, topic, relay):
    source.create_topic(topic, 2)
    produced = source.produce(topic, records(10) + records(10, 1))
    content = config(source, target, [{"include": [topic]}], topic, **SOON)
    content["delivery"] = {"start": "latest"}  # for what is there at the first start
    process = relay(content)
    with State(target, topic) as state:
        process.wait_for(caught_up(source, state, topic), 30, "running")
        for future in source.admin.create_partitions([NewPartitions(topic, 5)]).values():
            future.result(ANSWER_LIMIT_S)
        wait_for(lambda: len(source.end_offsets(topic)) == 5, 30, "new partitions")
        new = [Record(p, b"k", b"new%d" % p, (), CREATED_MS) for p in range(5) for _ in range(3)]
        source.produce(topic, new)
        process.wait_for(lambda: len(state.next_offsets(topic)) == 5, 30, "positions of all")
        process.wait_for(caught_up(source, state, topic), 30, "all copied")
    assert process.terminate() == 0
    copied = target.read_all(topic)
    assert copied == {p: [record for record in new if record.partition == p] for p in range(5)}
    assert len(produced) == 20, "and none of these"


def test_a_new_topic_is_copied_from_its_first_record(source, target, topic, relay):
    content = config(source, target, [{"include": [rf"{topic}\..*"]}], topic, **SOON)
    content["delivery"] = {"start": "latest"}
    process = relay(content)
    process.wait_for_log("taken")
    new = f"{topic}.new"
    source.create_topic(new, 3)
    source.produce(new, records(5) + records(5, 2))
    with State(target, topic) as state:
        process.wait_for(lambda: new in target.topics(), 30, "the topic on the target")
        process.wait_for(caught_up(source, state, new), 30, "all copied")
    assert process.terminate() == 0
    assert [len(found) for found in assert_mirrored(source, target, new).values()] == [5, 0, 5]


def test_a_transaction_that_is_open_for_a_while_holds_back_its_partition_only(
    source, target, topic, relay
):
    source.create_topic(topic, 2)
    transaction = source.begin(topic, records(3))
    source.produce(topic, records(3, prefix="behind") + records(3, 1))
    process = relay(config(source, target, [{"include": [topic]}], topic))
    with State(target, topic) as state:
        process.wait_for(lambda: state.next_offsets(topic) == {0: 0, 1: 3}, 30, "the other one")
        transaction.commit()
        process.wait_for(caught_up(source, state, topic), 30, "all copied")
    assert process.terminate() == 0
    assert len(assert_mirrored(source, target, topic)[0]) == 6


# ---- which topics, and where to ----


def test_topics_are_renamed_by_cluster_and_by_what_the_regex_captured(
    source, target, topic, relay
):
    names = {
        f"{topic}.plain": f"source.{topic}.plain",
        f"{topic}.eu.orders": f"copy.{topic}.orders.of.eu",
        f"{topic}.us.orders": f"copy.{topic}.orders.of.us",
    }
    for number, name in enumerate(names):
        source.create_topic(name)
        source.produce(name, records(3, prefix=f"{number}-"))
    rules = [
        {
            "include": [rf"({topic})\.(eu|us)\.(\w+)"],
            "rename": "copy.{1}.{3}.of.{2}",
        },
        {"include": [rf"{topic}\..*"], "rename": "{cluster}.{topic}"},
    ]
    relay.until_end(config(source, target, rules, topic))
    for original, copy in names.items():
        assert_mirrored(source, target, original, copy)
    assert not target.topics() & set(names)


def test_a_name_must_match_as_a_whole_and_what_is_excluded_stays_behind(
    source, target, topic, relay
):
    wanted, unwanted = f"{topic}.a", [f"{topic}.a.test", f"{topic}.b.test", f"x{topic}.a"]
    for name in [wanted, *unwanted]:
        source.create_topic(name)
        source.produce(name, records(1))
    rules = [
        {"include": [rf"{topic}\.[ab].*"], "exclude": [r".*\.test"]},
        {"include": [rf"{topic}.*"]},  # an excluded topic is not tried with later rules
    ]
    relay.until_end(config(source, target, rules, topic))
    assert_mirrored(source, target, wanted)
    assert not target.topics() & set(unwanted)


def test_internal_topics_are_never_copied(source, target, topic, relay):
    internal = [f"__{topic}", f"kafka-relay.{topic}", f"mm2-offset-syncs.{topic}.internal"]
    ordinary = f"{topic}.ordinary"
    for name in [*internal, ordinary]:
        source.create_topic(name)
        source.produce(name, records(1))
    before = target.topics()
    relay.until_end(
        config(
            source,
            target,
            [{"include": [rf".*{topic}.*", "__consumer_offsets"], "rename": "c.{topic}"}],
            topic,
        )
    )
    assert_mirrored(source, target, ordinary, f"c.{ordinary}")
    made = {name for name in target.topics() - before if not name.startswith("kafka-relay.")}
    assert made - {"__consumer_offsets", "__transaction_state"} == {f"c.{ordinary}"}


def test_two_topics_for_one_target_are_not_mixed(source, target, topic, relay):
    first, second = f"{topic}.a", f"{topic}.b"
    for name in (first, second):
        source.create_topic(name)
        source.produce(name, records(3, prefix=name))
    process = relay.until_end(
        config(source, target, [{"include": [rf"({topic})\..*"], "rename": "{1}"}], topic)
    )
    assert_mirrored(source, target, first, topic)
    (warning,) = [line for line in process.log.splitlines() if "warn" in line]
    assert second in warning
    assert first in warning
    assert "rename" in warning


def test_a_newcomer_does_not_take_the_target_of_a_topic_that_is_copied(
    source, target, topic, relay
):
    ours, newcomer = f"{topic}.b", f"{topic}.a"  # it comes first by name
    rules = [{"include": [rf"({topic})\..*"], "rename": "{1}"}]
    source.create_topic(ours)
    source.produce(ours, records(3, prefix="ours"))
    process = relay(config(source, target, rules, topic, **SOON))
    with State(target, topic) as state:
        process.wait_for(caught_up(source, state, ours), 30, "running")
        source.create_topic(newcomer)
        source.produce(newcomer, records(3, prefix="newcomer"))
        process.wait_for_log(newcomer)
        source.produce(ours, records(3, prefix="ours", start=3))
        process.wait_for(caught_up(source, state, ours), 30, "still running")
    assert process.terminate() == 0
    assert len(assert_mirrored(source, target, ours, topic)[0]) == 6


def test_an_include_that_matches_nothing_names_what_is_near(source, target, topic, relay):
    near, misspelt = f"netflow.{os.getpid()}", f"netlfow.{os.getpid()}"
    source.create_topic(near)
    process = relay.until_end(config(source, target, [{"include": [misspelt]}], topic))
    assert f"did you mean '{near}'" in process.log
