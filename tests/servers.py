"""A server on loopback for the stubs of the tests: it speaks HTTP in a thread of its own, as long as it is wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Answering(BaseHTTPRequestHandler):
    """Says JSON, and nothing about it on the console."""

    def get(self) -> None:
        raise NotImplementedError

    def post(self, body: bytes) -> None:
        raise NotImplementedError

    def do_GET(self) -> None:
        self.get()

    def do_POST(self) -> None:
        self.post(self.rfile.read(int(self.headers["Content-Length"])))

    def say(self, status: int, words: dict[str, Any]) -> None:
        content = json.dumps(words).encode()
        self.begin(status, content)
        with suppress(OSError):  # who asked has gone
            self.wfile.write(content)

    def begin(self, status: int, content: bytes, **headers: str) -> None:
        """What stands before the content."""
        with suppress(OSError):
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(content)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(answering: type[Answering], port: int = 0) -> Iterator[ThreadingHTTPServer]:
    """The server, which listens; it has ended when this is left. Whoever makes it wait must let go of it before."""
    server = ThreadingHTTPServer(("127.0.0.1", port), answering)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
