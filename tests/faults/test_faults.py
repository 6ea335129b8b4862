"""Each fault once: it is injected, healed, and nothing is lost, doubled or disordered."""

import pytest
import table
from faults import FAULTS
from stage import PROGRESS_LIMIT_S


def run(stage, fault, limit_s=PROGRESS_LIMIT_S):
    """Injects, heals, waits for the recovery; returns the row of the table."""
    stage.wait_progress()
    happening = fault.run(stage)
    next(happening)
    next(happening, None)
    recovery_s = stage.wait_progress(limit_s)
    stage.frozen_snapshot()
    stage.check_memory()
    for _ in happening:
        pass
    return table.Result(
        fault.name,
        fault.what,
        fault.answer,
        fault.outcome,
        recovery_s,
        stage.watch.lost,
        stage.watch.duplicated,
    )


def rows():
    for fault in FAULTS:
        broken = pytest.mark.xfail(reason=fault.broken, strict=True)
        yield pytest.param(fault, id=fault.name, marks=[broken] if fault.broken else [])


@pytest.mark.parametrize("row", rows())
def test_nothing_is_lost_or_doubled_by(row, stages, request):
    stage = stages.current()
    try:
        table.results(request.config).append(run(stage, row))
    except BaseException:
        stages.drop()
        raise


def test_in_the_end_both_sides_are_the_same(stages):
    stages.current().finish()
