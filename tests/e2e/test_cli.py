"""The command line, without a cluster: exit codes, and where a config is broken."""

import os
import re
import subprocess

import pytest

RELAY = os.environ.get("KAFKA_RELAY", "build/release/kafka-relay")
GOOD = """\
relay: r
source: {name: east, bootstrap.servers: 'a:1'}
target: {name: west, bootstrap.servers: 'b:1'}
topics:
  - include: ['a\\..*']
"""

# What is wrong, the line it stands in, and a word of the message.
BROKEN = {
    "not yaml": ("relay: [", 2, "not valid YAML"),
    "nothing": ("", 1, ""),
    "a list": ("- a\n", 1, ""),
    "no relay": (GOOD.replace("relay: r\n", ""), 1, "relay"),
    "no source": (GOOD.replace("source:", "sauce:"), 2, "sauce"),
    "no topics": (GOOD.replace("topics:", "topic:"), 4, "topics"),
    "a key twice": (GOOD + "relay: s\n", 6, "relay"),
    "an unknown key": (GOOD + "delivry: {}\n", 6, "delivery"),
    "a key of a rule": (GOOD + "    inclde: b\n", 6, "include"),
    "a broken regex": (GOOD.replace(r"a\..*", "a("), 5, ""),
    "a bad number": (GOOD + "delivery: {lanes: many}\n", 6, "lanes"),
    "a number too large": (GOOD + "delivery: {lanes: 1000}\n", 6, "lanes"),
    "a bad time": (GOOD + "delivery: {commit_interval: soon}\n", 6, "commit_interval"),
    "a bad size": (GOOD + "delivery: {buffer_memory: big}\n", 6, "buffer_memory"),
    "a bad choice": (GOOD + "delivery: {guarantee: maybe}\n", 6, "exactly_once"),
    "a bad start": (GOOD + "delivery: {start: someday}\n", 6, "start"),
    "a later feature": (GOOD + "http: {listen: '127.0.0.1:1'}\n", 6, "not supported"),
    "a later limit": (GOOD + "delivery: {max_records: 5}\n", 6, "not supported"),
    "an unset variable": (GOOD + "log: {level: '${NO_SUCH_VARIABLE}'}\n", 6, "NO_SUCH_VARIABLE"),
    "a missing file": (GOOD + "log: {level: '${file:missing}'}\n", 6, "missing"),
    "an unknown property": (GOOD.replace("'a:1'", "'a:1', no.such: 1"), 2, "no.such"),
    "a property of ours": (GOOD.replace("'b:1'", "'b:1', acks: 1"), 3, "acks"),
    "a bad property": (GOOD.replace("'b:1'", "'b:1', linger.ms: soon"), 3, "linger.ms"),
    "a bad rename": (GOOD + "    rename: '{2}'\n", 6, "rename"),
}


def run(*arguments):
    return subprocess.run(
        [RELAY, *arguments], capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_broken_config_is_refused_with_its_place(tmp_path, kind, command):
    text, line, word = BROKEN[kind]
    path = tmp_path / "relay.yaml"
    path.write_text(text)
    done = run(command, str(path))
    assert done.returncode == 78
    assert re.search(rf"^{re.escape(str(path))}:{line}:\d+: .*{re.escape(word)}", done.stderr, re.M)


def test_all_problems_are_told_at_once(tmp_path):
    path = tmp_path / "relay.yaml"
    path.write_text(GOOD + "delivery: {lanes: many, start: someday}\nlgo: {}\n")
    done = run("check", str(path))
    assert done.returncode == 78
    assert done.stderr.count(f"{path}:") == 3


def test_a_secret_is_in_no_message(tmp_path):
    (tmp_path / "secret").write_text("hunter2-hunter2")
    path = tmp_path / "relay.yaml"
    secret = "'b:1', sasl.password: '${file:secret}', linger.ms: '${file:secret}'"
    path.write_text(GOOD.replace("'b:1'", secret))
    done = run("check", str(path))
    assert done.returncode == 78
    assert "hunter2" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--help"], 0), (["--version"], 0), ([], 64), (["rnu"], 64), (["run"], 64)],
)
def test_usage_has_its_exit_codes(arguments, code):
    assert run(*arguments).returncode == code
