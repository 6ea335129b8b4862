"""Records that the target does not take: singled out, then as `on_record_error` says."""

import random
import time
from dataclasses import dataclass

import pytest
from kafka_local import Record
from mirror import expel_members, wait_until_decided
from relay_process import config
from relay_state import State

NOW_MS = int(time.time() * 1000)
DAY_MS = 86_400_000
HEADERS = (("h", b"1"), ("h", None))


@dataclass(frozen=True)
class Kind:
    """What makes a record one that the target refuses"""

    topic_config: dict
    bad: dict  # fields of the bad record
    reason: str


KINDS = {
    "too-large": Kind(
        {"max.message.bytes": "20000"},
        {"value": random.Random(1).randbytes(40_000)},
        "MSG_SIZE_TOO_LARGE",
    ),
    "no-key": Kind({"cleanup.policy": "compact"}, {"key": None}, "INVALID_RECORD"),
    "too-old": Kind(
        {"message.timestamp.before.max.ms": str(DAY_MS)},
        {"timestamp_ms": NOW_MS - 9 * DAY_MS},
        "INVALID_TIMESTAMP",
    ),
}


def record(number, **fields):
    return Record(
        **{
            "partition": 0,
            "key": b"k%d" % number,
            "value": b"v%d" % number,
            "headers": HEADERS,
            "timestamp_ms": NOW_MS + number,
            **fields,
        }
    )


def records(count, kind, bad):
    return [record(i, **(kind.bad if i in bad else {})) for i in range(count)]


def content(source, target, topic, action, **delivery):
    return config(
        source,
        target,
        [{"include": [topic]}],
        topic,
        delivery={"lanes": 1, "on_record_error": action, **delivery},
        log={"level": "debug"},
    )


def letters_of(topic):
    return f"kafka-relay.{topic}.dead-letter"


def read(cluster, topic, partition=0):
    wait_until_decided(cluster, topic)
    return cluster.read_all(topic)[partition]


def position(target, topic):
    with State(target, topic) as state:
        state.refresh()
        return state.positions()[topic, 0]


def assert_letter(letter, original, reason, topic, offset):
    assert (letter.key, letter.value) == (original.key, original.value)
    assert letter.headers[: len(original.headers)] == original.headers
    added = dict(letter.headers[len(original.headers) :])
    assert added == {
        "kafka-relay-error-reason": reason.encode(),
        "kafka-relay-error-source": b"source",
        "kafka-relay-error-topic": topic.encode(),
        "kafka-relay-error-partition": b"0",
        "kafka-relay-error-offset": b"%d" % offset,
        "kafka-relay-error-timestamp": b"%d" % original.timestamp_ms,
    }


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("action", ["stop", "skip", "dead_letter"])
def test_one_record_in_thousands_is_singled_out_in_few_steps(
    source, target, topic, relay, kind, action
):
    source.create_topic(topic, 1, {"retention.ms": "-1"})
    target.create_topic(topic, 1, {"retention.ms": "-1", **kind.topic_config})
    originals = records(3000, kind, {1700})
    source.produce(topic, originals)
    process = relay.finish(content(source, target, topic, action), "--until-end")
    assert process.exit_code == (1 if action == "stop" else 0), process.log
    good = originals[:1700] + ([] if action == "stop" else originals[1701:])
    assert read(target, topic) == good
    assert process.log.count("taking the lane again") <= 16
    stored = position(target, topic)
    if action == "stop":
        assert "halted (record_refused)" in process.log
        assert "offset 1700" in stored["halted"]["detail"]
        assert kind.reason in stored["halted"]["detail"]
        assert stored["next"] == 1700
    elif action == "skip":
        assert [item[:3] for item in stored["lost"]] == [[1700, 1700, f"skipped {kind.reason}"[:31]]]
    else:
        (letter,) = read(target, letters_of(topic))
        assert_letter(letter, originals[1700], kind.reason, topic, 1700)


@pytest.mark.sanitizers
@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_many_bad_records_each_become_one_dead_letter(source, target, topic, relay, guarantee):
    """Neighbours, the first, the last, and two partitions at a time."""
    kind = KINDS["no-key"]
    bad = {0, 1, 2, 50, 51, 399}
    source.create_topic(topic, 2)
    target.create_topic(topic, 2, {"cleanup.policy": "compact"})
    originals = records(400, kind, bad)
    source.produce(topic, originals)
    source.produce(
        topic, [record(i, partition=1, **(kind.bad if i == 7 else {})) for i in range(20)]
    )
    relay.until_end(content(source, target, topic, "dead_letter", guarantee=guarantee))
    good = [r for i, r in enumerate(originals) if i not in bad]
    copies = read(target, topic)
    letters = read(target, letters_of(topic))
    if guarantee == "exactly_once":
        assert copies == good
        assert len(letters) == len(bad) + 1
    assert [c for i, c in enumerate(copies) if c not in copies[:i]] == good
    at = [
        (dict(r.headers)["kafka-relay-error-partition"], dict(r.headers)["kafka-relay-error-offset"])
        for r in letters
    ]
    assert set(at) == {(b"0", b"%d" % i) for i in bad} | {(b"1", b"7")}


def test_a_dead_letter_too_large_for_its_topic_is_cut_and_says_so(source, target, topic, relay):
    kind = KINDS["too-large"]
    source.create_topic(topic)
    target.create_topic(topic, 1, kind.topic_config)
    target.create_topic(letters_of(topic), 1, {"max.message.bytes": "10000"})
    originals = records(10, kind, {5})
    source.produce(topic, originals)
    process = relay.until_end(content(source, target, topic, "dead_letter"))
    assert read(target, topic) == originals[:5] + originals[6:]
    (letter,) = read(target, letters_of(topic))
    assert originals[5].value.startswith(letter.value)
    assert 1000 < len(letter.value) < 10_000
    assert letter.key == originals[5].key
    assert b"40000" in dict(letter.headers)["kafka-relay-error-cut"]
    assert "cut" in process.log


def test_a_dead_letter_that_can_not_be_written_stops_the_partition(source, target, topic, relay):
    """The dead-letter topic is compacted, and the record has no key."""
    kind = KINDS["no-key"]
    source.create_topic(topic)
    target.create_topic(topic, 1, kind.topic_config)
    target.create_topic(letters_of(topic), 1, kind.topic_config)
    originals = records(10, kind, {5})
    source.produce(topic, originals)
    process = relay.finish(content(source, target, topic, "dead_letter"), "--until-end")
    assert process.exit_code == 1
    assert "halted (dead_letter_failed)" in process.log
    assert read(target, topic) == originals[:5]


def test_a_refusal_that_was_mended_is_gone_after_a_restart(source, target, topic, relay):
    kind = KINDS["too-large"]
    source.create_topic(topic)
    target.create_topic(topic, 1, kind.topic_config)
    originals = records(10, kind, {5})
    source.produce(topic, originals)
    process = relay.finish(content(source, target, topic, "stop"), "--until-end")
    assert process.exit_code == 1
    target.set_topic_config(topic, {"max.message.bytes": "100000"})
    relay.until_end(content(source, target, topic, "stop"))
    assert read(target, topic) == originals
    assert "halted" not in position(target, topic)


def test_a_kill_among_refused_records_doubles_and_loses_none(source, target, topic, relay):
    kind = KINDS["no-key"]
    bad = set(range(0, 300, 30))
    source.create_topic(topic)
    target.create_topic(topic, 1, kind.topic_config)
    originals = records(300, kind, bad)
    source.produce(topic, originals)
    for letters in (2, 5, 8):
        process = relay(content(source, target, topic, "dead_letter"))
        process.wait_for(
            lambda n=letters: process.log.count("it is in") >= 1
            and len(read(target, letters_of(topic))) >= n,
            60,
            f"{letters} dead letters",
        )
        process.kill()
        process.wait_exit()
        expel_members(target, f"kafka-relay.{topic}")
    relay.until_end(content(source, target, topic, "dead_letter"))
    assert read(target, topic) == [r for i, r in enumerate(originals) if i not in bad]
    offsets = [
        int(dict(r.headers)["kafka-relay-error-offset"]) for r in read(target, letters_of(topic))
    ]
    assert offsets == sorted(bad)


def anew(source, topic, process):
    """The source topic is deleted and made again, seen by the relay, with ten good records."""
    source.delete_topic(topic)
    process.wait_for_log("the source has this partition no more")
    source.create_topic(topic)
    good = [record(i, key=b"n%d" % i) for i in range(10)]
    source.produce(topic, good)
    return good


def assert_new_topic_is_copied_whole(process, source, target, topic, originals, good):
    with State(target, topic) as state:
        process.wait_for(lambda: state.next_offsets(topic) == {0: 10}, 60, "the new topic copied")
    assert process.terminate() == 0
    assert read(target, topic) == originals[:5] + good
    assert "halted" not in position(target, topic)


def going_on(source, target, topic, action):
    made = content(source, target, topic, action, on_gap="continue")
    made["sync"] = {"topics": {"interval": "1s"}}
    return made


def test_what_halted_a_topic_says_nothing_of_it_made_anew(source, target, topic, relay):
    kind = KINDS["no-key"]
    source.create_topic(topic)
    target.create_topic(topic, 1, kind.topic_config)
    originals = records(6, kind, {5})
    source.produce(topic, originals)
    process = relay(going_on(source, target, topic, "stop"))
    process.wait_for_log("halted (record_refused)")
    good = anew(source, topic, process)
    assert_new_topic_is_copied_whole(process, source, target, topic, originals, good)


def stopped_with_a_refusal_in_mind(source, target, topic, relay, originals):
    """It has singled the record out, and not taken its lane again; None when that was missed."""
    source.create_topic(topic)
    target.create_topic(topic, 1, KINDS["no-key"].topic_config)
    source.produce(topic, originals[:5])
    process = relay(going_on(source, target, topic, "skip"))
    with State(target, topic) as state:
        process.wait_for(lambda: state.next_offsets(topic) == {0: 5}, 60, "copied so far")
    source.produce(topic, originals[5:])
    process.wait_for_log("taking the lane again at once")
    process.stop_signal()
    if "taken (previous owner" not in process.log:
        return process
    process.cont()
    assert process.terminate() == 0
    return None


def test_what_was_refused_before_says_nothing_of_a_topic_made_anew(source, target, topic, relay):
    """The topic is another one before the record is passed over."""
    originals = records(6, KINDS["no-key"], {5})
    for attempt in range(10):
        name = f"{topic}-{attempt}"
        process = stopped_with_a_refusal_in_mind(source, target, name, relay, originals)
        if process:
            break
    assert process, "never stopped in time"
    source.delete_topic(name)
    source.create_topic(name)
    good = [record(i, key=b"n%d" % i) for i in range(10)]
    source.produce(name, good)
    process.cont()
    assert_new_topic_is_copied_whole(process, source, target, name, originals, good)


def test_a_topic_that_comes_back_is_judged_as_before(source, target, topic, relay):
    """Its position belongs to another target; that it was away for a moment changes nothing."""
    source.create_topic(topic)
    source.produce(topic, [record(i) for i in range(5)])

    def renamed(name):
        made = content(source, target, topic, "stop", on_gap="continue")
        made["topics"][0]["rename"] = f"{topic}.{name}"
        made["sync"] = {"topics": {"interval": "1s"}}
        return made

    relay.until_end(renamed("one"))
    process = relay(renamed("two"))
    process.wait_for_log("halted (target_changed)")
    anew(source, topic, process)
    process.wait_for(lambda: process.log.count("halted (target_changed)") == 2, 60, "the halt")
    assert process.terminate() == 0
    assert read(target, f"{topic}.two") == []


def test_dead_letters_of_several_partitions_do_not_spoil_each_other(source, target, topic, relay):
    """Each fits into the dead-letter topic; all of them in one batch would not."""
    kind = KINDS["no-key"]
    source.create_topic(topic, 3)
    target.create_topic(topic, 3, kind.topic_config)
    target.create_topic(letters_of(topic), 1, {"max.message.bytes": "100000"})
    large = random.Random(2)
    source.produce(
        topic, [record(0, partition=p, key=None, value=large.randbytes(60_000)) for p in range(3)]
    )
    relay.until_end(content(source, target, topic, "dead_letter"))
    assert [len(r.value) for r in read(target, letters_of(topic))] == [60_000] * 3


def test_a_dead_letter_that_is_refused_halts_its_own_partition_only(source, target, topic, relay):
    """The dead-letter topic is compacted: it takes the too large record, not the one without key."""
    source.create_topic(topic, 2)
    target.create_topic(topic, 2, {"cleanup.policy": "compact", "max.message.bytes": "20000"})
    target.create_topic(letters_of(topic), 1, {"cleanup.policy": "compact"})
    source.produce(topic, [record(0, key=None)])
    source.produce(topic, [record(0, partition=1, value=random.Random(3).randbytes(40_000))])
    process = relay.finish(content(source, target, topic, "dead_letter"), "--until-end")
    assert process.exit_code == 1
    assert process.log.count("halted (dead_letter_failed)") == 1
    (letter,) = read(target, letters_of(topic))
    assert len(letter.value) == 40_000
