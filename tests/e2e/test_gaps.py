"""`on_gap: continue` records what was lost; `stop` holds until somebody decides."""

import pytest
from confluent_kafka import TopicPartition
from kafka_local import ANSWER_LIMIT_S, Record
from mirror import wait_until_decided
from relay_process import config
from relay_state import State


def records(count, partition=0, prefix="v", start=0):
    return [
        Record(partition, b"k%d" % i, f"{prefix}{i}".encode()) for i in range(start, start + count)
    ]


def values(cluster, topic, partition=0):
    wait_until_decided(cluster, topic)
    return [record.value.decode() for record in cluster.read_all(topic)[partition]]


def named(prefix, first, end):
    return [f"{prefix}{i}" for i in range(first, end)]


def delete_records(cluster, topic, before):
    wanted = [TopicPartition(topic, p, offset) for p, offset in before.items()]
    for future in cluster.admin.delete_records(wanted).values():
        future.result(ANSWER_LIMIT_S)


def content(source, target, topic, on_gap="continue"):
    return config(
        source,
        target,
        [{"include": [topic]}],
        topic,
        delivery={"lanes": 1, "on_gap": on_gap},
        sync={"topics": {"interval": "1s"}},
    )


def position(target, topic, partition=0):
    with State(target, topic) as state:
        state.refresh()
        return state.positions()[topic, partition]


def lost(target, topic, partition=0):
    """[[from, to, reason], ...] as the position says; times left out"""
    return [item[:3] for item in position(target, topic, partition).get("lost", [])]


def copied(process, state, topic, offsets):
    process.wait_for(lambda: state.next_offsets(topic) == offsets, 60, f"{topic} at {offsets}")


def test_records_deleted_while_stopped_are_recorded_as_lost(source, target, topic, relay):
    source.create_topic(topic, 2)
    source.produce(topic, records(5) + records(5, 1))
    relay.until_end(content(source, target, topic))
    source.produce(topic, records(10, start=5) + records(10, 1, start=5))
    delete_records(source, topic, {1: 9})

    process = relay.until_end(content(source, target, topic))
    assert "5 to 8" in process.log
    assert values(target, topic) == named("v", 0, 15)
    assert values(target, topic, 1) == named("v", 0, 5) + named("v", 9, 15)
    assert lost(target, topic, 1) == [[5, 8, "gap"]]
    assert position(target, topic, 1)["epoch"] == 1
    assert "halted" not in position(target, topic, 1)
    assert position(target, topic)["epoch"] == 0
    assert "lost" not in position(target, topic)

    # Another gap is added to the first, and only what is new is copied.
    source.produce(topic, records(5, 1, start=15))
    delete_records(source, topic, {1: 17})
    relay.until_end(content(source, target, topic))
    assert lost(target, topic, 1) == [[5, 8, "gap"], [15, 16, "gap"]]
    assert values(target, topic, 1)[-5:] == ["v13", "v14", "v17", "v18", "v19"]


def test_records_deleted_ahead_of_a_running_relay_are_recorded_as_lost(
    source, target, topic, relay
):
    source.create_topic(topic)
    source.produce(topic, records(5))
    transaction = source.begin(topic, records(10, start=5))  # the relay waits before it
    process = relay(content(source, target, topic))
    with State(target, topic) as state:
        copied(process, state, topic, {0: 5})
        delete_records(source, topic, {0: 9})
        transaction.commit()
        copied(process, state, topic, {0: 16})
    assert process.terminate() == 0
    assert values(target, topic) == named("v", 0, 5) + named("v", 9, 15)
    assert lost(target, topic) == [[5, 8, "gap"]]


@pytest.mark.sanitizers
def test_a_source_topic_made_anew_is_copied_from_its_beginning(source, target, topic, relay):
    source.create_topic(topic, 2)
    source.produce(topic, records(50) + records(50, 1))
    process = relay(content(source, target, topic))
    with State(target, topic) as state:
        copied(process, state, topic, {0: 50, 1: 50})
        source.delete_topic(topic)
        process.wait_for_log("the source has this partition no more")
        source.create_topic(topic, 2)
        source.produce(topic, records(70, prefix="n") + records(7, 1, prefix="n"))
        copied(process, state, topic, {0: 70, 1: 7})
    assert process.terminate() == 0
    for partition, count in ((0, 70), (1, 7)):
        assert values(target, topic, partition) == named("v", 0, 50) + named("n", 0, count)
        assert lost(target, topic, partition) == [[50, None, "source_changed_log"]]
        assert position(target, topic, partition)["epoch"] == 1


def test_a_target_topic_deleted_under_a_running_relay_is_gone_on_with(
    source, target, topic, relay
):
    source.create_topic(topic)
    source.produce(topic, records(50))
    process = relay(content(source, target, topic))
    with State(target, topic) as state:
        copied(process, state, topic, {0: 50})
        target.delete_topic(topic)
        process.wait_for_log("gap (target_changed_log)")
        source.produce(topic, records(10, start=50))
        copied(process, state, topic, {0: 60})
    assert process.terminate() == 0
    assert values(target, topic) == named("v", 50, 60)
    assert lost(target, topic) == [[0, 49, "target_changed_log"]]


def test_a_halt_outlives_the_evidence_for_it(source, target, topic, relay):
    """The records that would tell have aged out, and still nothing is copied by itself."""
    source.create_topic(topic)
    source.produce(topic, records(50))
    stop = content(source, target, topic, "stop")
    relay.until_end(stop)
    source.delete_topic(topic)
    source.create_topic(topic)
    source.produce(topic, records(70, prefix="n"))
    process = relay.finish(stop, "--until-end")
    assert "halted (source_changed_log)" in process.log
    delete_records(source, topic, {0: 50})

    process = relay.finish(stop, "--until-end")
    assert process.exit_code == 1
    assert "halted (source_changed_log)" in process.log
    assert "offsets CONFIG set" in process.log
    assert values(target, topic) == named("v", 0, 50)

    # Who would rather go on says so, and gets what is there of the new log.
    relay.until_end(content(source, target, topic))
    assert values(target, topic) == named("v", 0, 50) + named("n", 50, 70)
    assert lost(target, topic) == [[50, None, "source_changed_log"]]
    assert "halted" not in position(target, topic)


def test_a_halted_partition_does_not_hold_up_the_others(source, target, topic, relay):
    source.create_topic(topic, 3)
    source.produce(topic, [r for p in range(3) for r in records(5, p)])
    stop = content(source, target, topic, "stop")
    relay.until_end(stop)
    source.produce(topic, [r for p in range(3) for r in records(5, p, start=5)])
    delete_records(source, topic, {1: 7})
    process = relay(stop)
    with State(target, topic) as state:
        copied(process, state, topic, {0: 10, 1: 5, 2: 10})
        source.produce(topic, [r for p in range(3) for r in records(5, p, start=10)])
        copied(process, state, topic, {0: 15, 1: 5, 2: 15})
    process.wait_for(lambda: "(0 waiting, 1 halted), 1 gaps" in process.log, 30, "the status line")
    assert process.terminate() == 0


@pytest.mark.parametrize("on_gap", ["stop", "continue"])
def test_where_no_record_can_tell_the_log_is_unverified_and_gone_on_with(
    source, target, topic, relay, on_gap
):
    source.create_topic(topic)
    source.produce(topic, records(50))
    relay.until_end(content(source, target, topic, on_gap))
    source.produce(topic, records(50, start=50))
    delete_records(source, topic, {0: 50})
    process = relay.until_end(content(source, target, topic, on_gap))
    assert process.log.count("unverified: ") == 1
    assert values(target, topic) == named("v", 0, 100)
    assert lost(target, topic) == []


def test_a_transaction_that_hangs_on_the_source_is_told_and_waited_for(
    source, target, topic, relay
):
    source.create_topic(topic, 2)
    source.produce(topic, records(5) + records(5, 1))
    transaction = source.begin(topic, records(1, prefix="open"))
    source.produce(topic, records(5, start=5) + records(5, 1, start=5))
    process = relay(content(source, target, topic))
    with State(target, topic) as state:
        copied(process, state, topic, {0: 5, 1: 10})
        process.wait_for_log("an open transaction on source holds back what comes after offset 5")
        assert "partition=0" in process.log.split("an open transaction")[0].splitlines()[-1]
        assert process.log.count("an open transaction") == 1
        process.wait_for_log("1 behind an open transaction")  # of the status line
        transaction.abort()
        copied(process, state, topic, {0: 12, 1: 10})
        process.wait_for_log("holds anything back any more")
    assert process.terminate() == 0
    assert values(target, topic) == named("v", 0, 10)


def test_a_target_topic_that_goes_is_named_when_nothing_is_delivered(source, target, topic, relay):
    """No refresh comes to find it out before the commit's time is over."""
    source.create_topic(topic)
    source.produce(topic, records(5))
    slow = content(source, target, topic, "stop")
    slow["sync"] = {"topics": {"interval": "1h"}}
    process = relay(slow)
    with State(target, topic) as state:
        copied(process, state, topic, {0: 5})
    target.delete_topic(topic)
    source.produce(topic, records(5, start=5))
    process.wait_for_log(f"topic {topic} is not there; was it deleted?", 90)


def test_a_pass_ends_where_a_topic_made_anew_ends(source, target, topic, relay):
    """Its first log was longer: that end will not come."""
    source.create_topic(topic)
    source.produce(topic, records(50))
    going_on = content(source, target, topic)
    relay.until_end(going_on)
    source.produce(topic, records(50, start=50))
    process = relay(going_on, "--until-end")
    process.wait_for_log("lanes of this process: 0")  # it knows the end, and has read nothing
    process.stop_signal()
    source.delete_topic(topic)
    source.create_topic(topic)
    source.produce(topic, records(20, prefix="n"))
    process.cont()
    assert process.wait_exit() == 0
    assert values(target, topic)[-20:] == named("n", 0, 20)
