"""Where a relay goes on, and where it refuses to."""

import os
import random
import time

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewPartitions
from kafka_local import ANSWER_LIMIT_S, Record, wait_for
from mirror import (
    Load,
    assert_mirrored,
    caught_up,
    compaction_at_once,
    expel_members,
    wait_until_decided,
)
from relay_process import Relays, config
from relay_state import State

CREATED_MS = 1_446_143_678_000
REFUSED = 65
SOON = {"sync": {"topics": {"interval": "1s"}}}


def records(count, partition=0, prefix="v", start=0):
    return [
        Record(partition, b"k%d" % i, f"{prefix}{i}".encode(), timestamp_ms=CREATED_MS + i)
        for i in range(start, start + count)
    ]


def values(cluster, topic, partition=0):
    wait_until_decided(cluster, topic)
    return [record.value.decode() for record in cluster.read_all(topic)[partition]]


def delete_records(cluster, topic, before):
    """before: {partition: first offset that stays}"""
    wanted = [TopicPartition(topic, p, offset) for p, offset in before.items()]
    for future in cluster.admin.delete_records(wanted).values():
        future.result(ANSWER_LIMIT_S)


def add_partitions(cluster, topic, count):
    for future in cluster.admin.create_partitions([NewPartitions(topic, count)]).values():
        future.result(ANSWER_LIMIT_S)
    wait_for(lambda: len(cluster.end_offsets(topic)) == count, 30, "new partitions")


def nobody_else_claimed(state, owner, lanes=4):
    """The owner may write its claim again, but took every lane only once."""
    state.refresh()
    claims = [state.claims(lane) for lane in range(lanes)]
    return all(len({c["nonce"] for c in of}) == 1 and of[0]["pid"] == owner.pid for of in claims)


def halt_lines(process, topic=None):
    lines = [line for line in process.log.splitlines() if "halted (" in line]
    return [line for line in lines if topic is None or f"topic={topic} " in line]


def only_halt(process, topic=None):
    lines = halt_lines(process, topic)
    assert len(lines) == 1, f"one halted partition expected: {lines}"
    return lines[0]


@pytest.fixture(scope="module", autouse=True)
def replaced(clusters, tmp_path_factory):
    """Topics are made anew so quickly that the running relay does not notice at once.

    It looks every minute; the other tests use the time, and the last one looks as well.
    """
    source, target = clusters
    relays = Relays(tmp_path_factory.mktemp("replaced"))
    prefix = f"replaced-{os.getpid()}"
    names = [f"{prefix}.{name}" for name in ("at-the-source", "at-the-target", "nowhere")]
    for name in names:
        source.create_topic(name)
        source.produce(name, records(10))
    process = relays(config(source, target, [{"include": [rf"{prefix}\..*"]}], prefix))
    with State(target, prefix) as state:
        for name in names:
            process.wait_for(caught_up(source, state, name), 30, "copied so far")
    for cluster, name in ((source, names[0]), (target, names[1])):
        cluster.delete_topic(name)
        cluster.create_topic(name)
    source.produce(names[0], records(30, prefix="anew"))
    yield process, names
    relays.end_all()


# ---- stop and start ----


def test_passes_to_the_end_under_load_leave_nothing_out(source, target, topic, relay):
    """What comes while a pass runs lies behind its end: the next one must find it."""
    source.create_topic(topic, 8)
    content = config(source, target, [{"include": [topic]}], topic, delivery={"lanes": 2})
    with Load(source, topic, partitions=8, rate=5000) as load:
        for _ in range(6):
            load.wait_produced(2000)
            relay.until_end(content)
    relay.until_end(content)
    assert_mirrored(source, target, topic)


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_stops_and_starts_under_load_lose_and_double_nothing(
    source, target, topic, relay, guarantee
):
    source.create_topic(topic, 8)
    content = config(
        source, target, [{"include": [topic]}], topic, delivery={"guarantee": guarantee}
    )
    with State(target, topic) as state, Load(source, topic, 8, transactions=True) as load:
        for _ in range(3):
            process = relay(content)
            process.wait_for_log("taken")
            before = sum(state.next_offsets(topic).values())
            load.wait_produced(1_000)
            process.wait_for(
                lambda before=before: sum(state.next_offsets(topic).values()) > before,
                30,
                "something copied",
            )
            assert process.terminate() == 0
    relay.until_end(content)
    assert_mirrored(source, target, topic)


def test_the_guarantee_may_change_between_two_runs(source, target, topic, relay):
    source.create_topic(topic, 2)
    for run, guarantee in enumerate(["exactly_once", "at_least_once", "exactly_once"]):
        source.produce(topic, records(50, run % 2, start=50 * run))
        relay.until_end(
            config(source, target, [{"include": [topic]}], topic, delivery={"guarantee": guarantee})
        )
    assert_mirrored(source, target, topic)


def test_a_second_pass_without_news_copies_nothing(source, target, topic, relay):
    source.create_topic(topic)
    source.produce(topic, records(10))
    content = config(source, target, [{"include": [topic]}], topic)
    relay.until_end(content)
    ends = target.end_offsets(topic)
    assert "ended: 0 records" in relay.until_end(content).log
    assert target.end_offsets(topic) == ends


def test_a_stopped_relay_finds_new_partitions_and_topics_from_their_beginning(
    source, target, topic, relay
):
    old, new = f"{topic}.old", f"{topic}.new"
    content = config(
        source, target, [{"include": [rf"{topic}\..*"]}], topic, delivery={"start": "latest"}
    )
    source.create_topic(old)
    source.produce(old, records(3, prefix="before"))
    relay.until_end(content)
    add_partitions(source, old, 3)
    source.create_topic(new, 2)
    source.produce(old, records(3, 0, "after") + records(3, 2, "after"))
    source.produce(new, records(3, 1, "after"))
    relay.until_end(content)
    assert [values(target, old, p) for p in range(3)] == [
        ["after0", "after1", "after2"],
        [],
        ["after0", "after1", "after2"],
    ]
    assert_mirrored(source, target, new)


# ---- first positions ----


@pytest.mark.parametrize(
    ("start", "copied"),
    [
        ("earliest", range(10)),
        ("latest", []),
        ("2015-10-29T18:34:38.004Z", range(4, 10)),  # CREATED_MS + 4
        ("2015-10-29T18:34:38Z", range(10)),
        ("2016-01-01T00:00:00Z", []),
        ("-2h", []),
    ],
)
def test_a_partition_without_position_begins_at_start(source, target, topic, relay, start, copied):
    source.create_topic(topic, 2)
    source.produce(topic, records(10) + records(10, 1))
    content = config(source, target, [{"include": [topic]}], topic, delivery={"start": start})
    relay.until_end(content)
    expected = [f"v{i}" for i in copied]
    assert [values(target, topic, p) for p in (0, 1)] == [expected] * 2

    source.produce(topic, records(3, prefix="later"))
    relay.until_end(content)
    assert values(target, topic) == expected + ["later0", "later1", "later2"]


def test_topics_that_changed_rules_match_for_the_first_time_begin_at_start(
    source, target, topic, relay
):
    first, second = f"{topic}.a", f"{topic}.b"
    for name in (first, second):
        source.create_topic(name)
        source.produce(name, records(3))
    latest = {"start": "latest"}
    relay.until_end(config(source, target, [{"include": [first]}], topic, delivery=latest))
    source.produce(first, records(3, start=3))
    source.produce(second, records(3, start=3))
    wider = config(source, target, [{"include": [first, second]}], topic, delivery=latest)
    relay.until_end(wider)
    assert values(target, first) == ["v3", "v4", "v5"]
    assert values(target, second) == []


def test_a_crash_before_the_first_position_changes_nothing_about_the_start(
    source, target, topic, relay
):
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    moments = random.Random(seed)
    source.create_topic(topic, 4)
    source.produce(topic, [record for p in range(4) for record in records(5, p)])
    content = config(
        source, target, [{"include": [topic]}], topic, delivery={"start": "latest", "lanes": 2}
    )
    for _ in range(6):
        process = relay(content)
        # the moment is what is random here; nothing is waited for
        time.sleep(moments.uniform(0.02, 0.5))
        process.kill()
        expel_members(target, f"kafka-relay.{topic}")
    relay.until_end(content)
    with State(target, topic) as state:
        assert state.next_offsets(topic) == dict.fromkeys(range(4), 5)
    assert target.read_all(topic) == {p: [] for p in range(4)}


# ---- state that does not fit ----


@pytest.mark.parametrize("lanes", [2, 8])
def test_another_number_of_lanes_is_refused_and_the_owner_not_disturbed(
    source, target, topic, relay, lanes
):
    source.create_topic(topic)
    rules = [{"include": [topic]}]
    owner = relay(config(source, target, rules, topic))
    with State(target, topic) as state:
        owner.wait_for(lambda: len(state.owners()) == 4, 30, "all lanes taken")
        wrong = relay.finish(config(source, target, rules, topic, delivery={"lanes": lanes}))
        assert wrong.exit_code == REFUSED
        assert "delivery.lanes" in wrong.log
        source.produce(topic, records(3))
        owner.wait_for(caught_up(source, state, topic), 30, "the owner still works")
        assert nobody_else_claimed(state, owner)
    assert owner.terminate() == 0
    assert_mirrored(source, target, topic)


def test_another_source_cluster_is_refused_and_the_owner_not_disturbed(
    source, target, topic, relay
):
    source.create_topic(topic)
    rules = [{"include": [topic]}]
    owner = relay(config(source, target, rules, topic))
    with State(target, topic) as state:
        owner.wait_for(lambda: len(state.owners()) == 4, 30, "all lanes taken")
        rename = [{"include": [topic], "rename": "x.{topic}"}]
        wrong = relay.finish(config(target, target, rename, topic))
        assert wrong.exit_code == REFUSED
        assert "cluster" in wrong.log
        source.produce(topic, records(3))
        owner.wait_for(caught_up(source, state, topic), 30, "the owner still works")
        assert nobody_else_claimed(state, owner)
    assert owner.terminate() == 0
    assert_mirrored(source, target, topic)


def test_a_target_with_records_but_without_state_is_refused(source, target, topic, relay):
    for cluster in (source, target):
        cluster.create_topic(topic)
        cluster.produce(topic, records(3))
    process = relay.finish(config(source, target, [{"include": [topic]}], topic))
    assert process.exit_code == REFUSED
    assert topic in process.log
    assert values(target, topic) == ["v0", "v1", "v2"]


def test_lost_state_is_refused_instead_of_copying_everything_again(source, target, topic, relay):
    source.create_topic(topic)
    source.produce(topic, records(3))
    content = config(source, target, [{"include": [topic]}], topic)
    relay.until_end(content)
    target.delete_topic(f"kafka-relay.{topic}.offsets.0.internal")
    process = relay.finish(content)
    assert process.exit_code == REFUSED
    assert "offsets topic" in process.log
    assert values(target, topic) == ["v0", "v1", "v2"]


def test_an_empty_target_topic_that_exists_is_used(source, target, topic, relay):
    source.create_topic(topic, 2)
    target.create_topic(topic, 2)
    source.produce(topic, records(3))
    relay.until_end(config(source, target, [{"include": [topic]}], topic))
    assert_mirrored(source, target, topic)


def test_a_later_topic_whose_target_holds_records_halts_alone(source, target, topic, relay):
    good, full = f"{topic}.good", f"{topic}.full"
    source.create_topic(good)
    content = config(source, target, [{"include": [rf"{topic}\..*"]}], topic)
    relay.until_end(content)
    source.create_topic(full)
    target.create_topic(full)
    for name in (good, full):
        source.produce(name, records(3))
    target.produce(full, records(1, prefix="foreign"))
    process = relay.finish(content, "--until-end")
    assert process.exit_code == 1
    assert "already holds records" in only_halt(process, full)
    assert_mirrored(source, target, good)
    assert values(target, full) == ["foreign0"]


def test_another_rename_halts_what_has_a_position_until_it_is_undone(source, target, topic, relay):
    moved, other = f"{topic}.moved", f"{topic}.other"
    for name in (moved, other):
        source.create_topic(name)
        source.produce(name, records(3))
    before = [{"include": [moved, other]}]
    after = [{"include": [moved], "rename": "elsewhere.{topic}"}, {"include": [other]}]
    relay.until_end(config(source, target, before, topic))
    for name in (moved, other):
        source.produce(name, records(3, start=3))

    process = relay.finish(config(source, target, after, topic), "--until-end")
    assert process.exit_code == 1
    assert f"elsewhere.{moved}" in only_halt(process)
    assert values(target, moved) == ["v0", "v1", "v2"]
    assert target.end_offsets(f"elsewhere.{moved}") == {0: 0}
    assert_mirrored(source, target, other)

    relay.until_end(config(source, target, before, topic))
    assert_mirrored(source, target, moved)


# ---- gaps ----


def test_records_deleted_while_stopped_halt_their_partition_and_name_the_range(
    source, target, topic, relay
):
    source.create_topic(topic, 3)
    source.produce(topic, [r for p in range(3) for r in records(5, p)])
    content = config(source, target, [{"include": [topic]}], topic)
    relay.until_end(content)
    source.produce(topic, [r for p in range(3) for r in records(10, p, start=5)])
    delete_records(source, topic, {1: 9})

    process = relay.finish(content, "--until-end")
    assert process.exit_code == 1
    line = only_halt(process)
    assert "partition=1" in line
    assert "5 to 8" in line
    fifteen = [f"v{i}" for i in range(15)]
    assert [values(target, topic, p) for p in range(3)] == [fifteen, fifteen[:5], fifteen]

    again = relay.finish(content, "--until-end")
    assert again.exit_code == 1, "it stays halted"
    assert "5 to 8" in only_halt(again)
    assert values(target, topic, 1) == fifteen[:5]


def test_records_deleted_ahead_of_a_running_relay_halt_their_partition_and_name_the_range(
    source, target, topic, relay
):
    source.create_topic(topic, 2)
    source.produce(topic, records(5) + records(5, 1))
    transaction = source.begin(topic, records(10, start=5))  # the relay waits before it
    process = relay(config(source, target, [{"include": [topic]}], topic))
    with State(target, topic) as state:
        process.wait_for(lambda: state.next_offsets(topic) == {0: 5, 1: 5}, 30, "copied so far")
        delete_records(source, topic, {0: 9})
        process.wait_for_log("halted (")
        line = only_halt(process)
        assert "partition=0" in line
        assert "5 to 8" in line
        source.produce(topic, records(5, 1, start=5))
        transaction.commit()
        process.wait_for(lambda: state.next_offsets(topic)[1] == 10, 30, "the other goes on")

        def halt():
            state.refresh()
            return state.positions()[topic, 0].get("halted")

        assert "5 to 8" in process.wait_for(halt, 10, "the halt in its position")["detail"]
        assert state.next_offsets(topic)[0] == 5
    assert process.terminate() == 0
    assert values(target, topic) == [f"v{i}" for i in range(5)]
    assert values(target, topic, 1) == [f"v{i}" for i in range(10)]


def test_records_that_were_copied_may_be_deleted_on_both_sides(source, target, topic, relay):
    source.create_topic(topic)
    source.produce(topic, records(10))
    content = config(source, target, [{"include": [topic]}], topic)
    relay.until_end(content)
    delete_records(source, topic, {0: 10})
    wait_until_decided(target, topic)
    delete_records(target, topic, {0: target.end_offsets(topic)[0]})
    source.produce(topic, records(3, start=10))
    process = relay.until_end(content)
    assert "unverified" in process.log
    assert values(target, topic) == ["v10", "v11", "v12"]


def test_a_position_whose_record_was_compacted_away_goes_on(source, target, topic, relay):
    settings = {
        "cleanup.policy": "compact",
        "min.cleanable.dirty.ratio": "0.01",
        "segment.ms": "100",
    }
    source.create_topic(topic, config=settings)
    source.produce(topic, records(9) + [Record(0, b"last", b"9", (), CREATED_MS + 9)])
    content = config(source, target, [{"include": [topic]}], topic)
    relay.until_end(content)
    later = CREATED_MS

    def is_gone():
        nonlocal later
        later += 1_000
        source.produce(topic, [Record(0, b"last", b"newer", (), later)])
        return source.read_all(topic)[0][9].offset != 9

    with compaction_at_once(source):
        wait_for(is_gone, 60, "compaction")
    process = relay.until_end(content)
    assert "unverified" in process.log
    assert values(target, topic)[:11] == [*(f"v{i}" for i in range(9)), "9", "newer"]


@pytest.mark.parametrize("count", [3, 10, 50])
def test_a_source_topic_made_anew_while_stopped_halts(source, target, topic, relay, count):
    anew, other = f"{topic}.anew", f"{topic}.other"
    for name in (anew, other):
        source.create_topic(name)
        source.produce(name, records(10))
    content = config(source, target, [{"include": [rf"{topic}\..*"]}], topic)
    relay.until_end(content)
    source.delete_topic(anew)
    source.create_topic(anew)
    source.produce(anew, records(count, prefix="anew"))
    source.produce(other, records(10, start=10))

    process = relay.finish(content, "--until-end")
    assert process.exit_code == 1
    assert "made again" in only_halt(process, anew)
    assert values(target, anew) == [f"v{i}" for i in range(10)]
    assert_mirrored(source, target, other)


def test_the_same_records_at_other_times_are_another_log(source, target, topic, relay):
    source.create_topic(topic)
    same = [Record(0, b"k", b"v", (), CREATED_MS) for _ in range(10)]
    source.produce(topic, same)
    content = config(source, target, [{"include": [topic]}], topic)
    relay.until_end(content)
    source.delete_topic(topic)
    source.create_topic(topic)
    source.produce(topic, [Record(0, b"k", b"v", (), CREATED_MS + 1) for _ in range(20)])
    process = relay.finish(content, "--until-end")
    assert process.exit_code == 1
    assert "made again" in only_halt(process)
    assert len(values(target, topic)) == 10


def test_a_source_topic_that_goes_and_comes_under_a_running_relay_halts(
    source, target, topic, relay
):
    anew, other = f"{topic}.anew", f"{topic}.other"
    for name in (anew, other):
        source.create_topic(name)
        source.produce(name, records(10))
    process = relay(config(source, target, [{"include": [rf"{topic}\..*"]}], topic, **SOON))
    with State(target, topic) as state:
        process.wait_for(caught_up(source, state, anew), 30, "copied so far")
        source.delete_topic(anew)
        process.wait_for_log("the source has this partition no more")
        source.create_topic(anew)
        source.produce(anew, records(30, prefix="anew"))
        process.wait_for_log("halted (")
        assert "made again" in only_halt(process, anew)
        source.produce(other, records(10, start=10))
        process.wait_for(caught_up(source, state, other), 30, "the other goes on")
    assert process.terminate() == 0
    assert values(target, anew) == [f"v{i}" for i in range(10)]


def test_a_pass_that_ends_among_records_can_tell_later_whether_the_topic_was_made_anew(
    source, target, topic, relay
):
    source.create_topic(topic)
    content = config(source, target, [{"include": [topic]}], topic)
    with Load(source, topic, 1) as load:
        load.wait_produced(1_000)
        relay.until_end(content)
    with State(target, topic) as state:
        end = state.next_offsets(topic)[0]
        position = state.positions()[topic, 0]
    assert end < source.end_offsets(topic)[0], "or this test shows nothing"
    assert position["anchor"]["offset"] == end - 1
    assert "target_anchor" in position


@pytest.mark.parametrize("anew", [False, True])
def test_a_target_topic_deleted_while_stopped_halts(source, target, topic, relay, anew):
    gone, other = f"{topic}.gone", f"{topic}.other"
    for name in (gone, other):
        source.create_topic(name)
        source.produce(name, records(10))
    content = config(source, target, [{"include": [rf"{topic}\..*"]}], topic)
    relay.until_end(content)
    target.delete_topic(gone)
    if anew:
        target.create_topic(gone)
        target.produce(gone, records(50, prefix="foreign"))
    for name in (gone, other):
        source.produce(name, records(5, start=10))

    process = relay.finish(content, "--until-end")
    assert process.exit_code == 1
    line = only_halt(process, gone)
    assert "made again" in line
    assert "target" in line
    assert_mirrored(source, target, other)
    assert values(target, gone) == ([f"foreign{i}" for i in range(50)] if anew else [])


def test_a_record_that_the_target_refuses_halts_its_partition_behind_its_predecessors(
    source, target, topic, relay
):
    """The target takes no record of more than 20 kB; one in the middle is larger."""
    source.create_topic(topic, 3)
    target.create_topic(topic, 3, {"max.message.bytes": "20000"})
    large = Record(1, b"large", random.Random(1).randbytes(40_000), (), CREATED_MS)
    source.produce(
        topic,
        [
            *[r for p in range(3) for r in records(5, p)],
            large,
            *[r for p in range(3) for r in records(5, p, start=5)],
        ],
    )
    content = config(source, target, [{"include": [topic]}], topic, delivery={"lanes": 1})
    process = relay.finish(content, "--until-end")
    assert process.exit_code == 1
    line = only_halt(process)
    assert "partition=1" in line
    assert "offset 5" in line
    ten = [f"v{i}" for i in range(10)]
    assert [values(target, topic, p) for p in range(3)] == [ten, ten[:5], ten]


@pytest.mark.timeout(100)
def test_topics_made_anew_under_a_running_relay_are_found_within_a_minute(replaced):
    process, (at_the_source, at_the_target, nowhere) = replaced
    process.wait_for(lambda: len(halt_lines(process)) >= 2, 75, "both found")
    assert "made again" in only_halt(process, at_the_source)
    assert "made again" in only_halt(process, at_the_target)
    assert not halt_lines(process, nowhere)
    assert process.terminate() == 0


def test_copying_a_topic_onto_itself_is_refused(source, topic, relay):
    """Two addresses of one cluster, which the configuration can't tell."""
    source.create_topic(topic)
    source.produce(topic, records(3))
    content = config(source, source, [{"include": [topic]}], topic)
    content["target"]["bootstrap.servers"] = source.bootstrap.replace("127.0.0.1", "localhost")
    process = relay.finish(content)
    assert process.exit_code in (REFUSED, 78)
    assert len(source.read_all(topic)[0]) == 3

    empty = f"{topic}-empty"
    source.create_topic(empty)
    content["topics"] = [{"include": [empty]}]
    process = relay.finish(content)
    assert process.exit_code in (REFUSED, 78)
    assert "itself" in process.log or "themselves" in process.log or "one cluster" in process.log
