"""kill -9 at random moments under load: nothing is lost, and exactly once nothing doubled.

    KILL_SEED    the moments of an earlier run (printed when a test fails)
    KILL_ROUNDS  how often to kill (10)
"""

import os
import random
import time

import pytest
from mirror import (
    Load,
    assert_mirrored,
    differences,
    expel_members,
    wait_until_decided,
)
from relay_process import config
from relay_state import State

ROUNDS = int(os.environ.get("KILL_ROUNDS", "10"))
PARTITIONS = 8


@pytest.fixture
def moments():
    seed = int(os.environ.get("KILL_SEED", random.randrange(1 << 30)))
    print(f"KILL_SEED={seed}")
    return random.Random(seed)


def kill_again_and_again(relay, content, source, target, topic, moments):
    """Each round ends at a random moment: from before the relay's first request until
    long after it began to copy. Returns how many rounds got as far as copying."""
    copied = 0
    source.create_topic(topic, PARTITIONS)
    with State(target, topic) as state, Load(source, topic, PARTITIONS, transactions=True):
        for _ in range(ROUNDS):
            before = sum(state.next_offsets(topic).values())
            process = relay(content)
            # The moment itself is what is random here: nothing is waited for.
            time.sleep(moments.uniform(0, 3))
            assert process.exit_code is None, process.tail()
            process.kill()
            expel_members(target, f"kafka-relay.{topic}")
            copied += sum(state.next_offsets(topic).values()) > before
    print(f"{copied} of {ROUNDS} rounds copied something")
    return copied


@pytest.mark.matrix
@pytest.mark.sanitizers
@pytest.mark.timeout(120)
def test_kills_under_load_neither_lose_nor_double_nor_disorder_a_record(
    source, target, topic, relay, moments
):
    content = config(source, target, [{"include": [topic]}], topic)
    copied = kill_again_and_again(relay, content, source, target, topic, moments)
    relay.until_end(content)
    original = assert_mirrored(source, target, topic)
    assert copied > 0, "no round got as far as copying: this test shows nothing"
    values = [record.value for records in original.values() for record in records]
    assert len(values) == len(set(values)), "the load itself doubled something"


@pytest.mark.timeout(120)
def test_kills_with_at_least_once_lose_nothing_and_keep_the_order_of_first_occurrences(
    source, target, topic, relay, moments
):
    content = config(
        source, target, [{"include": [topic]}], topic, delivery={"guarantee": "at_least_once"}
    )
    copied = kill_again_and_again(relay, content, source, target, topic, moments)
    relay.until_end(content)
    wait_until_decided(target, topic)
    first = {}
    for partition, records in target.read_all(topic).items():
        seen = {}
        for record in records:
            seen.setdefault(record.value, record)
        first[partition] = list(seen.values())
    assert not differences(source.read_all(topic), first)
    assert copied > 0, "no round got as far as copying: this test shows nothing"


@pytest.mark.parametrize("guarantee", ["exactly_once", "at_least_once"])
def test_a_polite_end_in_the_middle_of_the_load_takes_less_than_ten_seconds(
    source, target, topic, relay, moments, guarantee
):
    source.create_topic(topic, PARTITIONS)
    content = config(
        source, target, [{"include": [topic]}], topic, delivery={"guarantee": guarantee}
    )
    with State(target, topic) as state, Load(source, topic, PARTITIONS, rate=10_000) as load:
        process = relay(content)
        process.wait_for(
            lambda: sum(state.next_offsets(topic).values()) > 0, 30, "something copied"
        )
        load.wait_produced(moments.randrange(5_000))
        assert process.terminate(limit_s=10) == 0
    relay.until_end(content)
    assert_mirrored(source, target, topic)
