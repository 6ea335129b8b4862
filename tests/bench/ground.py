"""What a benchmark stands on: two clusters, and source topics that are filled once.

    build/bench/kept.json   the clusters that --keep left running, and what is in them
"""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from kafka_local import ROOT, Cluster, ClusterError

FOLDER = ROOT / "build" / "bench"
KEPT = FOLDER / "kept.json"
TOOL = FOLDER / "records"  # from records.c
PARTITIONS = 8
LOAD_LIMIT_S = 300

# A broker on a busy machine must not lose its session; the disk is wanted back at once.
BROKER = {
    "broker.session.timeout.ms": 9000,
    "broker.heartbeat.interval.ms": 2000,
    "log.segment.delete.delay.ms": 1000,
}
# What many a producer does: batches of 128 KB before compression.
LOADER = {"compression.type": "lz4", "batch.size": 131072, "linger.ms": 50}


@dataclass(frozen=True)
class Load:
    shape: str  # see records.c
    records: int

    @property
    def topic(self):
        return f"bench.{self.shape}"


LOADS = {"1k": Load("1k", 1_000_000), "100b": Load("100b", 3_000_000)}


def tool(*arguments):
    done = subprocess.run(
        [TOOL, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LOAD_LIMIT_S,
        check=False,
    )
    if done.returncode:
        raise ClusterError(f"records {' '.join(map(str, arguments))}: {done.stderr.strip()}")
    return done.stdout


def digest(cluster, topic):
    """{partition: (records, hash)}"""
    lines = tool("digest", cluster.bootstrap, topic, PARTITIONS).splitlines()
    return {int(p): (int(n), hashed) for p, n, hashed in map(str.split, lines)}


class Ground:
    """Two running clusters; with `keep` they stay, and are found again the next time."""

    def __init__(self, keep):
        self._keep = keep
        self._loads = {}  # topic -> what is in it
        names = [f"bench-{side}-{os.getpid()}" for side in ("source", "target")]
        if KEPT.exists():
            kept = json.loads(KEPT.read_text())
            names, self._loads = kept["clusters"], kept["loads"]
        self.source, self.target = self.clusters = [Cluster(name) for name in names]

    def __enter__(self):
        try:
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda cluster: cluster.start(settings=BROKER), self.clusters))
        except BaseException:
            self.destroy()
            raise
        return self

    def __exit__(self, *_):
        if self._keep:
            names = [cluster.name for cluster in self.clusters]
            KEPT.write_text(json.dumps({"clusters": names, "loads": self._loads}, indent=2))
        else:
            self.destroy()

    def destroy(self):
        for cluster in self.clusters:
            cluster.destroy()
        KEPT.unlink(missing_ok=True)

    @property
    def broker_pids(self):
        folders = Path(os.environ.get("KAFKA_RELAY_STATE") or _state_root())
        return [int((folders / cluster.name / "pid").read_text()) for cluster in self.clusters]

    def fill(self, load):
        """Makes and fills the load's topic unless it is; returns (loaded, ratio, digest)."""
        wanted = {**asdict(load), "loader": LOADER, "tool": TOOL.stat().st_mtime_ns}
        there = self._loads.get(load.topic, {})
        fresh = there.get("wanted") != wanted or load.topic not in self.source.topics()
        if fresh:
            self._loads.pop(load.topic, None)
            if load.topic in self.source.topics():
                self.source.delete_topic(load.topic)
            self.source.create_topic(load.topic, PARTITIONS)
            size = int(
                tool(
                    "load",
                    self.source.bootstrap,
                    load.topic,
                    PARTITIONS,
                    load.shape,
                    load.records,
                    *(f"{key}={value}" for key, value in LOADER.items()),
                )
            )
            there = {
                "wanted": wanted,
                "bytes": size,
                "stored": self._stored_bytes(load.topic),
                "digest": digest(self.source, load.topic),
            }
            self._loads[load.topic] = there
        there["digest"] = {int(p): tuple(v) for p, v in there["digest"].items()}
        return fresh, there

    def _stored_bytes(self, topic):
        folder = Path(os.environ.get("KAFKA_RELAY_STATE") or _state_root()) / self.source.name
        return sum(f.stat().st_size for f in (folder / "data").glob(f"{topic}-*/*.log"))


def _state_root():  # as deploy/local/kafka has it
    return Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp") / f"kafka-relay-{os.getuid()}"
