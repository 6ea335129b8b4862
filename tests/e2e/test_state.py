"""What the relay writes about itself: the offsets topic, the offset map, the source group."""

import json
import random
import re
import socket
import time

import pytest
from confluent_kafka.admin import ConfigResource, ResourceType
from kafka_local import ANSWER_LIMIT_S, Record, wait_for
from mirror import (
    Load,
    assert_mirrored,
    caught_up,
    expel_members,
    wait_until_decided,
)
from relay_process import config
from relay_state import State, crc32c, group_offsets, lane_of

CREATED_MS = 1_446_143_678_000
HEX32 = re.compile(r"[0-9a-f]{32}")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
REFUSED = 65


def records(count, partition=0, prefix="v", start=0):
    return [
        Record(partition, b"k%d" % i, f"{prefix}{i}".encode(), timestamp_ms=CREATED_MS + i)
        for i in range(start, start + count)
    ]


@pytest.fixture
def state(target, topic):
    with State(target, topic) as found:
        yield found


# ---- the records of the offsets topic ----


def test_the_state_topics_are_made_as_described(source, target, topic, relay, state):
    source.create_topic(topic)
    relay.until_end(config(source, target, [{"include": [topic]}], topic, delivery={"lanes": 3}))

    def settings(name):
        resource = ConfigResource(ResourceType.TOPIC, name)
        (future,) = target.admin.describe_configs([resource]).values()
        return {key: entry.value for key, entry in future.result(ANSWER_LIMIT_S).items()}

    offsets = settings(state.offsets_topic)
    expected = {
        "cleanup.policy": "compact",
        "segment.bytes": str(16 << 20),
        "max.compaction.lag.ms": "600000",
        "min.cleanable.dirty.ratio": "0.1",
        "unclean.leader.election.enable": "false",
        "min.insync.replicas": "1",
    }
    assert {key: offsets[key] for key in expected} == expected
    history = settings(state.map_topic)
    assert history["cleanup.policy"] == "delete"
    assert history["retention.ms"] == str(7 * 24 * 3600 * 1000)
    assert len(target.end_offsets(state.offsets_topic)) == 3
    assert len(target.end_offsets(state.map_topic)) == 3


def test_every_lane_holds_one_identity_and_claims(source, target, topic, relay, state):
    source.create_topic(topic)
    content = config(source, target, [{"include": [topic]}], topic)
    before_ms = time.time() * 1000
    first, second = relay.until_end(content), relay.until_end(content)
    state.refresh()

    identities = [(lane, key, value) for lane, key, value in state.history if "identity" in key]
    assert sorted(lane for lane, _, _ in identities) == [0, 1, 2, 3]
    for lane, key, value in identities:
        assert key == {"identity": lane}
        assert value.keys() == {"v", "relay", "source", "lanes", "generation"}
        assert (value["v"], value["lanes"], value["generation"]) == (1, 4, 0)
        assert UUID.fullmatch(value["relay"])
        assert value["source"] == source.admin.describe_cluster().result(30).cluster_id
    assert len({value["relay"] for _, _, value in identities}) == 1

    for lane in range(4):
        claims = state.claims(lane)
        assert [pid for pid in dict.fromkeys(claim["pid"] for claim in claims)] == [
            first.pid,
            second.pid,
        ]
        for claim in claims:
            assert claim["v"] == 1
            assert HEX32.fullmatch(claim["nonce"])
            assert claim["host"] == socket.gethostname()
            assert re.fullmatch(r"\d+\.\d+\.\d+", claim["version"])
            assert before_ms - 1_000 <= claim["started"] <= time.time() * 1000
            assert "released" not in claim
        assert len({claim["nonce"] for claim in claims}) == 2
        assert re.fullmatch(r"[0-9a-f]{8}", claims[-1]["rules"])


def test_a_position_says_what_was_copied(source, target, topic, relay, state):
    source.create_topic(topic, 3)
    produced = source.produce(topic, [r for p in range(3) for r in records(5 * p, p)])
    source.produce_aborted(topic, records(2, 2, "aborted"))
    relay.until_end(
        config(source, target, [{"include": [topic]}], topic, delivery={"lanes": 2})
    )
    state.refresh()
    by_lane = {(lane, json.loads(text)["partition"]) for lane, text in state.newest if topic in text}
    assert by_lane == {(lane_of(topic, p, 2), p) for p in range(3)}

    positions = {p: position for (_, p), position in state.positions().items()}
    ends = source.end_offsets(topic)
    for partition, position in positions.items():
        assert position.keys() - {"anchor", "checked", "target_anchor"} == {
            "v",
            "next",
            "claim",
            "epoch",
            "target",
            "tail",
            "map",
        }
        assert (position["v"], position["epoch"]) == (1, 0)
        assert position["next"] == ends[partition]
        owner = state.claims(lane_of(topic, partition, 2))[-1]
        assert position["claim"] == owner["nonce"]
        assert position["target"] == {
            "topic": topic,
            "partitioning": "preserve",
            "filters": "00000000",
        }
        assert position["map"] == []

    assert "anchor" not in positions[0], "nothing was read"
    assert positions[0]["tail"] == []
    for partition in (1, 2):
        last = [record for record in produced if record.partition == partition][-1]
        mark = {"timestamp": last.timestamp_ms, "crc": crc32c(last.key + last.value)}
        assert positions[partition]["anchor"] == {"offset": last.offset, **mark}
        assert positions[partition]["target_anchor"] == {"offset": last.offset, **mark}
        assert positions[partition]["tail"] == [[0, partition, 0, 5 * partition]]


def test_an_anchor_that_was_found_again_is_noted_as_checked(source, target, topic, relay, state):
    source.create_topic(topic)
    content = config(source, target, [{"include": [topic]}], topic)
    source.produce(topic, records(5))
    relay.until_end(content)
    source.produce(topic, records(5, start=5))
    relay.until_end(content)
    state.refresh()
    position = state.positions()[topic, 0]
    assert position["checked"]["offset"] == 4
    assert position["anchor"]["offset"] == 9


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ({"partition": 0}, {"v": 2, "next": 0}, "newer"),
        ({"partition": 0}, {"v": 1, "next": -1}, "position"),
        ({"partition": 0}, "not an object", "position"),
        ({"unheard-of": 0}, {"v": 1}, "key"),
    ],
)
def test_state_that_is_not_understood_is_refused(
    source, target, topic, relay, state, key, value, said
):
    source.create_topic(topic)
    source.produce(topic, records(3))
    content = config(source, target, [{"include": [topic]}], topic, delivery={"lanes": 1})
    relay.until_end(content)
    if "partition" in key:
        key = {"topic": topic, **key}
    target.produce(
        state.offsets_topic, [Record(0, json.dumps(key).encode(), json.dumps(value).encode())]
    )
    source.produce(topic, records(3, start=3))
    state.refresh()
    before = state.owners()
    process = relay.finish(content)
    assert process.exit_code == REFUSED
    assert said in process.log
    assert state.owners() == before, "a healthy owner would have been fenced"
    wait_until_decided(target, topic)
    assert len(target.read_all(topic)[0]) == 3


def test_unknown_fields_of_a_position_are_ignored(source, target, topic, relay, state):
    source.create_topic(topic)
    source.produce(topic, records(3))
    content = config(source, target, [{"include": [topic]}], topic, delivery={"lanes": 1})
    relay.until_end(content)
    state.refresh()
    position = {**state.positions()[topic, 0], "later": {"version's": ["field", None]}}
    key = json.dumps({"partition": 0, "topic": topic})  # another order and spacing, too
    target.produce(state.offsets_topic, [Record(0, key.encode(), json.dumps(position).encode())])
    source.produce(topic, records(3, start=3))
    relay.until_end(content)
    assert_mirrored(source, target, topic)


# ---- source offsets to target offsets ----


def assert_translates(source, target, topic, state, seed, sample=150):
    """Tail and map lead from every record's offset to its copy's, and from no other's."""
    print(f"seed {seed}")
    choose = random.Random(seed)
    wait_until_decided(target, topic)
    state.refresh()
    original, copy = source.read_all(topic), target.read_all(topic)
    ends = source.end_offsets(topic)
    for partition, ours in original.items():
        translate = state.translator(topic, partition)
        at = {record.offset: record for record in copy[partition]}
        edges = [*ours[:20], *ours[-20:]]
        for record in edges + choose.sample(ours, min(sample, len(ours))):
            target_offset = translate(record.offset)
            assert target_offset is not None, f"[{partition}] {record.offset} has no translation"
            assert at.get(target_offset) == record, f"[{partition}] {record.offset}"
        without = set(range(ends[partition])) - {record.offset for record in ours}
        for offset in choose.sample(sorted(without), min(20, len(without))):
            assert translate(offset) is None, f"[{partition}] {offset} is no record"


def assert_map_is_sound(topic, state):
    chunks = state.chunks()
    for (name, partition), position in state.positions().items():
        if name != topic:
            continue
        assert len(position["tail"]) <= 16
        assert len(position["map"]) <= 32
        assert position["map"] == sorted(position["map"])
        of_partition = chunks.get((topic, partition), {})
        for source_offset, at in position["map"]:
            epoch, segments = of_partition[at]
            assert epoch == position["epoch"]
            assert segments[0].source == source_offset
            assert all(segment.partition == partition for segment in segments)
        segments = [s for at in sorted(of_partition) for s in of_partition[at][1]]
        ends = [s.source + s.count for s in segments]
        assert all(s.source >= end for s, end in zip(segments[1:], ends, strict=False))
        if of_partition:
            assert position["map"][0][0] == segments[0].source, "the oldest is always kept"
            newest = of_partition[max(of_partition)][1][0]
            assert position["map"][-1][0] == newest.source, "and the newest"


@pytest.mark.parametrize("kills", [0, 2])
def test_tail_and_map_lead_from_every_source_offset_to_its_copy(
    source, target, topic, relay, state, kills
):
    """Each transaction begins a segment; at 10 ms a tail overflows within a second."""
    source.create_topic(topic, 3)
    content = config(
        source,
        target,
        [{"include": [topic]}],
        topic,
        delivery={"lanes": 2, "commit_interval": "10ms"},
    )
    with Load(source, topic, 3, rate=600, transactions=True):
        process = relay(content)
        for _ in range(kills):
            goal = 150 + sum(state.next_offsets(topic).values())
            process.wait_for(
                lambda goal=goal: sum(state.next_offsets(topic).values()) > goal, 30, "some more"
            )
            process.kill()
            expel_members(target, f"kafka-relay.{topic}")
            process = relay(content)

        def overflowed():
            state.refresh()
            found = [len(p["map"]) for (name, _), p in state.positions().items() if name == topic]
            return len(found) == 3 and max(found) >= (8 if kills else 32)

        process.wait_for(overflowed, 60, "chunks in the map")
    process.wait_for(caught_up(source, state, topic), 30, "all copied")
    assert process.terminate() == 0
    assert_mirrored(source, target, topic)
    assert_map_is_sound(topic, state)
    assert_translates(source, target, topic, state, random.randrange(1 << 30))


def test_a_foreign_writer_in_the_target_is_stepped_over(source, target, topic, relay, state):
    source.create_topic(topic)
    content = config(source, target, [{"include": [topic]}], topic)
    for run in range(4):
        source.produce(topic, records(3, start=3 * run))
        relay.until_end(content)
        wait_until_decided(target, topic)
        target.produce(topic, records(2, prefix="foreign"))
    state.refresh()
    translate = state.translator(topic, 0)
    at = {record.offset: record for record in target.read_all(topic)[0]}
    for record in source.read_all(topic)[0]:
        assert at[translate(record.offset)] == record


def test_at_least_once_keeps_one_segment_while_nobody_else_writes(
    source, target, topic, relay, state
):
    source.create_topic(topic)
    content = config(
        source, target, [{"include": [topic]}], topic, delivery={"guarantee": "at_least_once"}
    )
    for run in range(3):
        source.produce(topic, records(5, start=5 * run))
        relay.until_end(content)
    state.refresh()
    assert state.positions()[topic, 0]["tail"] == [[0, 0, 0, 15]]


# ---- what others see ----


def test_an_idle_relay_writes_nothing(source, target, topic, relay, state):
    source.create_topic(topic, 4)
    source.produce(topic, records(3))
    process = relay(config(source, target, [{"include": [topic]}], topic))
    process.wait_for(caught_up(source, state, topic), 30, "all copied")
    logs = [state.offsets_topic, state.map_topic, topic]
    before = [target.end_offsets(name) for name in logs]
    lines = process.log.count("status:")
    process.wait_for(lambda: process.log.count("status:") > lines, 15, "the next status line")
    assert [target.end_offsets(name) for name in logs] == before

    source.produce(topic, records(3, 1))
    process.wait_for(caught_up(source, state, topic), 5, "it was alive")
    assert process.terminate() == 0


def test_ordinary_lag_tools_see_the_relay_in_its_source_group(source, target, topic, relay):
    source.create_topic(topic, 3)
    group = f"kafka-relay.{topic}"
    source.produce(topic, records(10) + records(5, 1))
    process = relay(config(source, target, [{"include": [topic]}], topic))

    def at_the_ends():
        ends = source.end_offsets(topic)
        offsets = group_offsets(source, group)
        return all(offsets.get((topic, p), 0) == end for p, end in ends.items())

    process.wait_for(at_the_ends, 15, "the group at the ends")
    assert process.terminate() == 0


def test_one_pass_leaves_the_source_group_at_its_end(source, target, topic, relay):
    source.create_topic(topic, 2)
    source.produce(topic, records(10) + records(5, 1))
    relay.until_end(config(source, target, [{"include": [topic]}], topic))
    offsets = group_offsets(source, f"kafka-relay.{topic}")
    assert offsets == {(topic, 0): 10, (topic, 1): 5}


def test_a_stop_leaves_the_source_group_where_the_positions_are(
    source, target, topic, relay, state
):
    source.create_topic(topic)
    process = relay(config(source, target, [{"include": [topic]}], topic))
    process.wait_for(caught_up(source, state, topic), 30, "running")
    source.produce(topic, records(10))
    process.wait_for(caught_up(source, state, topic), 30, "all copied")
    assert process.terminate() == 0
    assert group_offsets(source, f"kafka-relay.{topic}") == {(topic, 0): 10}
