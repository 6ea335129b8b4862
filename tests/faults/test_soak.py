"""Faults at random, drawn from the seed, for as many minutes as --soak says.

The same seed draws the same faults in the same order, and makes the same load; when things
happen is the machine's. A soak that failed is replayed with its --seed.
"""

import random
import time
from collections import Counter

import table
from faults import FAULTS
from test_faults import run

FAULTS_A_MINUTE = 3
KINDS = 8


def test_a_soak_ends_exact(stages, seed, request, capsys):
    minutes = request.config.getoption("--soak")
    draw = random.Random(seed)
    drawable = [fault for fault in FAULTS if fault.soak]
    stage, drawn = stages.current(), Counter()
    deadline = time.monotonic() + minutes * 60
    with capsys.disabled():
        print(f"\nsoak: {minutes:g} minutes, --seed {seed}")
        while time.monotonic() < deadline:
            fault = draw.choice(drawable)
            print(f"{time.strftime('%H:%M:%S')} {sum(drawn.values()) + 1}: {fault.name}", end="")
            result = run(stage, fault)
            print(f" {result.recovery_s:.1f} s", flush=True)
            drawn[fault.name] += 1
            assert result.lost == result.duplicated == 0
    stage.finish()
    found = sum(drawn.values())
    with capsys.disabled():
        print(f"soak: {found} faults of {len(drawn)} kinds, {stage.watch.matched()} records")
    if minutes >= KINDS:
        assert found >= minutes * FAULTS_A_MINUTE
        assert len(drawn) >= KINDS
    table.results(request.config).clear()
