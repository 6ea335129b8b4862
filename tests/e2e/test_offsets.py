"""`kafka-relay offsets`: positions shown, moved, exported and restored, lanes rescaled."""

import json
import random
import subprocess
import time

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from kafka_local import ANSWER_LIMIT_S, Record
from mirror import Load, assert_mirrored, caught_up, wait_until_decided
from relay_process import binary, config
from relay_state import State, lane_of

REFUSED = 65
USAGE = 64
PARTITIONS = 8
AGAIN_S = 5  # a lane that a command has taken runs again
WHY = "because the test wants it"

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def state(target, topic):
    with State(target, topic) as found:
        yield found


@pytest.fixture
def content(source, target, topic):
    return config(
        source,
        target,
        [{"include": [topic]}],
        topic,
        sync={"topics": {"interval": "1s"}},
    )


def records(count, partition=0, start=0):
    return [
        Record(partition, b"k%d" % i, b"v%d" % i, timestamp_ms=1_446_143_678_000 + i)
        for i in range(start, start + count)
    ]


def on_all(partitions, count, start=0):
    return [r for p in range(partitions) for r in records(count, p, start)]


def offsets(relay, content, *arguments, code=0):
    process = relay.finish(content, *map(str, arguments), command="offsets")
    assert process.exit_code == code, process.tail()
    return process


def shown(relay, content, *arguments):
    return json.loads(offsets(relay, content, "show", "-o", "json", *arguments).out)


def set_to(relay, content, topic, *arguments, code=0):
    return offsets(relay, content, "set", "--topic", topic, "--reason", WHY, *arguments, code=code)


def values(cluster, topic):
    """{partition: [value, ...]}"""
    wait_until_decided(cluster, topic)
    return {p: [r.value for r in found] for p, found in cluster.read_all(topic).items()}


def nonces(state, lane):
    state.refresh()
    return list(dict.fromkeys(c["nonce"] for c in state.claims(lane)))


def alter(cluster, topic, name, value):
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for future in cluster.admin.incremental_alter_configs([resource]).values():
        future.result(ANSWER_LIMIT_S)


def running(source, state, topic, process):
    process.wait_for(caught_up(source, state, topic), 30, "all copied")


def wait_taken_again(state, process, lane, limit_s=AGAIN_S):
    """The newest claim of the lane is the process's own"""

    def is_taken():
        state.refresh()
        return state.claims(lane)[-1]["pid"] == process.pid

    process.wait_for(is_taken, limit_s, f"lane {lane} taken again")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["offsets", "--help"], 0, "rescale"),
        (["offsets"], USAGE, "missing"),
        (["offsets", "relay.yaml"], USAGE, "missing"),
        (["offsets", "relay.yaml", "shwo"], USAGE, "there are: show set export import rescale"),
        (["offsets", "relay.yaml", "set", "--help"], 0, "--resume"),
        (["offsets", "relay.yaml", "show", "more"], USAGE, "one argument too many"),
        (["offsets", "relay.yaml", "show", "-o", "xml"], USAGE, "table or json"),
        (["offsets", "relay.yaml", "import", "--reason", "x"], USAGE, "FILE is missing"),
        (["offsets", "relay.yaml", "import", "none", "--reason", "x"], USAGE, "none"),
        (["offsets", "relay.yaml", "set", "--tpoic", "x"], USAGE, "did you mean --topic"),
        (["offsets", "/none.yaml", "show"], 78, "none.yaml"),
        (["help", "offsets"], 0, "rescale"),
        (["--help"], 0, "offsets"),
    ],
)
def test_the_command_line_tells_what_is_wrong(arguments, code, said):
    done = subprocess.run([binary(), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert said in done.stdout + done.stderr


# ---- show ----


@pytest.mark.sanitizers
def test_show_tells_positions_and_owners_and_lag(source, target, topic, relay, state, content):
    source.create_topic(topic, 3)
    source.produce(topic, on_all(3, 5))
    process = relay(content)
    running(source, state, topic, process)
    found = shown(relay, content)
    assert (found["version"], found["relay"], found["generation"]) == (1, topic, 0)
    assert [lane["lane"] for lane in found["lanes"]] == [0, 1, 2, 3]
    assert {lane["owner"]["pid"] for lane in found["lanes"]} == {process.pid}
    assert not any(lane["owner"]["released"] for lane in found["lanes"])
    for partition, position in enumerate(found["positions"]):
        assert position["topic"] == position["target"] == topic
        assert position["partition"] == partition
        assert position["lane"] == lane_of(topic, partition, 4)
        assert (position["next"], position["log_start"], position["log_end"]) == (5, 0, 5)
        assert (position["lag"], position["epoch"], position["state"]) == (0, 0, "ok")
        assert (position["halted"], position["lost"], position["moved"]) == (None, [], None)
    table = offsets(relay, content, "show").out
    assert table.count(f"{topic}  ") == 3
    assert shown(relay, content, "--topic", "another")["positions"] == []
    assert process.terminate() == 0
    assert "taken again" not in process.log


def test_show_needs_the_target_only(source, target, topic, relay, content):
    source.create_topic(topic)
    source.produce(topic, records(5))
    relay.until_end(content)
    content["source"]["bootstrap.servers"] = "127.0.0.1:1"
    (position,) = shown(relay, content)["positions"]
    assert position["next"] == 5
    assert (position["log_start"], position["log_end"], position["lag"]) == (None, None, None)
    assert "lag is not known" in offsets(relay, content, "show").log


def test_a_relay_that_never_ran_has_nothing_to_show(topic, relay, content):
    assert "import" in offsets(relay, content, "show", code=REFUSED).log


# ---- set ----


def test_a_running_lane_goes_on_at_the_position_that_was_set(
    source, target, topic, relay, state, content
):
    source.create_topic(topic, PARTITIONS)
    partition, lane = 3, lane_of(topic, 3, 4)
    with Load(source, topic, PARTITIONS):
        process = relay(content)
        process.wait_for(
            lambda: len(p := state.next_offsets(topic)) == PARTITIONS and min(p.values()) > 500,
            30,
            "some of all partitions",
        )
        before = {k: nonces(state, k) for k in range(4)}
        done = set_to(relay, content, topic, "--partition", partition, "--to", 100)
        wait_taken_again(state, process, lane)
    running(source, state, topic, process)
    for k in range(4):
        assert nonces(state, k)[: len(before[k])] == before[k]
        if k != lane:
            assert nonces(state, k) == before[k], "another lane was disturbed"
    assert f"taken again after `offsets set` by" in process.log
    position = state.positions()[topic, partition]
    assert position["epoch"] == 1
    assert position["moved"]["reason"] == WHY
    assert position["moved"]["from"] > 500
    assert "lost" not in position
    assert str(position["moved"]["from"]) in done.out
    assert process.terminate() == 0

    original, copy = values(source, topic), values(target, topic)
    kept = len(copy[partition]) - len(original[partition]) + 100
    assert kept >= position["moved"]["from"]
    assert copy.pop(partition) == original[partition][:kept] + original.pop(partition)[100:]
    assert copy == original


def test_an_idle_lane_notices_that_it_was_moved(source, target, topic, relay, state, content):
    source.create_topic(topic, 2)
    source.produce(topic, on_all(2, 10))
    process = relay(content)
    running(source, state, topic, process)
    set_to(relay, content, topic, "--to", 5)
    process.wait_for(
        lambda: state.next_offsets(topic) == {0: 10, 1: 10}, AGAIN_S, "copied again"
    )
    for lane in {lane_of(topic, p, 4) for p in (0, 1)}:
        wait_taken_again(state, process, lane)
        assert state.claims(lane)[-2].items() >= {"released": True, "command": "offsets set"}.items()
    assert process.terminate() == 0
    assert values(target, topic) == {
        p: [b"v%d" % i for i in [*range(10), *range(5, 10)]] for p in (0, 1)
    }


@pytest.mark.parametrize(
    ("place", "begins"),
    [
        (["--restart"], 0),
        (["--to", "latest"], 20),
        (["--to", "7"], 7),
        (["--to", "2015-10-29T18:34:38.012Z"], 12),
        (["--to", "2015-10-29T18:34:38.004Z", "--again"], 4),
        (["--resume", "--partition", "0"], 10),
    ],
)
def test_every_place_is_understood(source, target, topic, relay, state, content, place, begins):
    source.create_topic(topic)
    source.produce(topic, records(10))
    relay.until_end(content)
    source.produce(topic, records(10, start=10))
    state.refresh()
    before = state.owners()
    dry = set_to(relay, content, topic, *place, "--dry-run")
    assert "would be set" in dry.out
    assert state.owners() == before, "a dry run changes nothing"
    done = set_to(relay, content, topic, *place)
    assert state.next_offsets(topic) == {0: begins}
    position = state.positions()[topic, 0]
    assert position["moved"].items() >= {"from": 10, "reason": WHY}.items()
    if begins > 10:
        ((first, last, reason, _),) = position["lost"]
        assert (first, last, reason) == (10, begins - 1, "moved")
        assert f"lost: 10 to {begins - 1}" in done.out
    else:
        assert "lost" not in position
        assert (f"again: {begins} to 9" in done.out) == (begins < 10)
    relay.until_end(content)
    assert values(target, topic)[0] == [b"v%d" % i for i in [*range(10), *range(begins, 20)]]


def test_skipping_to_the_end_of_a_running_topic_copies_nothing_twice(
    source, target, topic, relay, state, content
):
    source.create_topic(topic, 4)
    with Load(source, topic, 4, rate=3000) as load:
        process = relay(content)
        process.wait_for(
            lambda: len(p := state.next_offsets(topic)) == 4 and min(p.values()) > 300, 30, "some"
        )
        for place in ("latest", "-0s"):
            set_to(relay, content, topic, "--to", place)
            load.wait_produced(1000)
    running(source, state, topic, process)
    assert process.terminate() == 0
    original, copy = values(source, topic), values(target, topic)
    for partition, found in copy.items():
        lost = set()
        for first, last, *_ in state.positions()[topic, partition].get("lost", []):
            lost.update(range(first, last + 1))
        kept = [v for offset, v in enumerate(original[partition]) if offset not in lost]
        assert found == kept


def test_a_time_before_the_position_goes_back_only_when_asked(
    source, target, topic, relay, state, content
):
    source.create_topic(topic)
    source.produce(topic, records(10))
    relay.until_end(content)
    state.refresh()
    before = state.owners()
    done = set_to(relay, content, topic, "--to", "2015-10-29T18:34:38.004Z")
    assert "as it is" in done.out
    state.refresh()
    assert state.owners() == before, "there was nothing to change"


def test_resuming_a_topic_leaves_alone_what_runs(source, target, topic, relay, state, content):
    source.create_topic(topic, 4)
    source.produce(topic, on_all(4, 10))
    relay.until_end(content)
    source.produce(topic, records(10, 1, start=10))
    future = source.admin.delete_records([TopicPartition(topic, 1, 15)])
    next(iter(future.values())).result(ANSWER_LIMIT_S)
    with Load(source, f"{topic}", 1, rate=1000) as load:
        process = relay(content)
        halted(process, "gap")
        process.wait_for(lambda: is_halted(state, topic, 1), 10, "it is written")
        load.wait_produced(1000)
        before = {k: nonces(state, k) for k in range(4)}
        done = set_to(relay, content, topic, "--resume")
        assert done.out.count("as it is") == 3
        load.wait_produced(1000)
        assert set_to(relay, content, topic, "--resume").out.count("as it is") == 4
    running(source, state, topic, process)
    for k in set(range(4)) - {lane_of(topic, 1, 4)}:
        assert nonces(state, k) == before[k], "another lane was disturbed"
    assert [state.positions()[topic, p]["epoch"] for p in range(4)] == [0, 1, 0, 0]
    assert process.terminate() == 0
    original, copy = values(source, topic), values(target, topic)
    assert copy.pop(1) == [b"v%d" % i for i in [*range(10), *range(15, 20)]]
    del original[1]
    assert copy == original


@pytest.mark.parametrize("moved", [["--to", "5"], ["--resume", "--partition", "0"]])
def test_a_set_does_not_forget_which_log_it_was(
    source, target, topic, relay, state, content, moved
):
    source.create_topic(topic)
    source.produce(topic, records(10))
    relay.until_end(content)
    set_to(relay, content, topic, *moved)
    source.delete_topic(topic)
    source.create_topic(topic)
    source.produce(topic, records(15, start=100))
    process = relay.finish(content, "--until-end")
    assert process.exit_code == 1
    assert "halted (source_changed_log)" in process.log
    assert "--restart" in set_to(relay, content, topic, "--resume", code=USAGE).log
    set_to(relay, content, topic, "--to", 5)
    state.refresh()
    first, last, *_ = state.positions()[topic, 0]["lost"][-1]
    assert (first, last) == (0, 4), "nothing of the new log was read"


def test_what_is_copied_after_all_is_not_lost(source, target, topic, relay, state, content):
    source.create_topic(topic)
    source.produce(topic, records(20))
    relay.until_end(content)
    source.produce(topic, records(10, start=20))
    set_to(relay, content, topic, "--to", "latest")
    set_to(relay, content, topic, "--to", 25)
    state.refresh()
    ((first, last, reason, _),) = state.positions()[topic, 0]["lost"]
    assert (first, last, reason) == (20, 24, "moved")
    set_to(relay, content, topic, "--to", 20)
    state.refresh()
    assert "lost" not in state.positions()[topic, 0]


def test_what_can_not_be_set_is_refused_and_nobody_fenced(
    source, target, topic, relay, state, content
):
    source.create_topic(topic)
    source.produce(topic, records(10))
    relay.until_end(content)
    state.refresh()
    before = state.owners()
    for arguments, said in (
        (["--to", "11"], "0 to 10"),
        (["--to", "11", "--partition", "0"], "0 to 10"),
        (["--to", "1", "--partition", "1"], "partitions 0 to 0"),
        (["--to", "soon"], "-2h"),
        (["--to", "-5"], "-2h"),
        ([], "--to"),
        (["--to", "1", "--resume"], "one of"),
        (["--to", "1", "--partition", "x"], "--partition"),
    ):
        assert said in set_to(relay, content, topic, *arguments, code=USAGE).log
    state.refresh()
    assert state.owners() == before


def test_topics_that_are_not_there_or_match_no_rule_are_refused(
    source, target, topic, relay, content
):
    for name in (topic, f"{topic}-other", f"{topic}.excluded"):
        source.create_topic(name)
    content["topics"] = [{"include": [f"{topic}(-new|.excluded)?"], "exclude": [r".*\.excluded"]}]
    relay.until_end(content)
    assert "no topic" in set_to(relay, content, f"{topic}-new", "--to", 0, code=USAGE).log
    assert "no rule" in set_to(relay, content, f"{topic}-other", "--to", 0, code=USAGE).log
    assert "exclude" in set_to(relay, content, f"{topic}.excluded", "--to", 0, code=USAGE).log
    for reason in ([], ["--reason", ""], ["--reason", "x" * 128]):
        arguments = ["set", "--topic", topic, "--to", 0, *reason]
        assert "--reason" in offsets(relay, content, *arguments, code=USAGE).log


def test_another_number_of_lanes_or_another_source_fences_nobody(
    source, target, topic, relay, state, content
):
    source.create_topic(topic)
    relay.until_end(content)
    state.refresh()
    before = state.owners()
    other = {**content, "delivery": {"lanes": 3}}
    process = set_to(relay, other, topic, "--to", 0, code=REFUSED)
    assert "delivery.lanes: 4" in process.log
    assert "rescale --lanes 3" in process.log
    other = {**content, "source": {**content["target"], "name": "source"}}
    other["topics"] = [{"include": [topic], "rename": "copy.{topic}"}]
    set_to(relay, other, topic, "--to", 0, code=REFUSED)
    state.refresh()
    assert state.owners() == before


# ---- set clears halts, in a running relay ----


def halted(process, reason, count=1, limit_s=60):
    process.wait_for(
        lambda: process.log.count(f"halted ({reason})") >= count, limit_s, f"halted ({reason})"
    )


def is_halted(state, topic, partition=0):
    state.refresh()
    return "halted" in state.positions()[topic, partition]


def wait_cleared(source, state, topic, process, limit_s=15):
    process.wait_for(caught_up(source, state, topic), limit_s, "copied after the halt")
    assert not any("halted" in p for (t, _), p in state.positions().items() if t == topic)


@pytest.mark.sanitizers
def test_set_clears_a_gap(source, target, topic, relay, state, content):
    source.create_topic(topic)
    source.produce(topic, records(10))
    relay.until_end(content)
    source.produce(topic, records(10, start=10))
    future = source.admin.delete_records([TopicPartition(topic, 0, 15)])
    next(iter(future.values())).result(ANSWER_LIMIT_S)
    process = relay(content)
    halted(process, "gap")
    process.wait_for(lambda: is_halted(state, topic), 10, "it is written")
    (position,) = shown(relay, content)["positions"]
    assert position["state"] == "halted"
    assert position["halted"]["reason"] == "gap"
    assert "10 to 14" in position["halted"]["detail"]
    done = set_to(relay, content, topic, "--resume")
    assert "gap" in done.out
    wait_cleared(source, state, topic, process)
    ((first, last, reason, _),) = state.positions()[topic, 0]["lost"]
    assert (first, last, reason) == (10, 14, "moved")
    assert process.terminate() == 0
    assert values(target, topic)[0] == [b"v%d" % i for i in [*range(10), *range(15, 20)]]


def test_set_clears_a_source_that_was_made_anew(source, target, topic, relay, state, content):
    source.create_topic(topic)
    source.produce(topic, records(10))
    relay.until_end(content)
    source.delete_topic(topic)
    source.create_topic(topic)
    source.produce(topic, records(15, start=100))
    process = relay(content)
    halted(process, "source_changed_log")
    process.wait_for(lambda: is_halted(state, topic), 10, "it is written")
    set_to(relay, content, topic, "--restart")
    wait_cleared(source, state, topic, process)
    assert state.positions()[topic, 0]["epoch"] == 1
    assert process.terminate() == 0
    expected = [*range(10), *range(100, 115)]
    assert values(target, topic)[0] == [b"v%d" % i for i in expected]


def test_set_clears_a_target_that_was_deleted(source, target, topic, relay, state, content):
    source.create_topic(topic)
    source.produce(topic, records(10))
    relay.until_end(content)
    target.delete_topic(topic)
    process = relay(content)
    halted(process, "target_changed_log")
    process.wait_for(lambda: is_halted(state, topic), 10, "it is written")
    source.produce(topic, records(3, start=10))
    set_to(relay, content, topic, "--restart")
    wait_cleared(source, state, topic, process)
    assert process.terminate() == 0
    assert_mirrored(source, target, topic)


def test_set_clears_a_changed_target(source, target, topic, relay, state, content):
    source.create_topic(topic)
    source.produce(topic, records(10))
    relay.until_end(content)
    content["topics"] = [{"include": [topic], "rename": "{topic}.copy"}]
    process = relay(content)
    halted(process, "target_changed")
    process.wait_for(lambda: is_halted(state, topic), 10, "it is written")
    source.produce(topic, records(3, start=10))
    set_to(relay, content, topic, "--resume")
    wait_cleared(source, state, topic, process)
    assert state.positions()[topic, 0]["target"]["topic"] == f"{topic}.copy"
    assert process.terminate() == 0
    assert values(target, f"{topic}.copy")[0] == [b"v10", b"v11", b"v12"]


def test_set_clears_a_target_that_is_not_empty(source, target, topic, relay, state, content):
    other = f"{topic}-before"
    source.create_topic(other)
    content["topics"] = [{"include": [f"{topic}(-before)?"]}]
    relay.until_end(content)
    for cluster in (source, target):
        cluster.create_topic(topic)
    target.produce(topic, [Record(0, b"k", b"foreign")])
    source.produce(topic, records(5))
    process = relay(content)
    halted(process, "target_not_empty")
    assert "no position" in set_to(relay, content, topic, "--resume", code=USAGE).log
    set_to(relay, content, topic, "--to", 2)
    wait_cleared(source, state, topic, process)
    assert "from" not in state.positions()[topic, 0]["moved"]
    assert process.terminate() == 0
    assert values(target, topic)[0] == [b"foreign", b"v2", b"v3", b"v4"]


@pytest.mark.parametrize("allowed", [False, True])
def test_set_clears_a_record_that_was_refused(
    source, target, topic, relay, state, content, allowed
):
    """Past it, or to try it again once the target takes it"""
    source.create_topic(topic)
    target.create_topic(topic, 1, {"max.message.bytes": "2000"})
    big = Record(0, b"k", random.Random(1).randbytes(5_000))
    source.produce(topic, [*records(3), big, *records(2, start=3)])
    process = relay(content)
    halted(process, "record_refused")
    process.wait_for(lambda: is_halted(state, topic), 10, "it is written")
    if allowed:
        alter(target, topic, "max.message.bytes", "100000")
        set_to(relay, content, topic, "--resume")
    else:
        set_to(relay, content, topic, "--to", 4)
    wait_cleared(source, state, topic, process, limit_s=45)
    assert process.terminate() == 0
    original = values(source, topic)[0]
    assert values(target, topic)[0] == (original if allowed else original[:3] + original[4:])


# ---- a command that dies ----


def test_a_command_killed_at_any_moment_leaves_an_exact_copy(
    source, target, topic, relay, state, content
):
    """`set --resume` moves nothing, so that the copy stays exact whether it came through."""
    source.create_topic(topic, PARTITIONS)
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    moments = random.Random(seed)
    with Load(source, topic, PARTITIONS, rate=1000):
        process = relay(content)
        process.wait_for(lambda: len(state.next_offsets(topic)) == PARTITIONS, 30, "running")
        for _ in range(6):
            command = relay(
                content, "set", "--topic", topic, "--resume", "--reason", WHY, command="offsets"
            )
            try:
                command.wait_exit(moments.uniform(0.05, 1.5))
            except subprocess.TimeoutExpired:
                command.kill()
    process.wait_for(caught_up(source, state, topic), 100, "all copied")
    assert process.terminate() == 0
    assert_mirrored(source, target, topic)


# ---- export and import ----


def exported(relay, content, path):
    path.write_text(offsets(relay, content, "export").out)
    return json.loads(path.read_text())


def test_an_export_holds_every_position_as_it_is(
    source, target, topic, relay, state, content, tmp_path
):
    source.create_topic(topic, 3)
    source.produce(topic, on_all(3, 5))
    relay.until_end(content)
    found = exported(relay, content, tmp_path / "export.json")
    state.refresh()
    identity = next(value for _, key, value in state.history if "identity" in key)
    assert found["version"] == 1
    assert (found["name"], found["generation"], found["lanes"]) == (topic, 0, 4)
    assert (found["relay"], found["source"]) == (identity["relay"], identity["source"])
    assert found["rules"] == state.claims(0)[-1]["rules"]
    assert [item["key"] for item in found["positions"]] == [
        {"topic": topic, "partition": p} for p in range(3)
    ]
    for item in found["positions"]:
        assert item["value"] == state.positions()[topic, item["key"]["partition"]]


@pytest.mark.sanitizers
@pytest.mark.parametrize("gone", ["both", "offsets"])
def test_positions_that_were_exported_replace_lost_ones(
    source, target, topic, relay, state, content, tmp_path, gone
):
    content["delivery"] = {"commit_interval": "10ms", "start": "latest"}
    source.create_topic(topic, 3)
    source.produce(topic, on_all(3, 5))  # before the start: stays behind
    process = relay(content)
    running(source, state, topic, process)
    with Load(source, topic, 3, rate=600):
        process.wait_for(
            lambda: state.refresh() and any(p["map"] for p in state.positions().values()),
            60,
            "chunks in the map",
        )
    running(source, state, topic, process)
    assert process.terminate() == 0
    before = exported(relay, content, tmp_path / "export.json")
    state.close()
    for name in [state.offsets_topic, *([state.map_topic] if gone == "both" else [])]:
        target.delete_topic(name)
    refused = relay.finish(content)
    assert refused.exit_code == REFUSED
    assert "import FILE" in refused.log
    done = offsets(relay, content, "import", tmp_path / "export.json", "--reason", WHY)
    assert "made anew" in done.out
    with State(target, topic) as state:
        state.refresh()
        for item in before["positions"]:
            position = dict(state.positions()[topic, item["key"]["partition"]])
            assert position.pop("moved")["reason"] == WHY
            expected = dict(item["value"])
            if gone == "both":
                expected["map"] = []
            for value in (position, expected):
                value.pop("claim")
            assert position == expected
        assert {c["rules"] for k in range(4) for c in state.claims(k)} == {before["rules"]}
        source.produce(topic, on_all(3, 10, start=5))
        relay.until_end(content)
    original = {p: found[5:] for p, found in source.read_all(topic).items()}
    wait_until_decided(target, topic)
    assert target.read_all(topic) == original


def test_positions_older_than_the_copies_are_refused(
    source, target, topic, relay, state, content, tmp_path
):
    source.create_topic(topic, 2)
    source.produce(topic, on_all(2, 5))
    relay.until_end(content)
    path = tmp_path / "export.json"
    exported(relay, content, path)
    source.produce(topic, records(5, 1, start=5))
    relay.until_end(content)
    for name in (state.offsets_topic, state.map_topic):
        target.delete_topic(name)
    refused = offsets(relay, content, "import", path, "--reason", WHY, code=REFUSED)
    assert "too old" in refused.log
    assert f"{topic}[1]" in refused.log
    assert state.offsets_topic not in target.topics()
    forced = offsets(relay, content, "import", path, "--reason", WHY, "--force")
    assert "copied again" in forced.log
    relay.until_end(content)
    assert [len(found) for found in values(target, topic).values()] == [5, 15]


def test_nothing_copied_yet_is_no_reason_to_copy_twice(
    source, target, topic, relay, state, content, tmp_path
):
    source.create_topic(topic)
    relay.until_end(content)
    path = tmp_path / "export.json"
    exported(relay, content, path)
    source.produce(topic, records(5))
    relay.until_end(content)
    target.delete_topic(state.offsets_topic)
    assert "too old" in offsets(relay, content, "import", path, "--reason", WHY, code=REFUSED).log


def test_what_was_set_beside_foreign_records_can_be_restored(
    source, target, topic, relay, state, content, tmp_path
):
    other = f"{topic}-before"
    source.create_topic(other)
    content["topics"] = [{"include": [f"{topic}(-before)?"]}]
    relay.until_end(content)
    for cluster in (source, target):
        cluster.create_topic(topic)
        cluster.produce(topic, records(1))
    set_to(relay, content, topic, "--to", "latest")  # there was no position
    path = tmp_path / "export.json"
    exported(relay, content, path)
    target.delete_topic(state.offsets_topic)
    offsets(relay, content, "import", path, "--reason", WHY)
    source.produce(topic, records(2, start=1))
    relay.until_end(content)
    assert_mirrored(source, target, topic)


def test_an_import_into_lanes_that_are_there_needs_force_for_what_differs(
    source, target, topic, relay, state, content, tmp_path
):
    source.create_topic(topic, 2)
    source.produce(topic, on_all(2, 5))
    relay.until_end(content)
    path = tmp_path / "export.json"
    exported(relay, content, path)
    state.refresh()
    owners = state.owners()
    same = offsets(relay, content, "import", path, "--reason", WHY)
    assert same.out.count("the same") == 2
    assert state.owners() == owners, "there was nothing to change"

    set_to(relay, content, topic, "--partition", 0, "--to", 3)
    state.refresh()
    owners = state.owners()
    refused = offsets(relay, content, "import", path, "--reason", WHY, code=REFUSED)
    assert "--force" in refused.log
    assert state.owners() == owners
    done = offsets(relay, content, "import", path, "--reason", WHY, "--force")
    assert done.out.count("replaced") == 1
    state.refresh()
    position = state.positions()[topic, 0]
    assert (position["next"], position["epoch"], position["tail"]) == (5, 2, [])
    assert position["moved"]["from"] == 3
    relay.until_end(content)
    assert_mirrored(source, target, topic)


def test_an_import_that_replaces_knows_what_was_lost_since(
    source, target, topic, relay, state, content, tmp_path
):
    source.create_topic(topic)
    source.produce(topic, records(30))
    relay.until_end(content)
    path = tmp_path / "export.json"
    exported(relay, content, path)
    set_to(relay, content, topic, "--to", 10)
    set_to(relay, content, topic, "--to", 15)
    offsets(relay, content, "import", path, "--reason", WHY, "--force")
    state.refresh()
    ((first, last, *_),) = state.positions()[topic, 0]["lost"]
    assert (first, last) == (10, 29)


def test_an_export_of_a_lane_that_was_emptied_is_refused(
    source, target, topic, relay, state, content
):
    source.create_topic(topic, 4)
    relay.until_end(content)
    alter(target, state.offsets_topic, "cleanup.policy", "compact,delete")
    end = target.end_offsets(state.offsets_topic)[2]
    future = target.admin.delete_records([TopicPartition(state.offsets_topic, 2, end)])
    next(iter(future.values())).result(ANSWER_LIMIT_S)
    refused = offsets(relay, content, "export", code=REFUSED)
    assert (refused.out, "no identity" in refused.log) == ("", True)


def test_results_that_nobody_gets_are_an_error(source, topic, relay, content):
    source.create_topic(topic)
    relay.until_end(content)
    path = relay.write_config(content)
    for output in ("table", "json"):
        with open("/dev/full", "wb") as full:
            command = [binary(), "offsets", path, "show", "-o", output]
            assert subprocess.run(command, stdout=full, check=False).returncode == 1


BAD_EXPORTS = [
    (lambda x: x.update(version=2), "newer"),
    (lambda x: x.update(name="another"), "another"),
    (lambda x: x.update(source="another"), "another"),
    (lambda x: x.update(relay="0" * 36), "field"),
    (lambda x: x.update(relay="11111111-1111-4111-8111-111111111111"), "same name"),
    (lambda x: x.pop("positions"), "positions"),
    (lambda x: x["positions"].append(x["positions"][0]), "two positions"),
    (lambda x: x["positions"][0]["value"].update(v=2), "newer"),
    (lambda x: x["positions"][0]["value"].update(next=-1), "field"),
    (lambda x: x["positions"][0]["value"].update(epoch=2**63 - 1), "field"),
    (lambda x: x["positions"][0]["value"].update(epoch=2**60), "epoch"),
    (lambda x: x["positions"][0]["value"]["target"].update(topic=""), "name"),
    (lambda x: x["positions"][0].pop("value"), "value"),
    (lambda x: x["positions"][0]["key"].update(topic="a b"), "key"),
    (lambda x: x["positions"][0]["key"].update(partition=1 << 40), "key"),
]


def test_a_file_that_is_no_good_export_is_refused(
    source, target, topic, relay, state, content, tmp_path
):
    source.create_topic(topic)
    source.produce(topic, records(5))
    relay.until_end(content)
    path = tmp_path / "export.json"
    found = exported(relay, content, path)
    state.refresh()
    before = state.owners()
    for change, said in BAD_EXPORTS:
        bad = json.loads(json.dumps(found))
        change(bad)
        path.write_text(json.dumps(bad))
        assert said in offsets(relay, content, "import", path, "--reason", WHY, code=REFUSED).log
    state.refresh()
    assert state.owners() == before


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", "\0", '{"version":1}', "[" * 100_000])
def test_a_file_that_is_something_else_is_refused(relay, content, tmp_path, text):
    path = tmp_path / "export.json"
    path.write_text(text)
    offsets(relay, content, "import", path, "--reason", WHY, code=REFUSED)
    offsets(relay, content, "import", tmp_path / "none", "--reason", WHY, code=USAGE)


# ---- rescale ----


def with_lanes(content, lanes):
    return {**content, "delivery": {**content.get("delivery", {}), "lanes": lanes}}


def rescale(relay, content, lanes, *arguments, code=0):
    return offsets(relay, content, "rescale", "--lanes", lanes, *arguments, code=code)


def assert_one_generation_in_use(target, topic, generation, lanes):
    """Every identity and position of it stands in its lane; all positions are there."""
    with State(target, topic, generation) as state:
        state.refresh()
        identities = [v for _, key, v in state.history if "identity" in key]
        assert [identity["lanes"] for identity in identities] == [lanes] * lanes
        for lane, text in state.newest:
            key = json.loads(text)
            if "topic" in key:
                assert lane == lane_of(key["topic"], key["partition"], lanes)
        return identities[0]["relay"], state.positions()


@pytest.mark.sanitizers
def test_rescaling_under_load_keeps_the_copy_exact(source, target, topic, relay, state, content):
    source.create_topic(topic, PARTITIONS)
    with Load(source, topic, PARTITIONS, rate=1500, transactions=True):
        processes = [relay(content), relay(content)]
        processes[0].wait_for(
            lambda: len(p := state.next_offsets(topic)) == PARTITIONS and min(p.values()) > 50,
            60,
            "some of all",
        )
        for generation, lanes in ((1, 7), (2, 2)):
            done = rescale(relay, content, lanes)
            assert f"delivery.lanes: {lanes}" in done.out
            for process in processes:
                assert process.wait_exit(30) == REFUSED
                assert f"delivery.lanes: {lanes}" in process.log
            refused = relay.finish(content)
            assert refused.exit_code == REFUSED
            assert f"Set delivery.lanes: {lanes}" in refused.log
            content = with_lanes(content, lanes)
            processes = [relay(content), relay(content)]
            with State(target, topic, generation) as now:
                before = source.end_offsets(topic, "read_committed")
                processes[0].wait_for(
                    lambda now=now, before=before: all(
                        now.next_offsets(topic)[p] >= end for p, end in before.items()
                    ),
                    60,
                    "copying goes on",
                )
    with State(target, topic, 2) as now:
        processes[0].wait_for(caught_up(source, now, topic), 60, "all copied")
    for process in processes:
        assert process.terminate() == 0
    assert_mirrored(source, target, topic)
    uuids = {
        assert_one_generation_in_use(target, topic, generation, lanes)[0]
        for generation, lanes in ((0, 4), (1, 7), (2, 2))
    }
    assert len(uuids) == 1


def test_rescaling_carries_the_offset_map_over(source, target, topic, relay, state, content):
    content["delivery"] = {"commit_interval": "10ms"}
    source.create_topic(topic, 3)
    process = relay(content)
    with Load(source, topic, 3, rate=900):
        process.wait_for(
            lambda: state.refresh()
            and sum(len(p["map"]) > 3 for p in state.positions().values()) == 3,
            90,
            "chunks in the map",
        )
    running(source, state, topic, process)
    assert process.terminate() == 0
    state.refresh()
    old = {p: state.translator(topic, p) for p in range(3)}
    done = rescale(relay, content, 5)
    assert " 0 chunks" not in done.out
    with State(target, topic, 1) as now:
        now.refresh()
        for (name, partition), position in now.positions().items():
            before = state.positions()[name, partition]
            assert [s for s, _ in position["map"]] == [s for s, _ in before["map"]]
            new = now.translator(topic, partition)
            for offset in range(0, position["next"], 7):
                assert new(offset) == old[partition](offset)
        claims = [now.claims(lane)[-1] for lane in range(5)]
        assert {c["rules"] for c in claims} == {state.claims(0)[-1]["rules"]}
        assert all(c["released"] for c in claims)
    content = with_lanes(content, 5)
    source.produce(topic, on_all(3, 5))
    relay.until_end(content)
    assert_mirrored(source, target, topic)


def test_rescaling_to_the_present_number_does_nothing(
    source, target, topic, relay, state, content
):
    source.create_topic(topic)
    source.produce(topic, records(5))
    relay.until_end(content)
    state.refresh()
    before = state.owners()
    assert "nothing to do" in rescale(relay, content, 4).out
    assert "would be rescaled" in rescale(relay, content, 7, "--dry-run").out
    for bad in ("0", "257", "x"):
        rescale(relay, content, bad, code=USAGE)
    state.refresh()
    assert state.owners() == before
    assert not [name for name in target.topics() if f"{topic}.offsets.1" in name]


def marked(state):
    """Lanes that are moved to another generation"""
    state.refresh()
    return {lane for lane, key in state.newest if "moved" in json.loads(key)}


def begin_rescale(relay, content, lanes):
    return relay(content, "rescale", "--lanes", str(lanes), command="offsets")


def killed_while(relay, content, lanes, is_there, what):
    """A rescale that was killed as soon as is_there(); False when it was faster."""
    command = begin_rescale(relay, content, lanes)
    deadline = time.monotonic() + 60
    while not is_there(command):
        if command.exit_code is not None:
            return False
        assert time.monotonic() < deadline, what
    command.kill()
    return command.exit_code < 0


@pytest.mark.parametrize(("phase", "then"), [(1, "finish"), (2, "undo")])
def test_a_rescale_that_was_killed_is_finished_or_undone(
    source, target, topic, relay, state, content, phase, then
):
    source.create_topic(topic, PARTITIONS)
    with Load(source, topic, PARTITIONS, rate=800):
        process = relay(content)
        process.wait_for(
            lambda: len(p := state.next_offsets(topic)) == PARTITIONS and min(p.values()) > 20,
            60,
            "some of all",
        )
        if phase == 1:
            assert killed_while(relay, content, 7, lambda _: marked(state), "the first mark")
        else:
            assert killed_while(
                relay, content, 7, lambda c: "stand still" in c.log, "the end of phase 1"
            )
        assert (marked(state) == {0, 1, 2, 3}) == (phase == 2) or marked(state)
        assert process.wait_exit(90) == REFUSED
        assert "rescale --lanes 7" in process.log
        for lanes in (4, 7):
            refused = relay.finish(with_lanes(content, lanes))
            assert refused.exit_code == REFUSED
            assert "--lanes 7" in refused.log
            assert "--lanes 4" in refused.log
        assert "did not end" in rescale(relay, content, 5, code=REFUSED).log
        lanes = 7 if then == "finish" else 4
        done = rescale(relay, content, lanes)
        assert ("again" in done.out) == (then == "undo")
        content = with_lanes(content, lanes)
        process = relay(content)
        generation = 1 if then == "finish" else 0
        process.wait_for_log("lanes of this process")
    with State(target, topic, generation) as now:
        process.wait_for(caught_up(source, now, topic), 60, "all copied")
    assert process.terminate() == 0
    assert_mirrored(source, target, topic)
    assert_one_generation_in_use(target, topic, generation, lanes)
    if then == "undo":
        assert not marked(state)


def test_a_rescale_killed_at_any_moment_can_be_run_again(
    source, target, topic, relay, state, content
):
    source.create_topic(topic, PARTITIONS)
    source.produce(topic, on_all(PARTITIONS, 50))
    relay.until_end(content)
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    moments = random.Random(seed)
    for _ in range(8):
        command = begin_rescale(relay, content, 3)
        try:
            command.wait_exit(moments.uniform(0.1, 2.5))
        except subprocess.TimeoutExpired:
            command.kill()
    done = rescale(relay, content, 3)
    assert "3 lanes" in done.out
    source.produce(topic, on_all(PARTITIONS, 50, start=50))
    relay.until_end(with_lanes(content, 3))
    assert_mirrored(source, target, topic)
    assert_one_generation_in_use(target, topic, 1, 3)


def test_a_rescale_that_slept_while_another_ended_changes_nothing(
    source, target, topic, relay, state, content
):
    source.create_topic(topic, PARTITIONS)
    source.produce(topic, on_all(PARTITIONS, 20))
    relay.until_end(content)
    sleeper = begin_rescale(relay, content, 7)
    sleeper.wait_for(lambda: marked(state), 30, "the first mark")
    sleeper.stop_signal()
    rescale(relay, content, 7)
    content = with_lanes(content, 7)
    source.produce(topic, on_all(PARTITIONS, 20, start=20))
    relay.until_end(content)
    with State(target, topic, 1) as now:
        now.refresh()
        before = dict(now.newest)
        sleeper.cont()
        sleeper.wait_exit(60)
        now.refresh()
        assert now.newest == before
    source.produce(topic, on_all(PARTITIONS, 20, start=40))
    relay.until_end(content)
    assert_mirrored(source, target, topic)


def test_a_rescale_that_slept_while_it_was_taken_back_stops_nothing(
    source, target, topic, relay, state, content
):
    source.create_topic(topic, PARTITIONS)
    source.produce(topic, on_all(PARTITIONS, 20))
    relay.until_end(content)
    sleeper = begin_rescale(relay, content, 7)
    sleeper.wait_for(lambda: marked(state), 30, "the first mark")
    sleeper.stop_signal()
    assert "again" in rescale(relay, content, 4).out
    assert not marked(state)
    process = relay(content)
    process.wait_for_log("lanes of this process")
    sleeper.cont()
    assert sleeper.wait_exit(60) == REFUSED
    assert "taken this rescale back" in sleeper.log
    assert not marked(state)
    source.produce(topic, on_all(PARTITIONS, 20, start=20))
    running(source, state, topic, process)
    assert process.terminate() == 0
    assert_mirrored(source, target, topic)
    assert not [name for name in target.topics() if f"{topic}.offsets.1" in name]


def test_an_interrupted_rescale_needs_no_force_beside_foreign_records(
    source, target, topic, relay, state, content
):
    other = f"{topic}-before"
    source.create_topic(other)
    content["topics"] = [{"include": [f"{topic}(-before)?"]}]
    relay.until_end(content)
    for cluster in (source, target):
        cluster.create_topic(topic)
        cluster.produce(topic, records(1))
    set_to(relay, content, topic, "--to", "latest")
    assert killed_while(relay, content, 7, lambda _: marked(state), "the first mark")
    rescale(relay, content, 4)
    assert killed_while(relay, content, 7, lambda c: "stand still" in c.log, "all marks")
    rescale(relay, content, 7)
    source.produce(topic, records(2, start=1))
    relay.until_end(with_lanes(content, 7))
    assert_mirrored(source, target, topic)


def test_there_is_no_generation_after_the_last(
    source, target, topic, relay, state, content, tmp_path
):
    source.create_topic(topic)
    relay.until_end(content)
    path = tmp_path / "export.json"
    found = exported(relay, content, path)
    target.delete_topic(state.offsets_topic)
    for generation, code in ((1_000_000, REFUSED), (1000, 0)):
        path.write_text(json.dumps(found | {"generation": generation}))
        offsets(relay, content, "import", path, "--reason", WHY, code=code)
    rescale(relay, content, 2)
    relay.until_end(with_lanes(content, 2))


@pytest.mark.parametrize("place", [["--to", "10"], ["--restart"]])
def test_a_generation_that_was_lost_after_a_set_is_found_out(
    source, target, topic, relay, state, content, place
):
    source.create_topic(topic)
    source.produce(topic, records(10))
    relay.until_end(content)
    set_to(relay, content, topic, *place)
    rescale(relay, content, 2)
    two = with_lanes(content, 2)
    source.produce(topic, records(10, start=10))
    relay.until_end(two)
    for kind in ("offsets", "offset-map"):
        target.delete_topic(f"kafka-relay.{topic}.{kind}.1.internal")
    assert "import FILE" in rescale(relay, content, 2, code=REFUSED).log


def test_a_generation_that_was_used_and_lost_is_not_made_from_old_positions(
    source, target, topic, relay, state, content, tmp_path
):
    source.create_topic(topic, 3)
    source.produce(topic, on_all(3, 10))
    relay.until_end(content)
    rescale(relay, content, 2)
    two = with_lanes(content, 2)
    source.produce(topic, on_all(3, 10, start=10))
    relay.until_end(two)
    path = tmp_path / "export.json"
    exported(relay, two, path)
    for kind in ("offsets", "offset-map"):
        target.delete_topic(f"kafka-relay.{topic}.{kind}.1.internal")
    for lanes in (2, 4):
        assert relay.finish(with_lanes(content, lanes)).exit_code == REFUSED
        refused = rescale(relay, content, lanes, code=REFUSED)
        assert "import FILE" in refused.log
    offsets(relay, two, "import", path, "--reason", WHY)
    source.produce(topic, on_all(3, 10, start=20))
    relay.until_end(two)
    assert_mirrored(source, target, topic)


def test_with_at_least_once_lanes_are_set_and_rescaled_too(
    source, target, topic, relay, state, content
):
    content["delivery"] = {"guarantee": "at_least_once", "lanes": 2}
    source.create_topic(topic, 2)
    source.produce(topic, on_all(2, 10))
    process = relay(content)
    running(source, state, topic, process)
    set_to(relay, content, topic, "--partition", 1, "--to", 5)
    running(source, state, topic, process)
    rescale(relay, content, 3)
    assert process.wait_exit(30) == REFUSED
    source.produce(topic, on_all(2, 10, start=10))
    relay.until_end(with_lanes(content, 3))
    found = values(target, topic)
    assert found[0] == [b"v%d" % i for i in range(20)]
    assert found[1] == [b"v%d" % i for i in [*range(10), *range(5, 20)]]


# ---- trouble with the state of a running relay ----


def test_an_offsets_topic_deleted_under_a_running_relay_is_told_and_not_made_anew(
    source, target, topic, relay, state, content, tmp_path
):
    source.create_topic(topic, 2)
    source.produce(topic, on_all(2, 10))
    process = relay(content)
    running(source, state, topic, process)
    path = tmp_path / "export.json"
    exported(relay, content, path)
    state.close()
    target.delete_topic(state.offsets_topic)
    source.produce(topic, on_all(2, 10, start=10))
    process.wait_for_log(f"{state.offsets_topic} is gone from target")
    assert "import FILE" in process.log
    assert process.terminate() == 0
    assert state.offsets_topic not in target.topics()
    refused = relay.finish(content)
    assert refused.exit_code == REFUSED
    assert state.offsets_topic not in target.topics()
    offsets(relay, content, "import", path, "--reason", WHY)
    relay.until_end(content)
    assert_mirrored(source, target, topic)


def test_garbage_in_the_offsets_topic_ends_a_running_relay(
    source, target, topic, relay, state, content
):
    content["delivery"] = {"lanes": 1}
    source.create_topic(topic)
    source.produce(topic, records(5))
    process = relay(content)
    running(source, state, topic, process)
    target.produce(state.offsets_topic, [Record(0, b'{"what":1}', b"{}")])
    assert process.wait_exit(30) == REFUSED
    assert "key" in process.log


def test_another_cleanup_policy_is_refused_with_the_way_back(
    source, target, topic, relay, state, content
):
    source.create_topic(topic)
    relay.until_end(content)
    alter(target, state.offsets_topic, "cleanup.policy", "delete")
    process = relay.finish(content)
    assert process.exit_code == REFUSED
    assert "--add-config cleanup.policy=compact" in process.log


def test_an_empty_offsets_topic_beside_copies_is_no_new_beginning(
    source, target, topic, relay, state, content
):
    """As a broker makes one that creates topics by itself"""
    source.create_topic(topic)
    source.produce(topic, records(5))
    relay.until_end(content)
    target.delete_topic(state.offsets_topic)
    target.create_topic(state.offsets_topic, 4, {"cleanup.policy": "compact"})
    process = relay.finish(content)
    assert process.exit_code == REFUSED
    assert "import FILE" in process.log
    assert len(values(target, topic)[0]) == 5


def test_an_identity_of_another_relay_is_refused(source, target, topic, relay, state, content):
    source.create_topic(topic)
    relay.until_end(content)
    state.refresh()
    identity = next(dict(v) for lane, key, v in state.history if lane == 2 and "identity" in key)
    identity["relay"] = "11111111-1111-4111-8111-111111111111"
    target.produce(
        state.offsets_topic, [Record(2, b'{"identity":2}', json.dumps(identity).encode())]
    )
    process = relay.finish(content)
    assert process.exit_code == REFUSED
    assert "two relays use the same name" in process.log


def test_an_identity_that_is_hidden_for_a_moment_is_waited_for(
    source, target, topic, relay, state, content
):
    """A commit is answered before all partitions show it; here a foreign one hides it."""
    source.create_topic(topic, PARTITIONS)
    source.produce(topic, on_all(PARTITIONS, 5))
    target.create_topic(state.offsets_topic, 4, {"cleanup.policy": "compact"})
    foreign = target.begin(state.offsets_topic, [Record(1, b"{}", b"{}")])
    process = relay(content)
    process.wait_for_log("lane=0 taken")
    process.wait_for_log("lane=2 taken")
    foreign.abort()
    running(source, state, topic, process)
    assert process.terminate() == 0
    assert_mirrored(source, target, topic)
