"""A mail server that takes every letter and keeps none: python -m bench.sink PORT. HELP tells how many it took."""

from __future__ import annotations

import asyncio
import sys

DOT = b"\r\n.\r\n"


class Sink(asyncio.Protocol):
    """One conversation, as short as SMTP allows (RFC 5321)."""

    taken = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.pending, self.in_letter = transport, b"", False
        transport.write(b"220 sink\r\n")

    def data_received(self, received: bytes) -> None:
        self.pending += received
        while (end := self.pending.find(DOT if self.in_letter else b"\r\n")) >= 0:
            if self.in_letter:
                self.pending = self.pending[end + len(DOT) :]
                Sink.taken += 1
                self.in_letter = False
                self.transport.write(b"250 taken\r\n")
            else:
                line, self.pending = self.pending[:end], self.pending[end + 2 :]
                self._answer(line[:4].upper())

    def _answer(self, verb: bytes) -> None:
        self.in_letter = verb == b"DATA"
        answers = {b"DATA": b"354 go on", b"QUIT": b"221 bye", b"HELP": b"214 %d" % Sink.taken}
        self.transport.write(answers.get(verb, b"250 sink") + b"\r\n")
        if verb == b"QUIT":
            self.transport.close()


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
