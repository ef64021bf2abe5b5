"""A provider on loopback that says what it is told to say: wrong things, too much, too slowly, or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.servers import Answering, serving

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

        class Lying(Answering):
            def get(self) -> None:
                content = json.dumps(stub.says(self.path)).encode() + b" " * stub.padding
                self.begin(302, content, Location=stub.redirects_to) if stub.redirects_to else self.begin(200, content)
                with suppress(OSError):  # who asked has gone
                    self._write(content)

            def post(self, _body: bytes) -> None:
                self.get()

            def _write(self, content: bytes) -> None:
                for place in range(len(content)) if stub.is_slow else ():
                    self.wfile.write(content[place : place + 1])
                    if stub.is_over.wait(0.02):
                        return
                if not stub.is_slow:
                    self.wfile.write(content)

        with serving(Lying, self.port) as server:
            self.port = server.server_port
            try:
                yield self
            finally:
                self.is_over.set()
