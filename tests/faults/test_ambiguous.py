"""Requests of a transaction that arrive after their repetition: KAFKA-17754 and its kin.

A request is under way when its connection breaks; the client sends it again over another
one, and the transaction ends well. The late one arrives in the middle of the next
transaction, which never ends, since the relay is killed. Were the late one an EndTxn of
the same producer, it would commit that next transaction: its records, without their
position. They would be copied again, and stand on the target twice.
"""

import pytest
from kafka_local import Record, wait_for
from mirror import assert_mirrored, expel_members
from relay_process import Relays, config
from relay_state import State

COMMIT_BYTES = 4096  # the least; so the first records are committed at once,
FIRST = 100
NEXT = 10  # and these stay in an open transaction for
COMMIT_INTERVAL_S = 10  # the most
GIVES_UP_S = 15  # a commit


class Scene:
    """A relay with one lane, of which every transaction is known."""

    def __init__(self, source, target, name, relays):
        self.source, self.target, self.topic = source, target, name
        self.transactional_id = f"kafka-relay.{name}.0.0".encode()
        self.state = State(target.cluster, name)
        self._relays = relays
        self.process = None
        self._produced = 0

    def start(self):
        self.source.cluster.create_topic(self.topic)
        self.start_relay(COMMIT_INTERVAL_S)
        self.wait_position(0)

    def start_relay(self, commit_interval_s):
        delivery = {
            "lanes": 1,
            "commit_bytes": COMMIT_BYTES,
            "commit_interval": f"{commit_interval_s}s",
        }
        sides = (self.source.cluster, self.target.cluster)
        made = config(*sides, [{"include": [self.topic]}], self.topic, delivery=delivery)
        made["source"].update(self.source.properties())
        made["target"].update(self.target.properties())
        self.process = self._relays(made)

    def produce(self, count):
        numbers = range(self._produced, self._produced + count)
        self._produced += count
        records = [Record(0, b"%d" % n, b"%d " % n + b"x" * 100) for n in numbers]
        self.source.cluster.produce(self.topic, records)

    def wait_position(self, offset):
        """Until the position is committed"""
        self.process.wait_for(
            lambda: self.state.next_offsets(self.topic) == {0: offset}, 40, f"position {offset}"
        )

    def wait_sent(self):
        """Until all records are in the target's log; the transaction of the last is open."""

        def is_sent():
            records = self.target.cluster.read_all(self.topic, "read_uncommitted")[0]
            return {record.key for record in records} == {b"%d" % n for n in range(self._produced)}

        self.process.wait_for(is_sent, COMMIT_INTERVAL_S - 1, "the records of the next transaction")
        assert self.state.next_offsets(self.topic) == {0: FIRST}, "it is committed already"

    def kill_and_go_on(self):
        """Whatever is open now is never ended by its owner."""
        self.process.kill()
        expel_members(self.target.cluster, f"kafka-relay.{self.topic}")
        self.start_relay(1)
        self.wait_position(self._produced)
        assert self.process.terminate() == 0


@pytest.fixture
def scene(sites, tmp_path, request):
    relays = Relays(tmp_path)
    made = Scene(*sites, request.node.name.split("[")[-1].strip("]"), relays)
    made.start()
    yield made
    made.target.heal()
    made.state.close()
    relays.end_all()


@pytest.mark.parametrize("api", ["EndTxn", "AddPartitionsToTxn", "Produce"])
def test_a_late_request_does_not_touch_the_next_transaction(scene, api):
    held = scene.target.proxy.hold(api, reset=True, containing=scene.transactional_id)
    scene.produce(FIRST)
    held.wait()
    scene.wait_position(FIRST)
    scene.produce(NEXT)
    scene.wait_sent()
    held.release()
    held.wait_answered()
    scene.kill_and_go_on()
    assert_mirrored(scene.source.cluster, scene.target.cluster, scene.topic)


@pytest.mark.parametrize("api", ["EndTxn-given-up", "AddPartitionsToTxn-given-up"])
def test_a_request_that_arrives_after_the_relay_gave_up_does_not_touch_what_came_then(scene, api):
    held = scene.target.proxy.hold(api.split("-")[0], containing=scene.transactional_id)
    scene.produce(FIRST)
    held.wait()
    scene.process.wait_for_log("taking the lane again", GIVES_UP_S + 10)
    scene.wait_position(FIRST)
    scene.produce(NEXT)
    scene.wait_sent()
    held.release()
    scene.kill_and_go_on()
    assert_mirrored(scene.source.cluster, scene.target.cluster, scene.topic)


@pytest.mark.parametrize("api", ["EndTxn-answer", "AddPartitionsToTxn-answer", "Produce-answer"])
def test_a_lost_answer_makes_nothing_twice(scene, api):
    name = api.split("-")[0]
    lost = scene.target.proxy.drop(name, "response")
    scene.produce(FIRST)
    lost.wait()
    scene.wait_position(FIRST)
    scene.produce(NEXT)
    scene.wait_sent()
    scene.kill_and_go_on()
    assert_mirrored(scene.source.cluster, scene.target.cluster, scene.topic)


def test_a_lane_whose_commit_was_sent_twice_gets_a_new_producer(scene):
    claims = len(scene.state.claims(0))
    held = scene.target.proxy.hold("EndTxn", reset=True, containing=scene.transactional_id)
    scene.produce(FIRST)
    held.wait()
    scene.process.wait_for_log("a new producer is needed")
    wait_for(
        lambda: scene.state.refresh() and len(scene.state.claims(0)) > claims, 30, "a new claim"
    )
    held.release()
    scene.wait_position(FIRST)
    assert scene.process.terminate() == 0
    assert_mirrored(scene.source.cluster, scene.target.cluster, scene.topic)
