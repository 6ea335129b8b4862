"""The proxy's own tests, against a server that only remembers and answers frames."""

import socket
import struct
import threading
import time

import pytest
from kafka_local import wait_for
from proxy import API_KEYS, Proxy

LIMIT_S = 5
MOMENT_S = 0.2  # in which what must not happen would


class Server:
    """Answers each request with its correlation id and body."""

    def __init__(self):
        self.received = []  # (api, correlation), of all connections
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            while (head := stream.read(4)) and len(head) == 4:
                body = stream.read(struct.unpack(">i", head)[0])
                if len(body) < struct.unpack(">i", head)[0]:
                    return
                api, _, correlation = struct.unpack_from(">hhi", body)
                self.received.append((api, correlation))
                try:
                    connection.sendall(struct.pack(">ii", len(body) - 4, correlation) + body[8:])
                except OSError:
                    return


class Client:
    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), LIMIT_S)
        self._stream = self._socket.makefile("rb")

    def ask(self, api, correlation, body=b"body"):
        head = struct.pack(">hhi", API_KEYS[api], 0, correlation)
        self._socket.sendall(struct.pack(">i", len(head + body)) + head + body)

    def answer(self, limit_s=LIMIT_S):
        """The correlation id of the next one; None at the end, TimeoutError when none comes"""
        self._socket.settimeout(limit_s)
        try:
            head = self._socket.recv(4, socket.MSG_WAITALL)
            if len(head) < 4:
                return None
            size = struct.unpack(">i", head)[0]
            body = self._socket.recv(size, socket.MSG_WAITALL)
        except ConnectionError:
            return None
        return struct.unpack_from(">i", body)[0] if len(body) == size else None

    def close(self):
        self._stream.close()
        self._socket.close()


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


@pytest.fixture
def proxy(server):
    with Proxy(0, server.port) as made:
        yield made


@pytest.fixture
def client(proxy):
    made = Client(proxy.port)
    yield made
    made.close()


def assert_no_answer(client):
    with pytest.raises(TimeoutError):
        client.answer(MOMENT_S)


def test_without_rules_everything_gets_through_and_is_counted(proxy, client):
    for correlation in range(100):
        client.ask("Produce", correlation)
    assert [client.answer() for _ in range(100)] == list(range(100))
    assert proxy.seen["request", "Produce"] == proxy.seen["response", "Produce"] == 100


def test_a_frame_may_come_in_pieces(server, proxy):
    with socket.create_connection(("127.0.0.1", proxy.port), LIMIT_S) as slow:
        frame = struct.pack(">ihhi", 8, API_KEYS["EndTxn"], 0, 7)
        for byte in frame:
            slow.sendall(bytes([byte]))
        wait_for(lambda: server.received == [(API_KEYS["EndTxn"], 7)], LIMIT_S, "the frame")


def test_a_held_request_arrives_when_it_is_released_and_what_follows_it_after_that(
    server, proxy, client
):
    held = proxy.hold("EndTxn")
    client.ask("Produce", 1)
    client.ask("EndTxn", 2)
    client.ask("Produce", 3)
    held.wait(limit_s=LIMIT_S)
    assert client.answer() == 1
    assert_no_answer(client)
    held.release()
    assert [client.answer(), client.answer()] == [2, 3]
    assert [correlation for _, correlation in server.received] == [1, 2, 3]


def test_a_held_request_without_its_connection_still_arrives_after_the_one_sent_again(
    server, proxy, client
):
    held = proxy.hold("EndTxn", reset=True)
    client.ask("EndTxn", 1)
    held.wait(limit_s=LIMIT_S)
    assert client.answer() is None
    again = Client(proxy.port)
    again.ask("EndTxn", 2)
    assert again.answer() == 2
    held.release()
    held.wait_answered(limit_s=LIMIT_S)
    assert [correlation for _, correlation in server.received] == [2, 1]
    again.close()


def test_a_held_response_is_that_of_the_named_request(proxy, client):
    held = proxy.hold("EndTxn", "response")
    client.ask("Produce", 1)
    client.ask("EndTxn", 2)
    assert client.answer() == 1
    held.wait(limit_s=LIMIT_S)
    assert_no_answer(client)
    held.release()
    assert client.answer() == 2


def test_a_discarded_request_never_arrives(server, proxy, client):
    held = proxy.hold("EndTxn")
    client.ask("EndTxn", 1)
    held.wait(limit_s=LIMIT_S)
    held.discard()
    client.ask("Produce", 2)
    assert client.answer() == 2
    assert server.received == [(API_KEYS["Produce"], 2)]


def test_a_dropped_response_takes_its_connection_along_or_not(server, proxy, client):
    proxy.drop("EndTxn", "response", reset=False)
    client.ask("EndTxn", 1)
    client.ask("Produce", 2)
    assert client.answer() == 2
    proxy.drop("EndTxn", "response")
    client.ask("EndTxn", 3)
    assert client.answer() is None
    assert len(server.received) == 3


def test_a_duplicated_request_arrives_twice_and_is_answered_once(server, proxy, client):
    proxy.duplicate("Produce")
    client.ask("Produce", 1)
    client.ask("EndTxn", 2)
    assert [client.answer(), client.answer()] == [1, 2]
    assert [correlation for _, correlation in server.received] == [1, 1, 2]


@pytest.mark.parametrize("side", ["request", "response"])
def test_a_cut_frame_breaks_the_connection_in_its_middle(server, proxy, client, side):
    proxy.cut("Produce", side)
    client.ask("Produce", 1, b"x" * 10_000)
    assert client.answer() is None
    assert len(server.received) == (side == "response")


def test_a_rule_catches_as_often_as_it_was_told_and_only_what_contains_its_text(proxy, client):
    held = proxy.hold("EndTxn", times=1, containing=b"lane-1")
    client.ask("EndTxn", 1, b"lane-0")
    assert client.answer() == 1
    client.ask("EndTxn", 2, b"lane-1")
    held.wait(limit_s=LIMIT_S)
    held.release()
    client.ask("EndTxn", 3, b"lane-1")
    assert [client.answer(), client.answer()] == [2, 3]
    assert len(held.caught) == 1


def test_a_delay_counts_for_each_way_but_not_for_each_frame(proxy, client):
    proxy.delay(0.1)
    start = time.monotonic()
    for correlation in range(50):
        client.ask("Produce", correlation)
    assert [client.answer() for _ in range(50)] == list(range(50))
    assert 0.2 <= time.monotonic() - start < 2


def test_a_silent_network_delivers_in_the_end_and_a_severed_one_does_not(proxy, client):
    proxy.silence()
    client.ask("Produce", 1)
    assert_no_answer(client)
    proxy.restore()
    assert client.answer() == 1
    proxy.sever()
    assert client.answer() is None
    refused = Client(proxy.port)
    assert refused.answer() is None
    refused.close()
    proxy.restore()
    welcome = Client(proxy.port)
    welcome.ask("Produce", 2)
    assert welcome.answer() == 2
    welcome.close()
