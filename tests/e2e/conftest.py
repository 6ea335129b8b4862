"""Two real clusters for the whole session, a topic prefix and relays for each test.

    SOURCE_KAFKA_VERSION, TARGET_KAFKA_VERSION   Kafka of each side (else the default)
    KAFKA_RELAY                                  the program (else build/release/kafka-relay)

A pytest that was killed leaves its clusters behind: `deploy/local/kafka status` lists
them, `deploy/local/kafka destroy NAME` removes one.
"""

import itertools
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from kafka_local import Cluster
from relay_process import Relays

TEST_LIMIT_S = 180  # for tests without a limit of their own; includes starting clusters

_numbers = itertools.count()


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_LIMIT_S))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    relays = getattr(item, "funcargs", {}).get("relay")
    if report.failed and relays and relays.processes:
        report.sections.append(("kafka-relay", relays.report()))
    return report


def _each(clusters, action):
    """Runs action on all at the same time; raises the first error when all are done."""
    with ThreadPoolExecutor(len(clusters)) as pool:
        jobs = [pool.submit(action, cluster) for cluster in clusters]
    for job in jobs:
        job.result()


@pytest.fixture(scope="session")
def clusters():
    """(source, target), started together"""
    both = tuple(
        Cluster(f"e2e-{side}-{os.getpid()}", os.environ.get(f"{side.upper()}_KAFKA_VERSION"))
        for side in ("source", "target")
    )
    try:
        _each(both, Cluster.start)
        yield both
    finally:
        _each(both, Cluster.destroy)


@pytest.fixture
def source(clusters):
    """The source cluster; running again after a test, whatever the test did to it."""
    yield clusters[0]
    clusters[0].ensure_running()


@pytest.fixture
def target(clusters):
    """The target cluster; running again after a test, whatever the test did to it."""
    yield clusters[1]
    clusters[1].ensure_running()


@pytest.fixture
def topic(request):
    """A prefix for topic names that no other test of the session has; a name by itself."""
    readable = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:80].strip("-")
    return f"t{next(_numbers)}-{readable}"


@pytest.fixture
def relay(tmp_path):
    """Starts relays (see relay_process); all are gone when the test ends."""
    relays = Relays(tmp_path)
    yield relays
    relays.end_all()
