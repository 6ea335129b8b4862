"""Several processes of one relay share its lanes, and hand them over without a scratch."""

from collections import Counter

import pytest
from kafka_local import Record, wait_for
from mirror import Load, assert_mirrored, caught_up, expel_members
from relay_process import config
from relay_state import State

PARTITIONS = 8
SESSION_MS = 6000  # the least that brokers allow by default


@pytest.fixture
def state(target, topic):
    with State(target, topic) as found:
        yield found


@pytest.fixture
def content(source, target, topic):
    made = config(source, target, [{"include": [topic]}], topic)
    made["target"]["session.timeout.ms"] = SESSION_MS
    return made


def wait_shared(state, *shares, limit_s=30):
    """Until the newest claims are shared so: wait_shared(state, (process, lanes), ...)"""
    wanted = Counter({process.pid: lanes for process, lanes in shares if lanes})

    def is_shared():
        return Counter(state.owners().values()) == wanted

    try:
        wait_for(is_shared, limit_s, "shares")
    except TimeoutError:
        raise AssertionError(f"shares {wanted} became {Counter(state.owners().values())}") from None


def nonces(state, lane):
    """Every owner of a lane since the beginning, in order"""
    state.refresh()
    return list(dict.fromkeys(claim["nonce"] for claim in state.claims(lane)))


def wait_copies_everywhere(source, state, topic, limit_s=30):
    """Every partition of a running load goes on."""
    before = source.end_offsets(topic, "read_committed")

    def has_passed():
        now = state.next_offsets(topic)
        return all(now.get(partition, -1) >= end for partition, end in before.items())

    wait_for(has_passed, limit_s, f"every partition beyond {before}")


def finish(source, target, topic, state, *processes):
    """All that is left is copied; everybody leaves; the copy is exact."""
    processes[0].wait_for(caught_up(source, state, topic), 60, "all copied")
    for process in processes:
        assert process.terminate() == 0
    return assert_mirrored(source, target, topic)


def test_two_processes_share_the_lanes_and_what_stays_is_not_disturbed(
    source, target, topic, relay, state, content
):
    source.create_topic(topic, PARTITIONS)
    with Load(source, topic, PARTITIONS, transactions=True):
        first = relay(content)
        wait_shared(state, (first, 4))
        wait_copies_everywhere(source, state, topic)
        second = relay(content)
        wait_shared(state, (first, 2), (second, 2))
        wait_copies_everywhere(source, state, topic)
        owners = state.owners()
        for lane in range(4):
            expected = 1 if owners[lane] == first.pid else 2
            assert len(nonces(state, lane)) == expected, f"lane {lane}"
    finish(source, target, topic, state, first, second)
    for process in (first, second):
        assert "another process has taken" not in process.log


def test_the_lanes_of_a_killed_process_move_to_the_others(
    source, target, topic, relay, state, content
):
    source.create_topic(topic, PARTITIONS)
    with Load(source, topic, PARTITIONS, transactions=True):
        first, second = relay(content), relay(content)
        wait_shared(state, (first, 2), (second, 2))
        wait_copies_everywhere(source, state, topic)
        first.kill()
        wait_shared(state, (second, 4), limit_s=SESSION_MS / 1000 + 10)
        wait_copies_everywhere(source, state, topic)
    finish(source, target, topic, state, second)


def test_the_lanes_of_a_process_that_leaves_move_at_once(
    source, target, topic, relay, state, content
):
    source.create_topic(topic, PARTITIONS)
    with Load(source, topic, PARTITIONS, transactions=True):
        first, second = relay(content), relay(content)
        wait_shared(state, (first, 2), (second, 2))
        assert second.terminate() == 0
        wait_shared(state, (first, 4), limit_s=SESSION_MS / 1000 - 1)
        wait_copies_everywhere(source, state, topic)
    finish(source, target, topic, state, first)


@pytest.mark.parametrize("alone_before", [True, False])
def test_a_process_that_sleeps_while_its_lanes_move_writes_nothing_when_it_wakes(
    source, target, topic, relay, state, content, alone_before
):
    source.create_topic(topic, PARTITIONS)
    with Load(source, topic, PARTITIONS, transactions=True):
        sleeper = relay(content)
        if alone_before:  # its lanes have gone through a rebalance and stayed
            wait_shared(state, (sleeper, 4))
        other = relay(content)
        wait_shared(state, (sleeper, 2), (other, 2))
        wait_copies_everywhere(source, state, topic)

        sleeper.stop_signal()
        wait_shared(state, (other, 4), limit_s=SESSION_MS / 1000 + 10)
        wait_copies_everywhere(source, state, topic)
        owners = {lane: nonces(state, lane) for lane in range(4)}
        sleeper.cont()
        wait_shared(state, (sleeper, 2), (other, 2))
        wait_copies_everywhere(source, state, topic)

        for lane, before in owners.items():
            later = nonces(state, lane)
            assert later[: len(before)] == before
            assert len(later) <= len(before) + 1, f"lane {lane} went back and forth"
    finish(source, target, topic, state, sleeper, other)


def test_a_third_process_gets_its_share_and_gives_it_back(
    source, target, topic, relay, state, content
):
    source.create_topic(topic, PARTITIONS)
    with Load(source, topic, PARTITIONS, transactions=True):
        first, second = relay(content), relay(content)
        wait_shared(state, (first, 2), (second, 2))
        third = relay(content)

        def all_have_some():
            shares = Counter(state.owners().values())
            return sorted(shares.values()) == [1, 1, 2] and len(shares) == 3

        third.wait_for(all_have_some, 30, "a share for everybody")
        wait_copies_everywhere(source, state, topic)
        third.kill()
        expel_members(target, f"kafka-relay.{topic}")  # all of them; the living come back
        wait_shared(state, (first, 2), (second, 2))
        wait_copies_everywhere(source, state, topic)
    finish(source, target, topic, state, first, second)


def test_a_process_without_lanes_stands_by_and_takes_over(
    source, target, topic, relay, state, content
):
    content["delivery"] = {"lanes": 1}
    source.create_topic(topic, 2)
    with Load(source, topic, 2):
        first = relay(content)
        wait_shared(state, (first, 1))
        second = relay(content)
        wait_for(
            lambda: any("standing by" in process.log for process in (first, second)), 30, "standby"
        )
        owner = {p.pid: p for p in (first, second)}[state.owners()[0]]
        standby = second if owner is first else first
        assert owner.terminate() == 0
        wait_shared(state, (standby, 1))
        wait_copies_everywhere(source, state, topic)
    finish(source, target, topic, state, standby)


def test_processes_that_begin_a_relay_at_the_same_moment_agree(
    source, target, topic, relay, state, content
):
    source.create_topic(topic, PARTITIONS)
    with Load(source, topic, PARTITIONS, transactions=True):
        processes = [relay(content) for _ in range(3)]
        wait_for(lambda: len(set(state.owners().values())) == 3, 30, "lanes for everybody")
        wait_copies_everywhere(source, state, topic)
    identities = [value for _, key, value in state.history if "identity" in key]
    assert len(identities) == 4, "one identity a lane"
    assert len({identity["relay"] for identity in identities}) == 1
    finish(source, target, topic, state, *processes)


def test_one_pass_ends_when_the_lanes_of_other_processes_are_at_their_ends_too(
    source, target, topic, relay, state, content
):
    """The other process has lanes, but does not copy this topic."""
    source.create_topic(topic, PARTITIONS)
    elsewhere = {**content, "topics": [{"include": [f"{topic}-elsewhere"]}]}
    other = relay(elsewhere)
    wait_shared(state, (other, 4))
    source.produce(topic, [Record(p, b"k", b"%d" % i) for p in range(8) for i in range(10)])
    one_pass = relay(content, "--until-end")
    one_pass.wait_for_log("lanes of this process:")
    assert other.terminate() == 0
    assert one_pass.wait_exit() == 0
    assert_mirrored(source, target, topic)
