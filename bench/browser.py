"""A citizen's browser for the load client: its address, its cookies, and the forms of the page it saw last."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import unescape
from itertools import count

from bench.load import Answer, Broken, Request, get, post

_FORM = re.compile(r"<form([^>]*)>(.*?)</form>", re.DOTALL)
_ACTION = re.compile(r'\baction="([^"]*)"')
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)"')
_SLOT = re.compile(r'name="slot" value="(\d+\.\d+)"')


@dataclass
class Browser:
    """Each has an address of its own, as if it came through a proxy."""

    address: str
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, expected: Iterable[int] = (200,)) -> Request:
        return get(path, self.headers, expected)

    def post(self, path: str, form: dict[str, str], expected: Iterable[int] = (303,)) -> Request:
        return post(path, form, self.headers, expected)

    def keep(self, answer: Answer | None) -> Answer:
        """Keeps the cookies of an answer, and gives it back."""
        assert answer is not None
        for given in answer.headers("Set-Cookie"):
            name, _, value = given.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    @property
    def headers(self) -> dict[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"X-Forwarded-For": self.address, **({"Cookie": cookies} if cookies else {})}


def browsers() -> Iterator[Browser]:
    """Browsers without end, no two at the same address."""
    return (Browser(f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}") for n in count(1))


def hidden(answer: Answer, action: str) -> dict[str, str]:
    """What is filled in already in the form whose action ends with these words."""
    page = answer.body.decode()
    for head, inside in _FORM.findall(page):
        if unescape("".join(_ACTION.findall(head))).endswith(action):
            return {unescape(name): unescape(value) for name, value in _HIDDEN.findall(inside)}
    raise Broken(f"No form of the page sends to {action!r}: {page[:300]!r}")


def slots(answer: Answer) -> list[str]:
    """The times that the page offers, as its buttons name them: "<office>.<tick>"."""
    return _SLOT.findall(answer.body.decode())


def path_of(answer: Answer) -> str:
    """Where the answer sends us on to, without the host and the place on the page."""
    return re.sub(r"^https?://[^/]+", "", answer.header("Location")).partition("#")[0]
