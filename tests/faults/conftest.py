"""Two clusters behind proxies for the whole session; a stage that lasts until a test fails.

    --seed N         of the load and of the soak's draws (random; printed)
    --part I/N       only each N-th share of the rows, so that N runs side by side do all
    --soak MINUTES   faults at random for so long, instead of each once
    --write-table    writes the table into docs/reliability.md
"""

import os
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import table
from relay_process import Relays
from stage import Site, Stage

TEST_LIMIT_S = 120
LAST_OF_A_STAGE = "test_in_the_end_both_sides_are_the_same"


def pytest_addoption(parser):
    parser.addoption("--seed", type=int, default=random.randrange(1 << 30))
    parser.addoption("--part", default="1/1")
    parser.addoption("--soak", type=float, default=0, metavar="MINUTES")
    parser.addoption("--write-table", action="store_true")


def pytest_report_header(config):
    return f"faults: --seed {config.getoption('--seed')}"


def pytest_collection_modifyitems(config, items):
    # A soak is a soak and nothing else; without one there is none.
    minutes = config.getoption("--soak")
    items[:] = [item for item in items if ("test_soak" in item.nodeid) == bool(minutes)]
    for item in items:
        if minutes:
            item.add_marker(pytest.mark.timeout(minutes * 60 + 600))
        elif item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TEST_LIMIT_S))
    part, parts = map(int, config.getoption("--part").split("/"))
    last = [item for item in items if item.name == LAST_OF_A_STAGE]
    others = [item for item in items if item not in last]
    items[:] = share(others, parts)[part - 1] + last


def share(items, parts):
    """Equal shares of the time that they take"""
    shares = [[] for _ in range(parts)]
    loads = [0] * parts
    for item in sorted(items, key=_takes_s, reverse=True):
        least = loads.index(min(loads))
        shares[least].append(item)
        loads[least] += _takes_s(item)
    order = {id(item): number for number, item in enumerate(items)}
    return [sorted(one, key=lambda item: order[id(item)]) for one in shares]


def _takes_s(item):
    params = getattr(item, "callspec", None)
    row = params.params.get("row") if params else None
    return row.takes_s if row else 10


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.failed:
        stage = item.funcargs.get("stage") or item.funcargs.get("stages")
        if stage is not None:
            report.sections.append(("kafka-relay", stage.relays.report()))
    return report


def each(sites, action):
    """Runs action on all at the same time; raises the first error when all are done."""
    with ThreadPoolExecutor(len(sites)) as pool:
        for job in [pool.submit(action, site) for site in sites]:
            job.result()


@pytest.fixture(scope="session")
def sites():
    """(source, target), started together"""
    both = tuple(
        Site(side, os.environ.get(f"{side.upper()}_KAFKA_VERSION")) for side in ("source", "target")
    )
    try:
        each(both, Site.start)
        yield both
    finally:
        each(both, Site.close)


@pytest.fixture(scope="session")
def seed(request):
    return request.config.getoption("--seed")


class Stages:
    """The stage of the session; a new one after a failure."""

    def __init__(self, sites, folder, seed):
        self._sites, self._folder, self._seed = sites, folder, seed
        self._stage = None
        self.relays = None

    def current(self):
        if self._stage is None:
            each(self._sites, Site.heal)
            self.relays = Relays(self._folder())
            self._stage = Stage(*self._sites, self.relays, self._seed)
            self._stage.start()
        return self._stage

    def drop(self):
        stage, self._stage = self._stage, None
        if stage:
            each(self._sites, Site.heal)
            stage.close()


@pytest.fixture(scope="session")
def stages(sites, tmp_path_factory, seed):
    made = Stages(sites, lambda: tmp_path_factory.mktemp("relays"), seed)
    yield made
    made.drop()


@pytest.fixture
def stage(stages):
    return stages.current()


def pytest_terminal_summary(terminalreporter, config):
    results = table.results(config)
    if results:
        terminalreporter.write_line(table.text(results))
        part = config.getoption("--part").replace("/", "-of-")
        table.save(results, table.RESULTS / f"faults-{part}.json")
        if config.getoption("--write-table"):
            table.write(results)
