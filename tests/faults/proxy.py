"""A TCP proxy that knows Kafka's frames, to be put between the relay and a broker.

    with Proxy(port, upstream_port) as proxy:
        held = proxy.hold("EndTxn")         # the next EndTxn request, until release()
        held.wait()
        held.release()

Every frame is looked at: requests carry their API key, a response has that of the request
with its correlation id. A rule catches the next `times` frames of one kind:

    hold        keeps it, and what is sent after it, until release() or discard()
    drop        it never arrives; `reset` tells the sender by a broken connection
    duplicate   a request is sent twice; the second answer is swallowed
    cut         half of the frame arrives, then the connection breaks

With `reset`, a held request's sender loses its connection, while the request stays under
way: it may arrive when the sender has long since sent it again. Beside rules, the whole
network can be slow (delay), silent (silence) or down (sever), until restore().

One thread runs the event loop; all methods may be called from any other.
"""

import asyncio
import struct
import threading
from collections import Counter, deque
from dataclasses import dataclass, field

from kafka_local import wait_for

API_KEYS = {
    "Produce": 0,
    "Fetch": 1,
    "ListOffsets": 2,
    "Metadata": 3,
    "OffsetCommit": 8,
    "FindCoordinator": 10,
    "JoinGroup": 11,
    "Heartbeat": 12,
    "LeaveGroup": 13,
    "SyncGroup": 14,
    "SaslHandshake": 17,
    "ApiVersions": 18,
    "InitProducerId": 22,
    "AddPartitionsToTxn": 24,
    "EndTxn": 26,
    "SaslAuthenticate": 36,
}
_NAMES = {key: name for name, key in API_KEYS.items()}
_BACKLOG = 256  # frames a direction; then TCP pushes back
_CALL_LIMIT_S = 10
ANSWER_LIMIT_S = 10


@dataclass
class Frame:
    """One request or response, with its length in front."""

    data: bytes
    side: str
    api: str
    correlation: int
    due: float = 0.0
    verdict: asyncio.Future | None = None


@dataclass
class Rule:
    """Catches frames; made by the Proxy's methods."""

    proxy: "Proxy"
    action: str
    side: str
    api: str
    times: int
    reset: bool = False
    containing: bytes = b""
    error: int = 0
    caught: list = field(default_factory=list)
    answers: list = field(default_factory=list)  # of the broker, to caught requests

    def wants(self, frame):
        return (
            len(self.caught) < self.times
            and frame.side == self.side
            and frame.api == self.api
            and self.containing in frame.data
        )

    def wait(self, count=1, limit_s=30):
        """Until so many frames were caught"""
        what = f"{count} {self.api} {self.side}s to {self.action}"
        wait_for(lambda: len(self.caught) >= count, limit_s, what)

    def wait_answered(self, count=1, limit_s=30):
        """Until the broker has answered so many of the caught requests"""
        what = f"answers to {count} {self.api} requests"
        wait_for(lambda: len(self.answers) >= count, limit_s, what)

    def release(self):
        self._decide(True)

    def discard(self):
        self._decide(False)

    def _decide(self, send):
        def decide():
            self.times = 0
            for frame in self.caught:
                if frame.verdict and not frame.verdict.done():
                    frame.verdict.set_result(send)

        self.proxy.call(decide)


class Proxy:
    """Listens on a port of 127.0.0.1 and forwards to another one."""

    def __init__(self, port, upstream_port):
        self.port = port
        self.upstream_port = upstream_port
        self.seen = Counter()  # (side, api) -> frames
        self.loop = None
        self.rules = []
        self.delay_s = 0.0
        self.open = None  # asyncio.Event: cleared while the network is silent
        self.severed = False
        self._connections = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._failure = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.close()

    def start(self):
        self._thread.start()
        self._ready.wait(_CALL_LIMIT_S)
        if self._failure:
            raise self._failure

    def close(self):
        if self._failure is None:
            self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join(_CALL_LIMIT_S)

    def call(self, function):
        """Runs it on the loop's thread, and waits for its result."""

        async def run():
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(_CALL_LIMIT_S)

    # ---- what may happen ----

    def hold(self, api, side="request", times=1, reset=False, containing=b""):
        return self._add(Rule(self, "hold", side, api, times, reset, containing))

    def drop(self, api, side="request", times=1, reset=True, containing=b""):
        return self._add(Rule(self, "drop", side, api, times, reset, containing))

    def duplicate(self, api, times=1, containing=b""):
        return self._add(Rule(self, "duplicate", "request", api, times, False, containing))

    def cut(self, api, side="request", times=1):
        return self._add(Rule(self, "cut", side, api, times))

    def fail(self, api, error, times=1):
        """The answers say `error`; of APIs whose answer begins with throttle time and error."""
        return self._add(Rule(self, "fail", "response", api, times, error=error))

    def delay(self, seconds):
        self.delay_s = seconds

    def silence(self):
        """Nothing gets through, and nobody is told."""
        self.call(self.open.clear)

    def sever(self):
        """All connections break; new ones are refused."""
        self.severed = True
        self.break_connections()

    def break_connections(self):
        """All connections break; new ones are welcome."""
        self.call(lambda: [connection.abort() for connection in list(self._connections)])

    def restore(self):
        """Ends all of that; held frames go on, in their order."""

        def restore():
            self.severed = False
            self.delay_s = 0.0
            self.open.set()

        self.call(restore)
        for rule in self.rules:
            rule.release()
        self.rules.clear()

    def _add(self, rule):
        self.call(lambda: self.rules.append(rule))
        return rule

    # ---- the loop's thread ----

    def _run(self):
        try:
            asyncio.run(self._serve())
        except OSError as error:  # the port is taken
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self):
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda loop, context: None)  # broken connections
        self.open = asyncio.Event()
        self.open.set()
        self._end = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        server.close()
        for connection in list(self._connections):
            connection.abort()

    async def _accept(self, reader, writer):
        if self.severed:
            writer.transport.abort()
            return
        try:
            await self.open.wait()
            upstream = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(self, (reader, writer), upstream)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    def rule_for(self, frame):
        return next((rule for rule in self.rules if rule.wants(frame)), None)


class _Connection:
    """A client's connection and the one to the broker that belongs to it."""

    def __init__(self, proxy, client, broker):
        self._proxy = proxy
        self._client, self._broker = client, broker
        self._asked = {}  # correlation -> api
        self._watched = {}  # correlation -> rule that caught the request
        self._swallow = deque()  # correlations whose second answer nobody wants

    async def run(self):
        ways = (
            ("request", self._client[0], self._broker[1]),
            ("response", self._broker[0], self._client[1]),
        )
        tasks = []
        for side, reader, writer in ways:
            queue = asyncio.Queue(_BACKLOG)
            tasks.append(asyncio.create_task(self._read(side, reader, queue)))
            tasks.append(asyncio.create_task(self._write(queue, writer)))
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self.abort()

    def abort(self):
        self._client[1].transport.abort()
        self._broker[1].transport.abort()

    async def _read(self, side, reader, queue):
        try:
            while True:
                head = await reader.readexactly(4)
                body = await reader.readexactly(struct.unpack(">i", head)[0])
                frame = self._frame(side, head + body)
                frame.due = self._proxy.loop.time() + self._proxy.delay_s
                await queue.put(frame)
        except (asyncio.IncompleteReadError, OSError):
            await queue.put(None)

    def _frame(self, side, data):
        if side == "request":
            api, _, correlation = struct.unpack_from(">hhi", data, 4)
            name = _NAMES.get(api, str(api))
            self._asked[correlation] = name
        else:
            (correlation,) = struct.unpack_from(">i", data, 4)
            name = self._asked.get(correlation, "unknown")
        self._proxy.seen[side, name] += 1
        return Frame(data, side, name, correlation)

    async def _write(self, queue, writer):
        while (frame := await queue.get()) is not None:
            wait_s = frame.due - self._proxy.loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            await self._proxy.open.wait()
            if not await self._pass(frame, writer) or writer.is_closing():
                continue
            try:
                writer.write(frame.data)
                await writer.drain()
            except OSError:
                pass  # the reader of this side sees it too
        if writer is self._broker[1]:
            await self._wait_for_answers()
        self.abort()

    async def _wait_for_answers(self):
        """What a client has sent before it gave up is still heard by the broker."""
        waiting = [rule for rule in self._watched.values() if rule.reset]
        until = self._proxy.loop.time() + ANSWER_LIMIT_S
        while self._proxy.loop.time() < until and not self._broker[1].is_closing():
            if all(rule.answers for rule in waiting):
                return
            await asyncio.sleep(0.01)

    async def _pass(self, frame, writer):
        """True when the frame is to be sent on"""
        if frame.side == "response" and self._note_answer(frame):
            return False
        rule = self._proxy.rule_for(frame)
        if rule is None:
            return True
        rule.caught.append(frame)
        if frame.side == "request":
            self._watched[frame.correlation] = rule
        return await getattr(self, f"_{rule.action}")(rule, frame, writer)

    def _note_answer(self, frame):
        """True for the second answer to a request that was sent twice"""
        rule = self._watched.get(frame.correlation)
        if rule is not None:
            rule.answers.append(frame)
        if frame.correlation not in self._swallow:
            return False
        if rule is not None and len(rule.answers) % 2:
            return False
        self._swallow.remove(frame.correlation)
        return True

    async def _hold(self, rule, frame, writer):
        frame.verdict = self._proxy.loop.create_future()
        if rule.reset:
            self._client[1].transport.abort()
        return await frame.verdict

    async def _drop(self, rule, frame, writer):
        if rule.reset:
            self.abort()
        return False

    async def _duplicate(self, rule, frame, writer):
        self._swallow.append(frame.correlation)
        writer.write(frame.data)
        return True

    async def _cut(self, rule, frame, writer):
        writer.write(frame.data[: len(frame.data) // 2])
        await writer.drain()
        self.abort()
        return False

    async def _fail(self, rule, frame, writer):
        head = 4 + 4 + 4  # size, correlation, throttle time
        frame.data = frame.data[:head] + struct.pack(">h", rule.error) + frame.data[head + 2 :]
        return True
