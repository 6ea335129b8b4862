"""Fifty lane restarts leave nothing behind: no descriptor, no thread, no memory."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from faults import fence_id
from kafka_local import wait_for
from mirror import Load, assert_mirrored, caught_up
from relay_process import Relays, config
from relay_state import State

LANES = 10
ROUNDS = 5
MIB = 1 << 20
GROWTH_BYTES = 32 * MIB
SETTLE_S = 8
NAME = "restarts"


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def resident_bytes(pid):
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def settled(pid):
    """The least descriptors and threads within the time in which a lane that was just taken
    looks at its anchors, with clients that it closes again."""
    found = []
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        found.append((descriptors(pid), threads(pid)))
        time.sleep(0.1)
    return tuple(map(min, zip(*found, strict=True)))


@pytest.fixture
def relay(tmp_path):
    relays = Relays(tmp_path)
    yield relays
    relays.end_all()


def fence_all(target, state):
    """Every lane once; returns when each has been taken again."""
    state.refresh()
    before = [len(state.claims(lane)) for lane in range(LANES)]
    with ThreadPoolExecutor(LANES) as pool:
        for job in [
            pool.submit(fence_id, target, f"kafka-relay.{NAME}.0.{lane}") for lane in range(LANES)
        ]:
            job.result()

    def all_taken():
        state.refresh()
        return all(len(state.claims(lane)) > before[lane] for lane in range(LANES))

    wait_for(all_taken, 60, "every lane taken again")


def wait_all_copy(source, state):
    """Every lane has all its clients, and uses them."""
    ends = source.end_offsets(NAME)

    def has_passed():
        now = state.next_offsets(NAME)
        return all(now[partition] > end for partition, end in ends.items())

    wait_for(has_passed, 60, "every partition goes on")


def test_fifty_lane_restarts_leave_nothing_behind(sites, relay):
    source, target = (site.cluster for site in sites)
    source.create_topic(NAME, LANES)
    content = config(source, target, [{"include": [NAME]}], NAME, delivery={"lanes": LANES})
    with State(target, NAME) as state, Load(source, NAME, LANES, rate=1000):
        process = relay(content)
        process.wait_for(lambda: len(state.owners()) == LANES, 60, "all lanes taken")
        fence_all(target, state)  # what is made on the first restart may stay
        wait_all_copy(source, state)
        before = settled(process.pid)
        memory = resident_bytes(process.pid)
        for _ in range(ROUNDS):
            fence_all(target, state)
        wait_all_copy(source, state)
        assert settled(process.pid) == before, "descriptors, threads"
        assert resident_bytes(process.pid) < memory + GROWTH_BYTES
    process.wait_for(caught_up(source, state, NAME), 60, "all copied")
    assert process.terminate() == 0
    assert_mirrored(source, target, NAME)
