"""What the suite has seen, as the table in docs/reliability.md.

    tests/faults/table.py build/results/faults-*.json    writes it from several runs' results
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "reliability.md"
RESULTS = ROOT / "build" / "results"
BEGIN = "<!-- Printed by tests/faults. Do not edit between these lines. -->"
END = "<!-- End of what tests/faults prints. -->"
HEAD = "| fault | what the relay does | recovery | lost | duplicated |\n|---|---|---|---|---|"

_KEY = pytest.StashKey()


@dataclass
class Result:
    name: str
    what: str
    answer: str
    outcome: str
    recovery_s: float
    lost: int
    duplicated: int


def results(config):
    return config.stash.setdefault(_KEY, [])


def row(result):
    lost = "0 (halted)" if result.outcome == "halted" else str(result.lost)
    return (
        f"| {result.what} | {result.answer} | {result.recovery_s:.1f} s | {lost} | "
        f"{result.duplicated} |"
    )


def text(found):
    return "\n".join([HEAD, *map(row, found)])


def save(found, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(result) for result in found], indent=1))


def write(found):
    before, rest = DOCUMENT.read_text().split(BEGIN)
    _, after = rest.split(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text(found)}\n\n{END}{after}")


def main(paths):
    sys.path.append(str(ROOT / "tests" / "e2e"))
    from faults import FAULTS

    order = [fault.name for fault in FAULTS]
    found = [Result(**one) for path in paths for one in json.loads(Path(path).read_text())]
    found = {result.name: result for result in found}.values()  # the newest of each
    write(sorted(found, key=lambda result: order.index(result.name)))


if __name__ == "__main__":
    main(sys.argv[1:])
