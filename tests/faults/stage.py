"""Where faults happen: two clusters behind proxies, a relay between them, a load, a watch.

The relay alone goes through the proxies, as user `relay`; tests and load talk to the
brokers directly, as super users. So whatever is taken from the relay (its connections, its
rights, its password), the test sees both sides as they are.

    port      PLAINTEXT, for the tests
    port + 1  the proxy; what the broker advertises to the relay
    port + 2  SASL_PLAINTEXT, behind the proxy
    port + 3  the controller
    port + 4  as port + 2, but the relay's password is another
"""

import os
import random
import socket
import subprocess
import time
from itertools import count
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from invariants import NotNow, Watch
from kafka_local import ANSWER_LIMIT_S, Cluster, wait_for
from load import Load
from mirror import expel_members
from proxy import Proxy
from relay_process import binary, config

USER, PASSWORD = "relay", "secret"
SESSION_MS = 6000  # the least that brokers allow by default
PROGRESS_LIMIT_S = 30  # I5
START_LIMIT_S = 60
FROZEN_LIMIT_S = 4  # below the session time-out
LANES = 4
BUFFER_MIB = 32
MEMORY_MIB = 64 + 1.3 * BUFFER_MIB  # what the README promises

_numbers = count()
_ports = random.Random(os.getpid())


def free_ports(number):
    """The first of so many free ports in a row"""
    while True:
        first = _ports.randrange(30_000, 32_700)
        try:
            for port in range(first, first + number):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue


class Site:
    """One cluster and the proxy in front of it."""

    def __init__(self, side, version=None):
        self.port = free_ports(5)
        self.cluster = Cluster(f"faults-{side}-{os.getpid()}", version)
        self.proxy = Proxy(self.port + 1, self.port + 2)

    def start(self):
        self.proxy.start()
        self.cluster.start(self.port, self._settings())

    def close(self):
        self.proxy.close()
        self.cluster.destroy()

    def heal(self):
        """As it was in the beginning, whatever a test did"""
        self.proxy.restore()
        self.cluster.ensure_running()
        self.restore_password()
        self.restore_rights()

    def properties(self):
        """What the relay needs to connect"""
        return {
            "bootstrap.servers": f"127.0.0.1:{self.proxy.port}",
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": USER,
            "sasl.password": PASSWORD,
        }

    def _settings(self):
        host, port = "127.0.0.1", self.port
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT"}
        protocols |= {"PROXIED": "SASL_PLAINTEXT", "LOCKED": "SASL_PLAINTEXT"}
        ports = {"PLAINTEXT": port, "PROXIED": port + 2, "LOCKED": port + 4}
        advertised = {**ports, "PROXIED": port + 1}
        ports["CONTROLLER"] = port + 3

        def listed(of):
            return ",".join(f"{name}://{host}:{number}" for name, number in of.items())

        def jaas(password):
            module = "org.apache.kafka.common.security.plain.PlainLoginModule"
            return f'{module} required user_{USER}="{password}";'

        return {
            "controller.quorum.voters": f"1@{host}:{port + 3}",
            "listeners": listed(ports),
            "advertised.listeners": listed(advertised),
            "listener.security.protocol.map": ",".join(f"{k}:{v}" for k, v in protocols.items()),
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.proxied.plain.sasl.jaas.config": jaas(PASSWORD),
            "listener.name.locked.plain.sasl.jaas.config": jaas("another"),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "allow.everyone.if.no.acl.found": "true",
            # How often the coordinator looks for transactions that are too old: 10 s.
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
        }

    # ---- the relay's rights ----

    def restore_password(self):
        self.proxy.upstream_port = self.port + 2

    def withdraw_password(self):
        """What the relay has does no longer do; connections end when the test ends them."""
        self.proxy.upstream_port = self.port + 4

    def deny(self, kind, name, operation):
        """One operation; all others stay allowed."""
        bindings = [
            AclBinding(
                kind, name, ResourcePatternType.LITERAL, f"User:{USER}", "*", what, permission
            )
            for what, permission in (
                (operation, AclPermissionType.DENY),
                (AclOperation.ALL, AclPermissionType.ALLOW),
            )
        ]
        for future in self.cluster.admin.create_acls(bindings).values():
            future.result(ANSWER_LIMIT_S)

    def restore_rights(self):
        every = AclBindingFilter(
            ResourceType.ANY,
            None,
            ResourcePatternType.ANY,
            f"User:{USER}",
            None,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        for future in self.cluster.admin.delete_acls([every]).values():
            future.result(ANSWER_LIMIT_S)


class Stage:
    """One relay, its load and its watch."""

    def __init__(self, source, target, relays, seed):
        self.source, self.target = source, target
        self.relays = relays
        self.name = f"faults-{next(_numbers)}"
        self.topics = {f"{self.name}.plain": 3, f"{self.name}.transactions": 3}
        self.random = random.Random(seed)
        self._config = relays.write_config(self.make_config())
        plain, transactional = self.topics.items()
        self.load = Load(source.cluster, dict([plain]), dict([transactional]), seed)
        self.watch = None
        self.process = None

    def make_config(self, **sections):
        made = config(
            self.source.cluster,
            self.target.cluster,
            [{"include": [rf"{self.name}\..*"]}],
            self.name,
            **{
                "sync": {"topics": {"interval": "2s", "partitions": "no"}},
                "delivery": {"buffer_memory": f"{BUFFER_MIB}MiB", "on_record_error": "dead_letter"},
                "log": {"level": "debug"},
                **sections,
            },
        )
        made["source"].update(self.source.properties())
        made["target"].update(self.target.properties())
        made["target"]["session.timeout.ms"] = SESSION_MS
        return made

    def start(self):
        for topic, partitions in self.topics.items():
            self.source.cluster.create_topic(topic, partitions)
        self.process = self.start_relay()
        offsets = f"kafka-relay.{self.name}.offsets.0.internal"
        wanted = {offsets, *self.topics}
        self.process.wait_for(
            lambda: wanted <= self.target.cluster.topics(), START_LIMIT_S, "the target's topics"
        )
        self.watch = Watch(
            self.source.cluster.bootstrap,
            self.target.cluster.bootstrap,
            offsets,
            LANES,
            self.topics,
            self.load.aborted,
        )
        self.load.start()
        self.watch.start()
        self.wait_copied(1000)

    def close(self):
        if self.watch:
            self.load.stop()
            self.watch.close()
        for process in self.relays.processes:
            process.end()

    def finish(self):
        """The load ends; all of it arrives; the copy is exact."""
        self.load.stop()
        self.wait_progress(PROGRESS_LIMIT_S)
        assert self.process.terminate() == 0
        self.frozen_snapshot()
        assert self.watch.missing() == 0
        self.check()

    # ---- relays ----

    def start_relay(self, environment=None):
        """`environment` is added to the process's own."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (environment or {}).items():
                patch.setenv(name, value)
            return self.relays(self._config)

    @property
    def running(self):
        return [p for p in self.relays.processes if p.exit_code is None]

    def expel(self):
        expel_members(self.target.cluster, f"kafka-relay.{self.name}")

    def restart(self, environment=None):
        """A fresh process, where the one before is gone."""
        self.process = self.start_relay(environment)

    # ---- watching ----

    def ends(self):
        try:
            return wait_for(lambda: _or_none(self.watch.source_ends), START_LIMIT_S, "source ends")
        except TimeoutError:
            return self.watch.source_ends()  # says why

    def wait_progress(self, limit_s=START_LIMIT_S, ends=None):
        """Until positions and copies are where the source ends now; returns the seconds."""
        start = time.monotonic()
        ends = ends or self.ends()

        def has_passed():
            self.check()
            return not self.watch.behind(ends)

        try:
            wait_for(has_passed, limit_s, "progress")
        except TimeoutError:
            positions = {w: (p["next"], p.get("halted")) for w, p in self.watch.newest.items()}
            raise AssertionError(
                f"no progress within {limit_s} s: {self.watch.behind(ends)} are behind {ends}, "
                f"watch: {self.watch.snapshots} snapshots, {self.watch.trouble}; "
                f"positions {positions}"
            ) from None
        return time.monotonic() - start

    def wait_copied(self, more, limit_s=30):
        goal = self.watch.matched() + more
        wait_for(lambda: self.watch.matched() >= goal, limit_s, f"{more} more records copied")

    def frozen_snapshot(self):
        """While no relay runs, positions and copies fit to the record (I2)."""
        frozen = self.running
        for process in frozen:
            process.stop_signal()
        try:
            deadline = time.monotonic() + FROZEN_LIMIT_S / 2
            self._snapshot(strict=False)
            while self.watch.owes() and time.monotonic() < deadline:
                self._snapshot(strict=False)
            self._snapshot(strict=True)
        finally:
            for process in frozen:
                process.cont()
        self.check()

    def _snapshot(self, strict):
        def taken():
            try:
                self.watch.snapshot(strict)
            except NotNow:
                return False
            return True

        wait_for(taken, START_LIMIT_S, "a snapshot")

    def check(self):
        if self.load.error:
            raise self.load.error
        assert not self.watch.violations, "\n".join(self.watch.violations)

    def check_memory(self):
        """Whatever happened: the relay's memory stayed within its bound."""
        status = Path(f"/proc/{self.process.pid}/status")
        if self.process.exit_code is None and "asan" not in str(binary()):
            peak_kib = next(
                int(line.split()[1])
                for line in status.read_text().splitlines()
                if line.startswith("VmHWM")
            )
            assert peak_kib / 1024 < MEMORY_MIB, f"the relay took {peak_kib} KiB"

    def offsets(self, *arguments):
        """Runs `kafka-relay offsets` with the relay's config; its output."""
        return subprocess.run(
            [binary(), "offsets", self._config, *arguments],
            capture_output=True,
            check=True,
            text=True,
            timeout=PROGRESS_LIMIT_S,
        ).stdout

    def halted(self, topic):
        """{partition: reason} of a topic's positions"""
        return {
            p: value["halted"]["reason"]
            for (t, p), value in dict(self.watch.newest).items()
            if t == topic and value.get("halted")
        }

    def side_topic(self, name, partitions=1, target_config=None):
        """Another topic that the relay copies; not part of the load."""
        topic = f"{self.name}.{name}-{next(_numbers)}"
        if target_config:
            self.target.cluster.create_topic(topic, partitions, target_config)
        self.source.cluster.create_topic(topic, partitions)
        wait_for(
            lambda: sum(t == topic for t, _ in dict(self.watch.newest)) == partitions,
            PROGRESS_LIMIT_S,
            f"first positions of {topic}",
        )
        return topic


def _or_none(function):
    try:
        return function()
    except NotNow:
        return None
