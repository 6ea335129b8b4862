"""The programs that are compared. Each copies one topic under a new name, from its start.

A subject is started on a source topic and gives the name of the copy; it leaves nothing
running, however the measurement ends.
"""

import json
import os
import signal
import subprocess
from contextlib import contextmanager

from kafka_local import PROGRAM, ROOT

STOP_LIMIT_S = 20


@contextmanager
def _running(arguments, log, environment=None):
    with log.open("wb") as out:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,  # a Ctrl-C is for the benchmark, which then ends it
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class KafkaRelay:
    """The default settings; lz4 towards the target, as everybody here."""

    name = "kafka-relay exactly_once"
    ends_by_itself = True
    exact = True

    def __init__(self, binary=None):
        self.binary = binary or ROOT / "build" / "release" / "kafka-relay"

    def settings(self):
        return ["delivery.guarantee=exactly_once (default settings)", "compression.type=lz4"]

    def copy_name(self, topic, run):
        return f"relay-{run}.{topic}"

    def run(self, source, target, topic, run, folder):
        config = {
            "relay": f"bench-{run}",
            "source": {"bootstrap.servers": source.bootstrap},
            "target": {"bootstrap.servers": target.bootstrap, "compression.type": "lz4"},
            "topics": [{"include": topic, "rename": self.copy_name("{topic}", run)}],
        }
        path = folder / f"relay-{run}.yaml"
        path.write_text(json.dumps(config, indent=2))
        return _running([self.binary, "run", path, "--until-end"], folder / f"relay-{run}.log")


class MirrorMaker:
    """Tuned for throughput; at least once, and without the jobs the relay does not do."""

    name = "MirrorMaker 2 tuned"
    ends_by_itself = False
    exact = False

    # The best of some 40 combinations tried on 2 cores: more tasks, larger batches and
    # fetches, G1 and a poll of fewer records were all slower or took more CPU.
    heap = "2g"
    java = "-XX:+UseParallelGC"
    flow = {
        "tasks.max": min(os.cpu_count(), 8),
        "emit.heartbeats.enabled": "false",
        "emit.checkpoints.enabled": "false",
        "sync.topic.acls.enabled": "false",
        "sync.topic.configs.enabled": "false",
        "offset.lag.max": 10000,
        "replication.factor": 1,
    }
    consumer = {
        "fetch.min.bytes": 262144,
        "fetch.max.wait.ms": 100,
        "max.partition.fetch.bytes": 1048576,
        "fetch.max.bytes": 67108864,
        "max.poll.records": 10000,
        "receive.buffer.bytes": 1048576,
    }
    producer = {
        "compression.type": "lz4",
        "batch.size": 262144,
        "linger.ms": 50,
        "buffer.memory": 268435456,
        "max.request.size": 8388608,
        "send.buffer.bytes": 1048576,
    }

    def settings(self):
        lines = [f"java -Xmx{self.heap} {self.java}"]
        for prefix, table in (("", self.flow), ("consumer.", self.consumer), ("producer.", self.producer)):
            lines += [f"{prefix}{key}={value}" for key, value in table.items()]
        return lines

    def copy_name(self, topic, run):
        return f"mm2-{run}.{topic}"

    def run(self, source, target, topic, run, folder):
        here, there = f"mm2-{run}", "target"  # the default policy puts the source's name in front
        lines = [
            f"clusters={here},{there}",
            f"{here}.bootstrap.servers={source.bootstrap}",
            f"{there}.bootstrap.servers={target.bootstrap}",
            f"{here}->{there}.enabled=true",
            f"{here}->{there}.topics={topic}",
            f"{there}->{here}.enabled=false",
            *(f"{key}={value}" for key, value in self.flow.items()),
            *(f"{here}.consumer.{key}={value}" for key, value in self.consumer.items()),
            *(f"{there}.producer.{key}={value}" for key, value in self.producer.items()),
            *(
                f"{prefix}.replication.factor=1"
                for prefix in (
                    "offset-syncs.topic",
                    "checkpoints.topic",
                    "heartbeats.topic",
                    "offset.storage",
                    "status.storage",
                    "config.storage",
                )
            ),
        ]
        path = folder / f"mm2-{run}.properties"
        path.write_text("\n".join(lines) + "\n")
        return _running(
            [PROGRAM, "run", "org.apache.kafka.connect.mirror.MirrorMaker", path],
            folder / f"mm2-{run}.log",
            {"JDK_JAVA_OPTIONS": self.java, "KAFKA_TOOL_HEAP": self.heap},
        )
