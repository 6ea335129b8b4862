"""The faults: each a generator over a Stage that injects, yields, and heals.

What is before its `yield` returns when the fault has hit; what is after it returns when
the world is well again: from then on the clock of the recovery runs. What is after a
second `yield` clears up when all that has been judged. A fault that ends
with a partition halted checks that by itself, on a topic of its own; the stage's topics
must always go on.
"""

import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import IsolationLevel, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AclOperation, NewPartitions, ResourceType
from invariants import is_accounted_for
from kafka_local import ANSWER_LIMIT_S, Record, wait_for
from mirror import call
from stage import LANES, SESSION_MS, USER, Stage

FAULTS = []
OUTAGE_S = 3  # of what is only to be gone for a while
REQUESTS_TIME_OUT_S = 21  # longer than the lane's commit may take (15 s)
TRANSACTION_TIMES_OUT_S = 33  # transaction.timeout.ms is 30 s
SLOWER_S = 0.3
SHIM = Path(__file__).with_name("clock_shim.c")


@dataclass(frozen=True)
class Fault:
    name: str
    what: str  # a row's first column
    answer: str  # what the relay does about it
    run: object
    takes_s: int  # about, with its recovery; for sharing the rows out
    soak: bool  # also drawn at random
    outcome: str  # of the partitions that it hits
    broken: str = ""  # why the relay does not pass yet


def fault(what, answer, takes_s=8, soak=True, outcome="exact", name=None, broken=""):
    def add(function):
        name_ = name or function.__name__
        FAULTS.append(Fault(name_, what, answer, function, takes_s, soak, outcome, broken))
        return function

    return add


def linger(stage, seconds):
    """The fault lasts: time passes, and that is all that happens."""
    time.sleep(seconds)
    stage.check()


# ---- processes ----


@fault("`kill -9` of the relay", "the next process fences the lanes once the group has dropped "
       "the dead one (session time-out, 6 s here) and goes on at the stored positions", 14)
def relay_killed(stage: Stage):
    stage.process.kill()
    yield
    stage.restart()


@fault("`kill -9` of one of two relays", "the other one takes its lanes when its session ends", 14)
def one_of_two_killed(stage: Stage):
    second = stage.start_relay()
    wait_shared(stage, stage.process, second)
    stage.process.kill()
    stage.process = second
    yield


@fault("graceful stop and start under load", "commits what it has, leaves the group; the next "
       "process goes on at once", 6)
def relay_restarted(stage: Stage):
    assert stage.process.terminate() == 0
    yield
    stage.restart()


@fault("relay stopped (SIGSTOP) past its session; another takes over; then SIGCONT",
       "is fenced: what the sleeper still sends is refused; it parks until the group gives lanes",
       22)
def zombie(stage: Stage):
    sleeper, second = stage.process, stage.start_relay()
    wait_shared(stage, sleeper, second)
    sleeper.stop_signal()
    wait_shared(stage, second)
    stage.wait_copied(500)
    yield
    sleeper.cont()
    wait_shared(stage, sleeper, second)
    assert second.terminate() == 0


@fault("three processes come and go", "lanes move only where the assignment says so; each move is "
       "a fence and a claim", 20)
def rebalance_storm(stage: Stage):
    for _ in range(3):
        others = [stage.start_relay(), stage.start_relay()]
        wait_for(
            lambda others=others: any(p.pid in stage.watch.owners().values() for p in others),
            30,
            "lanes for the others",
        )
        for process in others:
            assert process.terminate() == 0
    yield


@fault("the relay frozen for longer than its transaction may last",
       "the coordinator has aborted the transaction: the lanes are taken anew", 42, soak=False)
def transaction_timed_out(stage: Stage):
    frozen = stage.process
    catch_open_transaction(stage, frozen)
    wait_for(lambda: not open_transactions(stage), TRANSACTION_TIMES_OUT_S + 10, "its abort")
    yield
    frozen.cont()


# ---- brokers ----


@fault("target broker restarted", "waits for it; open transactions end at the 15 s limit or "
       "before, and are sent again", 14)
def target_restarted(stage: Stage):
    stage.target.cluster.restart()
    yield


@fault("source broker restarted", "waits for it; goes on where it was", 14)
def source_restarted(stage: Stage):
    stage.source.cluster.restart()
    yield


@fault("`kill -9` of the target broker", "waits for it; what was not committed is sent again", 16)
def target_killed(stage: Stage):
    stage.target.cluster.kill()
    yield
    stage.target.cluster.start()


@fault("`kill -9` of the source broker", "waits for it; goes on where it was", 16)
def source_killed(stage: Stage):
    stage.source.cluster.kill()
    yield
    stage.source.cluster.start()


@fault("target broker frozen for 21 s", "the commit fails after 15 s; a new producer settles what "
       "the old one had under way", 32)
def target_frozen(stage: Stage):
    stage.target.cluster.pause()
    linger(stage, REQUESTS_TIME_OUT_S)
    yield
    stage.target.cluster.resume()


@fault("source broker frozen for 21 s", "waits; nothing to commit", 32)
def source_frozen(stage: Stage):
    stage.source.cluster.pause()
    linger(stage, REQUESTS_TIME_OUT_S)
    yield
    stage.source.cluster.resume()


@fault("disk of the target full", "the broker ends, as if it were killed", 20)
def target_disk_full(stage: Stage):
    """A broker that can't write to its only folder shuts down."""
    fill_disk(stage.target)
    yield
    stage.target.cluster.start()


@fault("disk of the source full", "the broker ends, as if it were killed", 20)
def source_disk_full(stage: Stage):
    fill_disk(stage.source)
    yield
    stage.source.cluster.start()


# ---- network ----


@fault("connections to the target broken, new ones refused", "reconnects", 8)
def target_unreachable(stage: Stage):
    stage.target.proxy.sever()
    linger(stage, OUTAGE_S)
    yield
    stage.target.proxy.restore()


@fault("connections to the source broken, new ones refused", "reconnects", 8)
def source_unreachable(stage: Stage):
    stage.source.proxy.sever()
    linger(stage, OUTAGE_S)
    yield
    stage.source.proxy.restore()


@fault("network to the target silent", "waits, within the commit's 15 s", 8)
def target_silent(stage: Stage):
    stage.target.proxy.silence()
    linger(stage, OUTAGE_S)
    yield
    stage.target.proxy.restore()


@fault("network to the source silent", "waits", 8)
def source_silent(stage: Stage):
    stage.source.proxy.silence()
    linger(stage, OUTAGE_S)
    yield
    stage.source.proxy.restore()


@fault("every message delayed by 300 ms, both clusters", "goes on, slower", 12)
def everything_slow(stage: Stage):
    for site in (stage.source, stage.target):
        site.proxy.delay(SLOWER_S)
    stage.wait_copied(500)
    yield
    for site in (stage.source, stage.target):
        site.proxy.restore()


@fault("connection cut in the middle of a Produce request", "sends it again, with its sequence "
       "numbers", 5)
def produce_cut(stage: Stage):
    stage.target.proxy.cut("Produce", times=4).wait(4)
    yield
    stage.target.proxy.restore()


@fault("connection cut in the middle of a Fetch response", "fetches it again", 5)
def fetch_cut(stage: Stage):
    stage.source.proxy.cut("Fetch", "response", times=4).wait(4)
    yield
    stage.source.proxy.restore()


@fault("connection cut in the middle of an EndTxn request", "sends it again; the lane then gets a "
       "new producer", 5)
def end_txn_cut(stage: Stage):
    stage.target.proxy.cut("EndTxn", times=2).wait(2)
    yield
    stage.target.proxy.restore()


# ---- single messages of the transaction protocol ----


@fault("answer to a Produce lost with its connection", "sends it again; the broker knows the "
       "sequence", 5)
def produce_answer_lost(stage: Stage):
    stage.target.proxy.drop("Produce", "response", times=4).wait(4)
    yield
    stage.target.proxy.restore()


@fault("answer to an EndTxn lost with its connection", "asks again; then a new producer, for the "
       "first request may have been late", 6)
def end_txn_answer_lost(stage: Stage):
    stage.target.proxy.drop("EndTxn", "response", times=3).wait(3)
    yield
    stage.target.proxy.restore()


@fault("answer to an EndTxn never comes", "gives up after 15 s; the new producer finds the "
       "transaction committed, and so the positions", 22, soak=False)
def end_txn_answer_missing(stage: Stage):
    before = len(stage.process.log)
    stage.target.proxy.drop("EndTxn", "response", reset=False).wait()
    wait_told(stage, before, "the commit did not end in time")
    yield
    stage.target.proxy.restore()


@fault("answer to an AddPartitionsToTxn lost with its connection", "asks again; then a new "
       "producer", 6)
def add_partitions_answer_lost(stage: Stage):
    stage.target.proxy.drop("AddPartitionsToTxn", "response", times=3).wait(3)
    yield
    stage.target.proxy.restore()


@fault("answer to an InitProducerId lost with its connection", "takes the lane again", 6)
def init_answer_lost(stage: Stage):
    lost = stage.target.proxy.drop("InitProducerId", "response", times=2)
    fence(stage, 0)
    lost.wait(2)
    yield
    stage.target.proxy.restore()


def late_request(api):
    def run(stage: Stage):
        held = stage.target.proxy.hold(api, reset=True)
        held.wait()
        stage.wait_copied(200)
        yield
        held.release()
        held.wait_answered()
        stage.target.proxy.restore()

    return run


for _api, _answer in (
    ("EndTxn", "a new producer epoch makes the late one harmless (KAFKA-17754)"),
    ("AddPartitionsToTxn", "a new producer epoch makes the late one harmless"),
    ("Produce", "the broker knows the sequence, or the epoch is over"),
):
    fault(
        f"{_api} under way when its connection breaks; arrives after its repetition",
        _answer,
        6,
        name=f"late_{_api}",
    )(late_request(_api))


def held_request(api):
    def run(stage: Stage):
        held = stage.target.proxy.hold(api)
        held.wait()
        linger(stage, OUTAGE_S)
        yield
        held.release()
        stage.target.proxy.restore()

    return run


for _api in ("EndTxn", "AddPartitionsToTxn", "Produce"):
    fault(f"{_api} held for {OUTAGE_S} s", "waits", 6, name=f"held_{_api}")(held_request(_api))


def doubled_request(api):
    def run(stage: Stage):
        stage.target.proxy.duplicate(api, times=4).wait(4)
        yield
        stage.target.proxy.restore()

    return run


for _api, _answer in (
    ("EndTxn", "nothing to do: the broker answers the second like the first"),
    ("Produce", "nothing to do: the broker knows the sequence"),
):
    fault(f"{_api} arrives twice", _answer, 5, name=f"doubled_{_api}")(doubled_request(_api))


# ---- fences ----


@fault("a stranger fences the lanes (init_transactions with their ids)",
       "finds no claim but its own, and takes the lanes again", 10)
def foreign_fence(stage: Stage):
    for lane in range(LANES):
        fence(stage, lane)
    yield


# ---- rights ----


@fault("Write on a target topic withdrawn", "tries again until it is back", 10)
def target_write_denied(stage: Stage):
    before = len(stage.process.log)
    stage.target.deny(ResourceType.TOPIC, next(iter(stage.topics)), AclOperation.WRITE)
    wait_told(stage, before, "TOPIC_AUTHORIZATION_FAILED")
    yield
    stage.target.restore_rights()


@fault("Read on a source topic withdrawn", "that topic waits, the others go on", 10)
def source_read_denied(stage: Stage):
    before = len(stage.process.log)
    stage.source.deny(ResourceType.TOPIC, next(iter(stage.topics)), AclOperation.READ)
    wait_told(stage, before, "can't be read")
    yield
    stage.source.restore_rights()


@fault("Write on a lane's transactional id withdrawn", "that lane tries again until it is back", 10)
def transactional_id_denied(stage: Stage):
    before = len(stage.process.log)
    stage.target.deny(
        ResourceType.TRANSACTIONAL_ID, transactional_id(stage, 0), AclOperation.WRITE
    )
    wait_told(stage, before, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED")
    yield
    stage.target.restore_rights()


@fault("password on the target withdrawn while it runs", "tries again until it is back", 18,
       soak=False)
def target_password_withdrawn(stage: Stage):
    withdraw_password(stage, stage.target)
    yield
    stage.target.restore_password()
    stage.side_topic("later")


@fault("password on the source withdrawn while it runs", "tries again until it is back", 18,
       soak=False)
def source_password_withdrawn(stage: Stage):
    withdraw_password(stage, stage.source)
    yield
    stage.source.restore_password()
    stage.side_topic("later")


@fault("password on the target wrong when it starts", "tries again until it is right", 12,
       soak=False)
def password_wrong_at_start(stage: Stage):
    assert stage.process.terminate() == 0
    stage.target.withdraw_password()
    stage.restart()
    stage.process.wait_for_log("trying again", 30)
    yield
    stage.target.restore_password()


@fault("produce quota of 10 KB/s on the target, then lifted", "slows down, and catches up", 15)
def quota(stage: Stage):
    set_quota(stage.target, 10_000)
    linger(stage, 2 * OUTAGE_S)
    yield
    set_quota(stage.target, None)


# ---- clocks ----


def clock_jumps(hours):
    def run(stage: Stage):
        assert stage.process.terminate() == 0
        clock = Clock()
        stage.restart(clock.environment)
        stage.wait_progress()
        yield
        clock.jump(hours)
        yield
        assert stage.process.terminate() == 0
        stage.restart()

    return run


for _hours, _way, _answer in (
    (1, "forward", "nothing: what it waits for it measures with the monotonic clock"),
    (
        -1,
        "back",
        "librdkafka's waits may get stuck: at worst a commit ends at its 15 s limit, and is sent again",
    ),
):
    fault(
        f"wall clock jumps {_way} by an hour under the relay",
        _answer,
        14,
        soak=False,
        name=f"clock_{_way}",
    )(clock_jumps(_hours))


# ---- logs ----


@fault("a stranger's transaction hangs on the source", "waits right before it (read_committed)", 8)
def source_transaction_hangs(stage: Stage):
    topic = stage.side_topic("hanging")
    stage.source.cluster.produce(topic, [Record(0, b"1", b"before")])
    hanging = stage.source.cluster.begin(topic, [Record(0, b"2", b"aborted")])
    stage.source.cluster.produce(topic, [Record(0, b"3", b"after")])
    wait_for(lambda: position(stage, topic) == 1, 30, "the position before it")
    stage.wait_copied(300)
    assert position(stage, topic) == 1
    yield
    hanging.abort()
    wait_for(lambda: position(stage, topic) == 4, 30, "the position after it")
    copied = stage.target.cluster.read_all(topic)[0]
    assert [record.value for record in copied] == [b"before", b"after"]


@fault("target topic deleted while it is copied to", "made anew, and its partitions halt "
       "(`target_changed_log`); others go on", 15, soak=False, outcome="halted")
def target_topic_deleted(stage: Stage):
    topic = stage.side_topic("deleted")
    stage.source.cluster.produce(topic, [Record(0, b"1", b"v")] * 50)
    wait_for(lambda: position(stage, topic) == 50, 30, "its copy")
    stage.target.cluster.delete_topic(topic)
    stage.source.cluster.produce(topic, [Record(0, b"1", b"v")] * 50)
    yield
    wait_for(lambda: stage.halted(topic) == {0: "target_changed_log"}, 30, "the halt")


# With `on_gap: continue` the range stands in the position's `lost`: is_accounted_for()
# takes both.
@fault("source retention ahead of the position", "that partition halts (`gap`) with the exact "
       "range; others go on", 12, soak=False, outcome="halted")
def retention_ahead(stage: Stage):
    topic = stage.side_topic("retention")
    stage.source.cluster.produce(topic, [Record(0, b"1", b"v")] * 50)
    wait_for(lambda: position(stage, topic) == 50, 30, "its copy")
    assert stage.process.terminate() == 0
    stage.source.cluster.produce(topic, [Record(0, b"1", b"v")] * 50)
    futures = stage.source.cluster.admin.delete_records([TopicPartition(topic, 0, 70)])
    for future in futures.values():
        future.result(ANSWER_LIMIT_S)
    yield
    stage.restart()
    wait_for(lambda: stage.halted(topic) == {0: "gap"}, 30, "the halt")
    found = stage.watch.newest[topic, 0]
    assert is_accounted_for(found, 50, 69)
    assert "50 to 69" in found["halted"]["detail"]
    assert found["next"] == 50


@fault("source topic grows, `sync.topics.partitions: no`", "the new partitions wait until somebody "
       "grows the target's", 10)
def partitions_missing(stage: Stage):
    topic = stage.side_topic("grown")
    grow(stage.source, topic, 3)
    wait_for(lambda: stage.source.cluster.end_offsets(topic).keys() == {0, 1, 2}, 30, "growth")
    stage.source.cluster.produce(topic, [Record(p, b"1", b"v") for p in (0, 1, 2)])
    wait_for(lambda: position(stage, topic) == 1, 30, "the copy of what is there")
    yield
    grow(stage.target, topic, 3)
    wait_for(
        lambda: [position(stage, topic, p) for p in range(3)] == [1, 1, 1], 30, "the others' copy"
    )


# ---- coordinators ----

NOT_COORDINATOR = 16


@fault("the transaction coordinator has moved (NOT_COORDINATOR to EndTxn)", "finds it, asks again; "
       "then a new producer, for the first request may have been heard", 6)
def transaction_coordinator_moved(stage: Stage):
    stage.target.proxy.fail("EndTxn", NOT_COORDINATOR, times=2).wait(2)
    yield
    stage.target.proxy.restore()


@fault("the group coordinator has moved (NOT_COORDINATOR to Heartbeat)", "finds it; lanes go on "
       "meanwhile", 6)
def group_coordinator_moved(stage: Stage):
    stage.target.proxy.fail("Heartbeat", NOT_COORDINATOR, times=2).wait(2)
    yield
    stage.target.proxy.restore()


# ---- records and operators ----


@fault("a record that the target refuses, in the middle of a batch", "is singled out, and becomes a "
       "dead letter in the transaction that passes it", 8)
def record_refused(stage: Stage):
    topic = stage.side_topic("refused", target_config={"cleanup.policy": "compact"})
    records = [Record(0, b"%d" % i if i != 70 else None, b"v%d" % i) for i in range(200)]
    stage.source.cluster.produce(topic, records)
    yield
    wait_for(lambda: position(stage, topic) == 200, 30, "all of it passed")
    copied = [record.value for record in stage.target.cluster.read_all(topic)[0]]
    assert copied == [record.value for record in records if record.key]
    letters = stage.target.cluster.read_all(f"kafka-relay.{stage.name}.dead-letter")[0]
    ours = [r for r in letters if dict(r.headers)["kafka-relay-error-topic"] == topic.encode()]
    assert [record.value for record in ours] == [b"v70"]


@fault("an operator moves a position (`offsets set`) under the running relay", "is fenced on that "
       "lane, waits until it is released, and goes on from there", 8)
def offsets_set(stage: Stage):
    topic = stage.side_topic("moved")
    stage.source.cluster.produce(topic, [Record(0, b"1", b"v%d" % i) for i in range(10)])
    wait_for(lambda: position(stage, topic) == 10, 30, "its copy")
    stage.offsets("set", "--topic", topic, "--to", "5", "--reason", "a test")
    yield
    wait_for(
        lambda: position(stage, topic) == 10 and "moved" in stage.watch.newest[topic, 0],
        30,
        "its copy, again",
    )
    copied = [record.value for record in stage.target.cluster.read_all(topic)[0]]
    assert copied == [b"v%d" % i for i in (*range(10), *range(5, 10))]


# ---- helpers ----


def transactional_id(stage, lane):
    return f"kafka-relay.{stage.name}.0.{lane}"


def position(stage, topic, partition=0):
    return stage.watch.newest.get((topic, partition), {"next": -1})["next"]


def grow(site, topic, partitions):
    for future in site.cluster.admin.create_partitions([NewPartitions(topic, partitions)]).values():
        future.result(ANSWER_LIMIT_S)


def wait_told(stage, since, text):
    """Until the relay's log says it after its first `since` characters"""
    stage.process.wait_for(lambda: text in stage.process.log[since:], 30, f"{text!r} in the log")


def wait_shared(stage, *processes):
    pids = {process.pid for process in processes}
    wait_for(lambda: set(stage.watch.owners().values()) == pids, 40, f"lanes shared by {pids}")


def fence(stage, lane):
    fence_id(stage.target.cluster, transactional_id(stage, lane))


def fence_id(cluster, name):
    """What a process would do that has the relay's transactional id, and no manners"""
    stranger = Producer(
        {"bootstrap.servers": cluster.bootstrap, "transactional.id": name, "log_level": 0}
    )
    wait_for(lambda: _initialised(stranger), ANSWER_LIMIT_S, "the fence")


def _initialised(producer):
    try:
        producer.init_transactions(ANSWER_LIMIT_S)
    except KafkaException as error:
        if not error.args[0].retriable():
            raise
        return False
    return True


def open_transactions(stage):
    """Partitions of the stage's topics on the target where one is open"""
    target = stage.watch.target
    where = [(t, p) for t, n in stage.topics.items() for p in range(n)]
    ends = target.ends(IsolationLevel.READ_UNCOMMITTED, where)
    stable = target.ends(where=where)
    return [w for w in where if stable[w] < ends[w]]


def catch_open_transaction(stage, process):
    """Stops the process in the middle of one."""

    def caught():
        process.stop_signal()
        # What was committed at that moment gets its markers first.
        wait = time.monotonic() + 1
        while time.monotonic() < wait:
            if not open_transactions(stage):
                process.cont()
                return False
            time.sleep(0.1)
        return True

    wait_for(caught, 60, "an open transaction")


def broker_pid(site):
    return int(site.cluster._call("status").split()[4])


def fill_disk(site):
    """Every write to a file fails from now on; returns when the broker is gone."""
    pid = broker_pid(site)
    subprocess.run(["prlimit", "--pid", str(pid), "--fsize=1:unlimited"], check=True)

    def has_ended():
        """Gone, or a zombie without other threads: its ports and files are free"""
        process = Path(f"/proc/{pid}")
        try:
            is_zombie = "State:\tZ" in (process / "status").read_text()
            return is_zombie and len(list((process / "task").iterdir())) == 1
        except FileNotFoundError:
            return True

    wait_for(has_ended, 30, "the broker's end")


class Clock:
    """A wall clock that one process sees, and the test sets."""

    def __init__(self):
        self._folder = Path(tempfile.mkdtemp(prefix="faults-clock-"))
        self._file = self._folder / "offset"
        shim = self._folder / "clock_shim.so"
        command = ["cc", "-shared", "-fPIC", "-O1", "-o", shim, SHIM, "-ldl"]
        subprocess.run(command, check=True)
        self.jump(0)
        self.environment = {"LD_PRELOAD": str(shim), "CLOCK_SHIM": str(self._file)}

    def jump(self, hours):
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("<q", hours * 3600 * 1_000_000_000))


def withdraw_password(stage, site):
    site.withdraw_password()
    site.proxy.break_connections()
    linger(stage, OUTAGE_S)


def set_quota(site, bytes_per_s):
    """AlterClientQuotas, which the client library can't send; None removes it."""

    def text(value):
        return struct.pack(">h", len(value)) + value.encode()

    value = struct.pack(">d?", bytes_per_s or 0.0, bytes_per_s is None)
    body = struct.pack(">hhih", 49, 0, 1, 4) + b"test"  # api, version, correlation, client
    body += struct.pack(">i", 1) + struct.pack(">i", 1) + text("user") + text(USER)
    body += struct.pack(">i", 1) + text("producer_byte_rate") + value + b"\x00"
    answer = call(site.cluster, body)
    (error,) = struct.unpack_from(">h", answer, 12)
    assert error == 0, f"AlterClientQuotas: error {error}"
