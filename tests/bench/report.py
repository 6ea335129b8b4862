"""What a benchmark says: a line a copy, a table at the end, build/bench/result.{md,json}."""

import json
import os
import platform
import statistics
from dataclasses import asdict, fields
from datetime import datetime, timezone
from pathlib import Path

from ground import BROKER, LOADER, PARTITIONS
from meter import Measured

RATE_FLOOR = 1.0  # kafka-relay to MirrorMaker 2
CPU_CEILING = 0.6

_COLUMNS = [
    ("records/s", "records_per_s", "{:,.0f}"),
    ("CPU us a record", "cpu_us", "{:.2f}"),
    ("2nd half: records/s", "late_records_per_s", "{:,.0f}"),
    ("2nd half: CPU us", "late_cpu_us", "{:.2f}"),
    ("whole process: CPU us", "whole_cpu_us", "{:.2f}"),
    ("peak RSS MiB", "rss_mib", "{:,.0f}"),
    ("start to first record s", "start_s", "{:.2f}"),
    ("brokers CPU us", "brokers_cpu_us", "{:.2f}"),
    ("others cores", "others_cores", "{:.2f}"),
]
# The gate is about all records. The second half is shown beside it, as it is kinder to a
# Java program, whose compiler has warmed up by then.
_COMPARED = [
    ("all records", "records_per_s", "cpu_us", True),
    ("2nd half", "late_records_per_s", "late_cpu_us", False),
]


def _cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


class Report:
    def __init__(self, subjects):
        self._subjects = subjects
        self._runs = []  # (subject name, shape, Measured, verdict)
        self._loads = {}
        self._machine = {
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "cpus": os.cpu_count(),
            "cpu": _cpu_model(),
            "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        }

    # ---- while it runs ----

    def loaded(self, load, there, fresh):
        self._loads[load.shape] = {
            "records": load.records,
            "bytes_a_record": there["bytes"] / load.records,
            "compression": there["bytes"] / there["stored"],
        }
        return (
            f"{load.topic}: {load.records:,} records of {there['bytes'] / load.records:.0f} bytes in "
            f"{PARTITIONS} partitions, lz4 {there['bytes'] / there['stored']:.1f}:1"
            f"{'' if fresh else ' (kept)'}"
        )

    def add(self, subject, load, measured, verdict):
        self._runs.append((subject.name, load.shape, measured, verdict))
        return (
            f"  {subject.name:<25} {measured.records_per_s:>9,.0f} records/s  "
            f"{measured.cpu_us:5.2f} us CPU a record  {measured.rss_mib:6,.0f} MiB  "
            f"first record after {measured.start_s:.1f} s  copy {verdict}"
            f"  (others: {measured.others_cores:.2f} cores)"
        )

    # ---- at the end ----

    def _median(self, subject, shape):
        runs = [m for name, s, m, _ in self._runs if (name, s) == (subject.name, shape)]
        return Measured(
            **{f.name: statistics.median(getattr(m, f.name) for m in runs) for f in fields(Measured)}
        )

    def _verdicts(self, subject, shape):
        return sorted({v for name, s, _, v in self._runs if (name, s) == (subject.name, shape)})

    def _rows(self):
        for shape in self._loads:
            for subject in self._subjects:
                median = self._median(subject, shape)
                cells = [text.format(getattr(median, name)) for _, name, text in _COLUMNS]
                yield [shape, subject.name, *cells, ", ".join(self._verdicts(subject, shape))]

    def _ratios(self):
        """[(what, rate, cpu, judged)]: medians of the first subject in shares of the second's"""
        if len(self._subjects) < 2:
            return []
        found = []
        for shape in self._loads:
            ours, theirs = (self._median(subject, shape) for subject in self._subjects)
            for what, rate, cpu, judged in _COMPARED:
                found.append(
                    (
                        f"{shape}, {what}",
                        getattr(ours, rate) / getattr(theirs, rate),
                        getattr(ours, cpu) / getattr(theirs, cpu),
                        judged,
                    )
                )
        return found

    def table(self):
        rows = [["load", "program", *(title for title, _, _ in _COLUMNS), "copy"], *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
            for row in rows
        ]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join(lines)

    def judge(self, gate, say):
        """Says how it came out; returns the exit code."""
        bad = []
        for subject in self._subjects:
            for shape in self._loads:
                verdicts = self._verdicts(subject, shape)
                if "different" in verdicts or (subject.exact and verdicts != ["identical"]):
                    bad.append(f"{shape}: the copy of {subject.name} is not right: {verdicts}")
        for what, rate, cpu, judged in self._ratios():
            say(f"{what}: {rate:.2f} x the records/s of MirrorMaker 2, {cpu:.2f} x its CPU a record")
            if gate and judged and rate < RATE_FLOOR:
                bad.append(f"{what}: {rate:.2f} x the records/s, below {RATE_FLOOR}")
            if gate and judged and cpu > CPU_CEILING:
                bad.append(f"{what}: {cpu:.2f} x the CPU a record, above {CPU_CEILING}")
        for line in bad:
            say(f"FAILED {line}")
        return 1 if bad else 0

    def write(self, folder):
        settings = "\n\n".join(
            f"{subject.name}:\n\n" + "\n".join(f"    {line}" for line in subject.settings())
            for subject in self._subjects
        )
        facts = "\n".join(f"- {key}: {value}" for key, value in self._machine.items())
        loads = "\n".join(
            f"- {shape}: {load['records']:,} records of {load['bytes_a_record']:.0f} bytes, "
            f"{PARTITIONS} partitions, lz4 {load['compression']:.1f}:1"
            for shape, load in self._loads.items()
        )
        ratios = "\n".join(
            f"- {what}: {rate:.2f} x the records/s of MirrorMaker 2, {cpu:.2f} x its CPU a record"
            for what, rate, cpu, _ in self._ratios()
        )
        (folder / "result.md").write_text(
            f"# Benchmark\n\n{facts}\n{loads}\n\n{self.table()}\n\n{ratios}\n\n"
            f"Medians. Rates and CPU are of the copying, from the last moment without a record on "
            f"the target to the moment when all were readable there; \"2nd half\" is the second "
            f"half of the records, \"whole process\" counts the CPU from its start. \"others\" is "
            f"what the rest of the machine took meanwhile, the measuring included.\n\n"
            f"## Settings\n\nSource records written with {LOADER}; brokers with {BROKER}.\n\n{settings}\n"
        )
        (folder / "result.json").write_text(
            json.dumps(
                {
                    "v": 1,
                    "machine": self._machine,
                    "loads": self._loads,
                    "settings": {subject.name: subject.settings() for subject in self._subjects},
                    "runs": [
                        {"program": name, "load": shape, "copy": verdict, **asdict(measured)}
                        for name, shape, measured, verdict in self._runs
                    ],
                },
                indent=2,
            )
        )
