"""The relay under test as a process: started, watched, signalled, and gone in the end.

The fixture `relay` is a Relays; calling it starts a relay:

    process = relay(config(source, target, topics=[{"include": [topic]}]))
    process.wait_for(lambda: ..., 30, "all records copied")
    assert process.terminate() == 0
"""

import json
import os
import signal
import subprocess
from pathlib import Path

from kafka_local import ROOT, wait_for

RUN_LIMIT_S = 60
TERMINATE_LIMIT_S = 15  # the relay promises 10 s
TAIL_BYTES = 8_000


def binary():
    path = Path(os.environ.get("KAFKA_RELAY", ROOT / "build" / "release" / "kafka-relay"))
    if not os.access(path, os.X_OK):
        raise FileNotFoundError(f"{path}: build it, or set KAFKA_RELAY to the program to test")
    return path.resolve()


def config(source, target, topics, name="test", **sections):
    """The smallest configuration for these clusters; `sections` are added as they are."""
    return {
        "relay": name,
        "source": {"name": "source", "bootstrap.servers": source.bootstrap},
        "target": {"name": "target", "bootstrap.servers": target.bootstrap},
        "topics": topics,
        **sections,
    }


class RelayProcess:
    """One running (or ended) relay. stdout and stderr each go to a file."""

    def __init__(self, arguments, stem):
        self._out = stem.with_suffix(".out")
        self._log = stem.with_suffix(".log")
        self._sent = set()  # signals
        with self._out.open("wb") as out, self._log.open("wb") as log:
            # A session of its own: a Ctrl-C is for pytest, which then ends the relay.
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self):
        return self._process.pid

    @property
    def log(self):
        return self._log.read_text(errors="replace")

    @property
    def out(self):
        return self._out.read_text(errors="replace")

    @property
    def exit_code(self):
        """None while it runs, -N when signal N ended it"""
        return self._process.poll()

    @property
    def crashed(self):
        """A signal ended it that the test did not send, such as a failed assertion's."""
        return (self.exit_code or 0) < 0 and -self.exit_code not in self._sent

    def wait_for(self, predicate, limit_s, what):
        """Polls until predicate() is true; fails at once when the relay ends before."""

        def true_or_ended():
            ended = self.exit_code is not None  # asked first: it may do its work and end
            value = predicate()
            if value or not ended:
                return value
            raise AssertionError(f"{what}: the relay exited with {self.exit_code} before")

        return wait_for(true_or_ended, limit_s, what)

    def wait_for_log(self, text, limit_s=RUN_LIMIT_S):
        self.wait_for(lambda: text in self.log, limit_s, f"{text!r} in the log")

    def wait_exit(self, limit_s=RUN_LIMIT_S):
        return self._process.wait(limit_s)

    def terminate(self, limit_s=TERMINATE_LIMIT_S):
        """SIGTERM; returns the exit code, 0 by contract."""
        self.send_signal(signal.SIGTERM)
        return self.wait_exit(limit_s)

    def kill(self):
        self.send_signal(signal.SIGKILL)
        self.wait_exit(TERMINATE_LIMIT_S)

    def send_signal(self, number):
        self._sent.add(number)
        self._process.send_signal(number)

    def stop_signal(self):
        self.send_signal(signal.SIGSTOP)

    def cont(self):
        self.send_signal(signal.SIGCONT)

    def end(self):
        """Whatever its state, it is gone afterwards; first politely, for leak checkers."""
        if self.exit_code is not None:
            return
        self.cont()
        try:
            self.terminate()
        except subprocess.TimeoutExpired:
            self.kill()

    def tail(self):
        """For reports: what it is, how it ended, and the ends of its output."""
        state = "running" if self.exit_code is None else f"exit code {self.exit_code}"
        command = " ".join(map(str, self._process.args))
        return f"{command}\n[{state}]\n{self.out[-TAIL_BYTES:]}{self.log[-TAIL_BYTES:]}"


class Relays:
    """Starts relays for one test, and ends them all."""

    def __init__(self, folder):
        self._folder = folder
        self._configs = 0
        self.processes = []

    def write_config(self, content):
        """A dict becomes JSON, which is YAML too; text is taken as it is."""
        if not isinstance(content, str):
            content = json.dumps(content, indent=2, ensure_ascii=False)
        path = self._folder / f"relay-{self._configs}.yaml"
        self._configs += 1
        path.write_text(content)
        return path

    def __call__(self, content, *options, command="run"):
        """Starts `kafka-relay COMMAND CONFIG OPTION...`; content is dict, text or Path."""
        path = content if isinstance(content, Path) else self.write_config(content)
        arguments = [binary(), command, path, *options]
        process = RelayProcess(arguments, self._folder / f"process-{len(self.processes)}")
        self.processes.append(process)
        return process

    def finish(self, content, *options, command="run", limit_s=RUN_LIMIT_S):
        """The same for a command that ends by itself; its exit_code, out and log are set."""
        process = self(content, *options, command=command)
        process.wait_exit(limit_s)
        return process

    def until_end(self, content, limit_s=RUN_LIMIT_S):
        """One pass over what the source holds now, expected to succeed."""
        process = self.finish(content, "--until-end", limit_s=limit_s)
        assert process.exit_code == 0, "run --until-end failed"
        return process

    def end_all(self):
        for process in self.processes:
            process.end()
        crashed = [process.tail() for process in self.processes if process.crashed]
        assert not crashed, "a signal ended the relay:\n" + "\n".join(crashed)

    def report(self):
        return "\n\n".join(process.tail() for process in self.processes)
