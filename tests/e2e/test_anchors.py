"""The fingerprints of records: is the log still the one that was read and written?"""

import pytest
from kafka_local import Record
from mirror import assert_mirrored
from relay_process import config

pytestmark = pytest.mark.sanitizers

CHECK_LIMIT_S = 30  # the first check comes 5 s after a lane is taken


def records(count, partition, start=0):
    return [Record(partition, b"k%d" % i, b"v%d" % i) for i in range(start, start + count)]


def on_all(partitions, count, start=0):
    return [r for p in range(partitions) for r in records(count, p, start)]


def quick(source, target, topic):
    """One lane for all partitions, and a refresh every second"""
    return config(
        source,
        target,
        [{"include": [topic]}],
        topic,
        delivery={"lanes": 1},
        sync={"topics": {"interval": "1s"}},
        log={"level": "debug"},
    )


def test_a_check_of_several_partitions_does_not_disturb_their_lane(source, target, topic, relay):
    source.create_topic(topic, 5)
    source.produce(topic, on_all(5, 20))
    process = relay(quick(source, target, topic))
    process.wait_for_log("anchors of 5 partitions checked", CHECK_LIMIT_S)
    source.produce(topic, on_all(5, 20, start=20))
    process.wait_for(lambda: min(target.end_offsets(topic).values()) >= 40, 30, "all copied")
    assert process.terminate() == 0
    assert "taking the lane again" not in process.log
    assert_mirrored(source, target, topic)


def test_a_source_topic_made_anew_under_a_running_relay_halts(source, target, topic, relay):
    source.create_topic(topic, 3)
    source.produce(topic, on_all(3, 50))
    process = relay(quick(source, target, topic))
    process.wait_for(
        lambda: topic in target.topics() and min(target.end_offsets(topic).values()) >= 50,
        30,
        "copied",
    )
    source.delete_topic(topic)
    source.create_topic(topic, 3)
    source.produce(topic, on_all(3, 70, start=1000))
    process.wait_for(
        lambda: process.log.count("halted (source_changed_log)") == 3, CHECK_LIMIT_S, "halts"
    )
    assert process.terminate() == 0
    # What was copied before stays, and a restart says the same again.
    again = relay.finish(quick(source, target, topic), "--until-end")
    assert again.exit_code == 1
    assert again.log.count("halted (source_changed_log)") == 3


def test_a_target_topic_deleted_under_a_running_relay_halts(source, target, topic, relay):
    source.create_topic(topic, 2)
    source.produce(topic, on_all(2, 50))
    process = relay(quick(source, target, topic))
    process.wait_for(
        lambda: topic in target.topics() and min(target.end_offsets(topic).values()) >= 50,
        30,
        "copied",
    )
    target.delete_topic(topic)
    process.wait_for(
        lambda: process.log.count("halted (target_changed_log)") == 2, 60, "halts"
    )
    source.produce(topic, on_all(2, 10, start=50))
    assert process.terminate() == 0
    assert sum(map(len, target.read_all(topic).values())) == 0, "went on in the new topic"


def test_a_log_is_checked_soon_after_its_broker_was_gone(source, target, topic, relay):
    """Without the restart it would be looked at a minute after the check before."""
    source.create_topic(topic)
    source.produce(topic, records(50, 0))
    process = relay(quick(source, target, topic))
    process.wait_for_log("anchors of 1 partitions checked", CHECK_LIMIT_S)
    assert target.end_offsets(topic)[0] >= 50
    process.stop_signal()  # so that it does not see that the topic is gone for a moment
    source.delete_topic(topic)
    source.create_topic(topic)
    source.produce(topic, records(70, 0, start=1000))
    source.restart()
    process.cont()
    process.wait_for_log("halted (source_changed_log)", 40)
    assert process.terminate() == 0
