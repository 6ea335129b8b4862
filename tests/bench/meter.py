"""Measures one copy from outside: what arrives on the target, and what the process takes.

Nothing is asked of the process itself, so that every program is measured the same way:
its CPU time and peak memory come out of /proc, its records out of the target's end
offsets, read every SAMPLE_S.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

SAMPLE_S = 0.025
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class CopyError(Exception):
    """A copy that did not come to its end."""


@dataclass(frozen=True)
class Sample:
    at_s: float
    end: int  # end offsets of all partitions together
    cpu_s: float  # of the process
    brokers_s: float
    machine_s: float  # of everything on this machine


@dataclass(frozen=True)
class Measured:
    """Rates and CPU are of the copying: from the last sample that saw nothing on the target
    to the first that saw all of it. `late` is the second half of the records, when just-in-
    time compilers have warmed up."""

    records: int
    start_s: float  # from the start of the process to its first record
    copy_s: float
    records_per_s: float
    cpu_us: float  # a record
    late_records_per_s: float
    late_cpu_us: float
    whole_cpu_us: float  # a record: from the start of the process
    rss_mib: float  # peak
    brokers_cpu_us: float
    others_cores: float  # what everything else on the machine took meanwhile


def cpu_s(pid):
    """utime + stime, of a zombie as well; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def _machine_s():
    user, nice, system, _idle, _wait, irq, softirq = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]
    )
    return (user + nice + system + irq + softirq) * _TICK_S


def _rss_mib(pid):
    """VmHWM; None once the process has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return None
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return None


def _ended(pid):
    """True from the moment it is a zombie, whose figures can still be read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


class Meter:
    """Watches the process `pid`, which copies `records` records into `topic`."""

    def __init__(self, pid, target, topic, records, broker_pids):
        self._pid = pid
        self._target = target
        self._topic = topic
        self._records = records
        self._broker_pids = broker_pids
        self._started_s = time.monotonic()
        self._rss_mib = 0.0
        self.samples = [self._sample("read_uncommitted")]

    def _sample(self, isolation):
        self._rss_mib = max(self._rss_mib, _rss_mib(self._pid) or 0.0)
        return Sample(
            end=sum(self._target.end_offsets(self._topic, isolation).values()),
            at_s=time.monotonic(),
            cpu_s=cpu_s(self._pid),
            brokers_s=sum(map(cpu_s, self._broker_pids)),
            machine_s=_machine_s(),
        )

    def watch(self, ends_by_itself, limit_s):
        """Until the process has ended, or until all records are there for one that does not
        end. The first record counts when it is in the log, the last when it is stable."""
        deadline = self._started_s + limit_s
        while True:
            ended = _ended(self._pid)  # asked first: it may do its work and end
            begun = self.samples[-1].end > 0
            self.samples.append(self._sample("read_committed" if begun else "read_uncommitted"))
            if ended if ends_by_itself else self.samples[-1].end >= self._records:
                return
            if ended:
                raise CopyError(f"it ended after {self.samples[-1].end} of {self._records} records")
            if time.monotonic() > deadline:
                raise CopyError(
                    f"{self.samples[-1].end} of {self._records} records within {limit_s} s"
                )
            time.sleep(SAMPLE_S)

    def measured(self):
        samples = self.samples
        final = samples[-1].end
        first = next(i for i, sample in enumerate(samples) if sample.end > 0)
        last = next(i for i, sample in enumerate(samples) if sample.end == final)
        middle = next(i for i, sample in enumerate(samples) if sample.end >= final / 2 and i > first)
        begin, half, end = samples[first - 1], samples[middle], samples[last]

        def per_record_us(seconds, share=1.0):
            return seconds * 1e6 / (self._records * share)

        late = 1 - half.end / final  # end offsets may count markers: take shares of them
        copy_s = end.at_s - begin.at_s
        cpu = end.cpu_s - begin.cpu_s
        brokers = end.brokers_s - begin.brokers_s
        return Measured(
            records=self._records,
            start_s=begin.at_s - self._started_s,
            copy_s=copy_s,
            records_per_s=self._records / copy_s,
            cpu_us=per_record_us(cpu),
            late_records_per_s=self._records * late / (end.at_s - half.at_s),
            late_cpu_us=per_record_us(end.cpu_s - half.cpu_s, late),
            whole_cpu_us=per_record_us(end.cpu_s),
            rss_mib=self._rss_mib,
            brokers_cpu_us=per_record_us(brokers),
            others_cores=(end.machine_s - begin.machine_s - cpu - brokers) / copy_s,
        )
