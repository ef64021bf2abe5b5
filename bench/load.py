"""The load client: many connections in one loop, each playing a script of requests, with little cost of its own.

A script is a generator: it yields a Request or a Pause and gets the Answer (None after a pause). Connections are
kept alive. What a client costs is the same for every server that is compared.
"""

from __future__ import annotations

import heapq
import selectors
import socket
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

PATIENCE = 60.0  # seconds in which nothing at all came back
KEPT_ALIVE = 1.0  # seconds after which a silent connection is opened anew, before the server closes it
A_FEW = 5  # answers on one connection, where each worker shall be met in turns
CHUNK = 1 << 18


class Broken(Exception):
    """Something went wrong that must not: an error page, a lost connection, a double booking. The text says what."""


@dataclass(frozen=True, slots=True)
class Request:
    wire: bytes
    expected: frozenset[int]  # the statuses that are no error


@dataclass(frozen=True, slots=True)
class Pause:
    until: float  # on the clock of time.perf_counter
    leaves: bool = False  # closes the connection: another may meet another worker


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    head: bytes
    body: bytes
    seconds: float  # from the first byte sent to the last received

    def header(self, name: str) -> str:
        """The value of the first header of this name; empty if there is none."""
        return next(iter(self.headers(name)), "")

    def headers(self, name: str) -> list[str]:
        lines = (line.partition(":") for line in self.head.decode("latin-1").split("\r\n")[1:])
        return [value.strip() for key, _, value in lines if key.lower() == name.lower()]


Script = Generator[Request | Pause, Answer | None, None]


def get(path: str, headers: Mapping[str, str] | None = None, expected: Iterable[int] = (200,)) -> Request:
    return Request(_head("GET", path, headers or {}) + b"\r\n", frozenset(expected))


def post(
    path: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None, expected: Iterable[int] = (303,)
) -> Request:
    body = urlencode(form).encode()
    sent = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body)), **(headers or {})}
    return Request(_head("POST", path, sent) + b"\r\n" + body, frozenset(expected))


def play(port: int, scripts: Iterable[Script]) -> None:
    """Plays all scripts at once, each on a connection of its own, until the last is done. Raises Broken."""
    loop = _Loop(port)
    try:
        loop.run([_Client(script) for script in scripts])
    finally:
        loop.close()


def ask(port: int, request: Request) -> Answer:
    """One request on a connection of its own."""
    answers: list[Answer] = []
    play(port, [repeated([request], answers)])
    return answers[0]


def repeated(requests: Iterable[Request], answers: list[Answer]) -> Script:
    """The requests one after the other; the answers go into the list."""
    for request in requests:
        answer = yield request
        assert answer is not None
        answers.append(answer)


def timed(requests: Iterable[Request], seconds: list[float]) -> Script:
    """The requests one after the other; how long each took goes into the list."""
    for request in requests:
        answer = yield request
        assert answer is not None
        seconds.append(answer.seconds)


def coming_back(moment: float, request: Request, seconds: list[float]) -> Script:
    """One client that asks until the moment, on a new connection after every few answers."""
    while time.perf_counter() < moment:
        yield from timed([request] * A_FEW, seconds)
        yield Pause(0.0, leaves=True)


def within(moment: float, requests: Iterable[Request]) -> Iterator[Request]:
    """The requests, as many as can be sent before the moment."""
    for request in requests:
        if time.perf_counter() >= moment:
            return
        yield request


def until(moment: float, request: Request) -> Iterator[Request]:
    """The same request again and again until the moment."""
    while time.perf_counter() < moment:
        yield request


@dataclass(slots=True, eq=False)
class _Client:
    script: Script
    socket: socket.socket | None = None
    received: bytearray = field(default_factory=bytearray)
    request: Request | None = None
    sent_at: float = 0.0
    heard_at: float = 0.0
    length: int = -1  # of head and body together, once the head is there
    head_end: int = -1


class _Loop:
    """One turn after the other: wait for sockets and pauses, read what is there, send what follows."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.buffer = bytearray(CHUNK)
        self.selector = selectors.DefaultSelector()
        self.pausing: list[tuple[float, int, _Client]] = []
        self.clients: list[_Client] = []
        self.waiting = 0  # clients whose answer is under way
        self.sent_at = self.heard_at = 0.0  # when anything last was

    def run(self, clients: list[_Client]) -> None:
        self.clients = clients
        for client in clients:
            self._go_on(client, None)
        while self.waiting or self.pausing:
            for key, _ in self.selector.select(self._rest()):
                self.heard_at = time.perf_counter()
                self._read(key.data)
            if self.waiting and time.perf_counter() - max(self.heard_at, self.sent_at) > PATIENCE:
                raise Broken(f"A server gave no answer within {PATIENCE:.0f} seconds.")
            while self.pausing and self.pausing[0][0] <= time.perf_counter():
                self._go_on(heapq.heappop(self.pausing)[2], None)

    def close(self) -> None:
        for client in self.clients:
            client.script.close()
            if client.socket is not None:
                client.socket.close()
        self.selector.close()

    def _rest(self) -> float:
        """Seconds until something must be done, though nothing came back."""
        if not self.pausing:
            return PATIENCE
        return max(0.0, self.pausing[0][0] - time.perf_counter())

    def _go_on(self, client: _Client, answer: Answer | None) -> None:
        """Asks the script what comes next, and does it."""
        try:
            step = client.script.send(answer)
        except StopIteration:
            self._drop(client)
            return
        if isinstance(step, Pause):
            if step.leaves:
                self._drop(client)
            heapq.heappush(self.pausing, (step.until, id(client), client))
            return
        self._send(client, step)

    def _send(self, client: _Client, request: Request) -> None:
        if client.socket is not None and time.perf_counter() - client.heard_at > KEPT_ALIVE:
            self._drop(client)
        client.request, client.length, client.head_end = request, -1, -1
        client.received.clear()
        client.sent_at = self.sent_at = time.perf_counter()
        if client.socket is None:
            client.socket = self._connected(client)
        client.socket.sendall(request.wire)
        self.waiting += 1

    def _connected(self, client: _Client) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.selector.register(made, selectors.EVENT_READ, client)
        return made

    def _drop(self, client: _Client) -> None:
        if client.socket is not None:
            self.selector.unregister(client.socket)
            client.socket.close()
            client.socket = None

    def _read(self, client: _Client) -> None:
        assert client.socket is not None
        count = client.socket.recv_into(self.buffer)
        if client.request is None:  # the server closes a connection that it kept for us
            self._drop(client)
            return
        if not count:
            raise Broken(f"The server broke off in the middle of {_first_line(client.request)}.")
        client.received += memoryview(self.buffer)[:count]
        if client.length < 0:
            _measure(client)
        if 0 <= client.length <= len(client.received):
            self._answered(client)

    def _answered(self, client: _Client) -> None:
        client.heard_at = time.perf_counter()
        self.waiting -= 1
        assert client.request is not None
        with memoryview(client.received) as received:
            head, body = bytes(received[: client.head_end]), bytes(received[client.head_end : client.length])
        answer = Answer(int(head[9:12]), head, body, client.heard_at - client.sent_at)
        if answer.status not in client.request.expected:
            raise Broken(f"{_first_line(client.request)} was answered by {answer.status}: {body[:400]!r}")
        client.request = None
        if b"connection: close" in head.lower():
            self._drop(client)
        self._go_on(client, answer)


def _measure(client: _Client) -> None:
    """Finds the end of the head and the length of the answer, once they are there."""
    end = client.received.find(b"\r\n\r\n")
    if end < 0:
        return
    head = client.received[:end].lower()
    at = head.find(b"\r\ncontent-length:")
    has_body = at >= 0 and head[9:12] != b"304"
    size = int(head[at + 17 : (head + b"\r\n").find(b"\r\n", at + 2)]) if has_body else 0
    client.head_end, client.length = end + 4, end + 4 + size


def _head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}".encode()


def _first_line(request: Request) -> str:
    return request.wire.partition(b" HTTP/")[0].decode()
