"""A form with mistakes: the title says so first, and each mistake leads to its field."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from flask import Flask

from tests.factories import Town
from tests.pages import Form, Page, Visitor
from tests.test_admin import ADMIN
from tests.test_staff_pages import signed_in

pytestmark = pytest.mark.townhall

STAFF = "/testdorp/staff"
PAGES = [
    (f"{ADMIN}/town", "/town"),
    (f"{ADMIN}/town/logo", "/town/logo"),
    (f"{ADMIN}/offices/new", "/offices/new"),
    (f"{ADMIN}/offices/1", "/offices/1"),
    (f"{ADMIN}/offices/1/desks/new", "/desks/new"),
    (f"{ADMIN}/desks/1", "/desks/1"),
    (f"{ADMIN}/hours/new?counter=1", "/hours/new?counter=1"),
    (f"{ADMIN}/closures/new?office=1", "/closures/new?office=1"),
    (f"{ADMIN}/staff/new", "/staff/new"),
    (f"{ADMIN}/staff/1", "/staff/1"),
    (f"{ADMIN}/sign-in", "/admin/sign-in"),
    (f"{ADMIN}/services/1", "/services/1"),
    (f"{ADMIN}/remove/service/1", "/remove/service/1"),
    (f"{STAFF}/account", "/second-factor/secret"),
]
HIDDEN = {"csrf_token", "counter"}
FOCUSED_BY_ITSELF = {"input", "select", "textarea", "button", "a"}


class _Ids(HTMLParser):
    """Which elements can be led to, by their id."""

    def __init__(self) -> None:
        super().__init__()
        self.focusable: dict[str, bool] = {}
        self.has_summary = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.has_summary = self.has_summary or (given.get("id") == "problems" and "autofocus" in given)
        if given.get("id"):
            self.focusable[str(given["id"])] = tag in FOCUSED_BY_ITSELF or "tabindex" in given


def sent_empty(visitor: Visitor, address: str, action: str) -> Page:
    """The form of the page with nothing in it."""
    page = visitor.get(address)
    forms = [one for one in page.forms if one.method == "post" and not one.action.endswith("/sign-out")]
    form: Form = next((one for one in forms if one.action.endswith(action) or not one.action), forms[0])
    emptied = {name: "" for name, value in form.values.items() if isinstance(value, str) and name not in HIDDEN}
    return visitor.post(form.action or address, {**form.values, **emptied})


@pytest.mark.parametrize(("address", "action"), PAGES, ids=[action for _address, action in PAGES])
def test_mistakes_are_said_in_the_title_and_lead_to_their_fields(
    app: Flask, town: Town, management: None, address: str, action: str
) -> None:
    page = sent_empty(signed_in(app, "ann"), address, action)

    html = page.response.get_data(as_text=True)
    found = _Ids()
    found.feed(html)
    assert page.status == 422
    assert html.partition("<title>")[2].startswith("Error: ")
    assert found.has_summary
    summary = re.search(r'<ul class="problems">(.*?)</ul>', html, re.DOTALL)
    assert summary
    links = re.findall(r'href="#([^"]+)"', summary[1])
    assert links and len(links) == summary[1].count("<li>")
    assert [link for link in links if not found.focusable.get(link)] == []


def test_a_page_without_mistakes_has_its_name_only(app: Flask, town: Town, management: None) -> None:
    ann = signed_in(app, "ann")

    for address, _action in PAGES:
        assert "<title>Error: " not in ann.get(address).response.get_data(as_text=True), address
