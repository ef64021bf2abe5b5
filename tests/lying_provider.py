"""A provider on loopback that says what it is told to say: wrong things, too much, too slowly, or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

KEY = RSAKey.generate_key(2048, {"kid": "one", "alg": "RS256", "use": "sig"})
OTHER_KEY = RSAKey.generate_key(2048, {"kid": "one", "alg": "RS256", "use": "sig"})


@dataclass
class LyingProvider:
    """`claims` stand in the ID token, `description` in what it says of itself, over the honest ones."""

    claims: dict[str, Any] = field(default_factory=dict)
    description: dict[str, Any] = field(default_factory=dict)
    sign: Callable[[dict[str, Any]], str] = field(
        default=lambda claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, KEY)
    )
    redirects_to: str | None = None
    padding: int = 0  # bytes more in each answer
    is_slow: bool = False  # a byte at a time
    asked: list[str] = field(default_factory=list)
    is_over: Event = field(default_factory=Event)
    port: int = 0

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def says(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        endpoints = {"authorization_endpoint": "/auth", "token_endpoint": "/token", "jwks_uri": "/jwks"}
        known = {name: f"{self.issuer}{where}" for name, where in endpoints.items()}
        answers: dict[str, Callable[[], dict[str, Any]]] = {
            "/.well-known/openid-configuration": lambda: {"issuer": self.issuer, **known, **self.description},
            "/jwks": lambda: {"keys": [KEY.as_dict(private=False)]},
            "/token": lambda: {
                "access_token": "an access token",
                "token_type": "Bearer",
                "id_token": self.sign(self.claims),
            },
        }
        return answers[path]()

    @contextmanager
    def open(self) -> Iterator[LyingProvider]:
        stub = self

        class Answering(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = json.dumps(stub.says(self.path)).encode() + b" " * stub.padding
                self.send_response(302 if stub.redirects_to else 200)
                if stub.redirects_to:
                    self.send_header("Location", stub.redirects_to)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with suppress(OSError):  # who asked has gone
                    self._write(content)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def _write(self, content: bytes) -> None:
                for place in range(len(content)) if stub.is_slow else ():
                    self.wfile.write(content[place : place + 1])
                    if stub.is_over.wait(0.02):
                        return
                if not stub.is_slow:
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", self.port), Answering)
        self.port = server.server_port
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self.is_over.set()
            server.shutdown()
            thread.join()
            server.server_close()
