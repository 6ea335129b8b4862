"""Compares kafka-relay with MirrorMaker 2 on real clusters; see `run.sh --help`.

Each load is copied by each program in turn, as often as asked for, the order swapped from
one repetition to the next, so that what the machine does meanwhile meets both alike.
"""

import argparse
import itertools
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from ground import FOLDER, LOADS, Ground, digest  # noqa: E402
from meter import CopyError, Meter  # noqa: E402
from report import Report  # noqa: E402
from subjects import KafkaRelay, MirrorMaker  # noqa: E402

COPY_LIMIT_S = 300
REPETITIONS = 3
QUICK_REPETITIONS = 2


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="tests/bench/run.sh",
        description="Copies the same topics with kafka-relay and MirrorMaker 2 between two real "
        "clusters on this machine and compares rate, CPU and memory. Results go to build/bench/.",
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_REPETITIONS} repetitions, not {REPETITIONS}")
    parser.add_argument("--reps", type=int, metavar="N", help="so many repetitions")
    parser.add_argument("--only", choices=LOADS, help="one load: records of 1 KB or of 100 bytes")
    parser.add_argument("--skip-mm2", action="store_true", help="kafka-relay alone, to tune it")
    parser.add_argument("--relay", type=Path, metavar="PATH", help="the program to measure; else build/release/kafka-relay is built")
    parser.add_argument("--keep", action="store_true", help="leave the clusters running, and use them again the next time")
    parser.add_argument("--stop", action="store_true", help="destroy the clusters that --keep left, do nothing else")
    parser.add_argument("--gate", action="store_true", help="exit 1 if kafka-relay is slower than MirrorMaker 2 or takes more than 0.6 x its CPU a record")
    options = parser.parse_args(arguments)
    if options.gate and options.skip_mm2:
        parser.error("--gate needs MirrorMaker 2")
    return options


def say(text):
    print(text, flush=True)


def copy_once(ground, subject, load, there, run):
    """One measured copy; returns (Measured, verdict)."""
    copy = subject.copy_name(load.topic, run)
    ground.target.create_topic(copy, len(there["digest"]))
    folder = FOLDER / "runs"
    try:
        with subject.run(ground.source, ground.target, load.topic, run, folder) as process:
            meter = Meter(process.pid, ground.target, copy, load.records, ground.broker_pids)
            meter.watch(subject.ends_by_itself, COPY_LIMIT_S)
            if subject.ends_by_itself and process.wait() != 0:
                raise CopyError(f"exit code {process.returncode}")
        verdict = compare(there["digest"], digest(ground.target, copy))
    except CopyError as error:
        raise CopyError(f"{subject.name}, {load.shape}: {error}; its log is in {folder}") from error
    finally:
        ground.target.delete_topic(copy)
    return meter.measured(), verdict


def compare(source, copy):
    if source == copy:
        return "identical"
    if {p: n for p, (n, _) in source.items()} == {p: n for p, (n, _) in copy.items()}:
        return "same counts"
    return "different"


def main(arguments):
    options = parse(arguments)
    (FOLDER / "runs").mkdir(parents=True, exist_ok=True)
    if options.stop:
        Ground(keep=False).destroy()
        return 0
    with Ground(options.keep) as ground:
        repetitions = options.reps or (QUICK_REPETITIONS if options.quick else REPETITIONS)
        subjects = [KafkaRelay(options.relay)] + ([] if options.skip_mm2 else [MirrorMaker()])
        report = Report(subjects)
        numbers = itertools.count()
        stamp = f"{int(time.time())}-{os.getpid()}"
        for load in [LOADS[options.only]] if options.only else LOADS.values():
            fresh, there = ground.fill(load)
            say(report.loaded(load, there, fresh))
            if fresh:  # brokers that have just started are slow: nobody should be first
                copy_once(ground, subjects[0], load, there, f"{stamp}-{next(numbers)}")
            for repetition in range(repetitions):
                order = subjects if repetition % 2 == 0 else subjects[::-1]
                for subject in order:
                    run = f"{stamp}-{next(numbers)}"
                    measured, verdict = copy_once(ground, subject, load, there, run)
                    say(report.add(subject, load, measured, verdict))
    say("\n" + report.table())
    report.write(FOLDER)
    return report.judge(options.gate, say)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CopyError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
