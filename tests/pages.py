"""A visitor without JavaScript: reads pages, fills in forms as they stand there, follows redirects by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

VOID = {"input", "meta", "link", "br", "img", "hr"}


@dataclass
class Form:
    """A form as it stands on the page: its action, what is filled in, and its named buttons."""

    action: str
    method: str
    values: dict[str, Any] = field(default_factory=dict)  # a list where several boxes of one name are ticked, or hidden
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self._current: Form | None = None
        self._name, self._is_area, self._has_option = "", False, False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.append(given.get("href", ""))
        elif tag == "form":
            self._current = Form(given.get("action", ""), given.get("method", "get"))
            self.forms.append(self._current)
        elif self._current and tag == "input" and given.get("name"):
            self._input(self._current.values, given)
        elif self._current and tag in ("select", "textarea"):
            self._name = given["name"]
            self._is_area, self._has_option = tag == "textarea", False
            self._current.values[self._name] = ""
        elif self._current and tag == "option" and ("selected" in given or not self._has_option):
            self._current.values[self._name] = given.get("value", "")
            self._has_option = True  # without a selected one, a browser sends the first
        elif self._current and tag == "button" and given.get("name"):
            self._current.buttons.append((given["name"], given.get("value", "")))

    @staticmethod
    def _input(values: dict[str, Any], given: dict[str, str]) -> None:
        name, value = given["name"], given.get("value", "")
        if given.get("type") not in ("radio", "checkbox", "hidden"):
            values[name] = value
        elif "checked" in given or given.get("type") == "hidden":
            values[name] = value if name not in values else [*_listed(values[name]), value]

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._current = None
        elif tag == "textarea":
            self._is_area = False

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._is_area and self._current:
            self._current.values[self._name] = data.removeprefix("\n")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@dataclass(frozen=True)
class Page:
    """What came back: the status, the text a person reads, its links and forms."""

    response: TestResponse
    text: str
    links: list[str]
    forms: list[Form]

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def location(self) -> str:
        return self.response.headers.get("Location", "")

    def form(self, action: str) -> Form:
        """The one form whose action ends with these words."""
        found = [one for one in self.forms if one.action.endswith(action)]
        assert len(found) == 1, f"{len(found)} forms end with {action!r}: {[one.action for one in self.forms]}"
        return found[0]

    def link(self, ending: str) -> str:
        found = {link for link in self.links if link.endswith(ending)}
        assert len(found) == 1, f"{found} end with {ending!r}"
        return found.pop()


class Visitor:
    """One browser: keeps cookies, sends the form of the page it saw last."""

    def __init__(self, app: Flask, address: str = "203.0.113.5") -> None:
        self.client = app.test_client()
        self.address = address

    def get(self, path: str, **headers: str) -> Page:
        wishes = {"Accept-Language": "en", **headers}
        return self._page(self.client.get(path, headers=wishes, environ_base={"REMOTE_ADDR": self.address}))

    def post(self, path: str, values: dict[str, Any]) -> Page:
        wishes = {"Accept-Language": "en"}
        answer = self.client.post(path, data=values, headers=wishes, environ_base={"REMOTE_ADDR": self.address})
        return self._page(answer)

    def send(self, form: Form, **typed: str) -> Page:
        """Sends the form as it stands, with what is typed over it."""
        return self.post(form.action, {**form.values, **typed})

    def press(self, form: Form, number: int = 0, **typed: str) -> Page:
        """Presses one of the form's named buttons."""
        name, value = form.buttons[number]
        return self.send(form, **{name: value}, **typed)

    def follow(self, page: Page) -> Page:
        assert page.status in (302, 303), f"{page.status}: {page.text[:400]}"
        return self.get(page.location)

    def sign_in(self, town: str, email: str, password: str) -> Page:
        page = self.get(f"/{town}/staff/sign-in")
        form = next(one for one in page.forms if "email" in one.values)
        return self.post(f"/{town}/staff/sign-in", {**form.values, "email": email, "password": password})

    @staticmethod
    def _page(response: TestResponse) -> Page:
        reader = _Reader()
        if response.mimetype == "text/html":
            reader.feed(response.get_data(as_text=True))
        return Page(response, " ".join(" ".join(reader.words).split()), reader.links, reader.forms)
