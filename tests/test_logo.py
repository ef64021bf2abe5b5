"""The logo: what is taken, what is left of it, where it is shown, and what nobody gets by it."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from PIL import Image, PngImagePlugin
from sqlalchemy import select

from booking import create_app
from booking.config import Settings
from booking.db import db
from booking.townhall.logo import BOX, NoPicture, drawn
from booking.townhall.models import Logo
from tests.conftest import Clock
from tests.factories import Town, make_town
from tests.pages import Page, Visitor
from tests.test_admin import ADMIN
from tests.test_staff_pages import signed_in

pytestmark = pytest.mark.townhall

PAGE = f"{ADMIN}/town/logo"
SCRIPT = b"<script>alert('from the logo')</script>"


def picture(kind: str = "PNG", size: tuple[int, int] = (400, 120), **options: Any) -> bytes:
    made = BytesIO()
    Image.new("RGB", size, (18, 89, 77)).save(made, kind, **options)
    return made.getvalue()


def told() -> PngImagePlugin.PngInfo:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Author", "Somebody of the print shop")
    return notes


def upload(visitor: Visitor, content: bytes, name: str = "logo.png", **texts: str) -> Page:
    token = visitor.get(PAGE).form("/town/logo").values["csrf_token"]
    return visitor.post(PAGE, {"csrf_token": token, "file": (BytesIO(content), name), **texts})


def address(page: Page) -> str:
    """Where the picture on top of the page is."""
    html = page.response.get_data(as_text=True)
    return html.partition('class="bar__logo" src="')[2].partition('"')[0]


def test_a_logo_is_shown_on_top_of_each_page(app: Flask, town: Town, management: None) -> None:
    ann = signed_in(app, "ann")

    page = ann.follow(upload(ann, picture(), **{"texts-en": "coat of arms: a tree", "texts-nl": "wapen: een boom"}))

    assert "The logo is saved." in page.text
    for path, words in (("en/", "coat of arms: a tree"), ("nl/", "wapen: een boom"), ("fr/", "wapen: een boom")):
        seen = Visitor(app).get(f"/testdorp/{path}")
        assert f'alt="{words}"' in seen.response.get_data(as_text=True)
    answer = Visitor(app).get(address(seen)).response
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert Image.open(BytesIO(answer.get_data())).size == (400, 120)
    again = Visitor(app).get(address(seen), **{"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_of_a_picture_only_its_pixels_are_left(kind: str) -> None:
    """No names and places of the camera, no comments, no profiles, nothing behind the end."""
    exif = Image.Exif()
    exif[0x010F] = "Camera of somebody"
    options: dict[str, Any] = {"exif": exif, "icc_profile": b"a profile" * 20}
    if kind == "PNG":
        options["pnginfo"] = told()
    content = picture(kind, **options) + SCRIPT

    found = drawn(content)

    assert found.content.startswith(b"\x89PNG")
    for words in (b"Camera", b"print shop", b"a profile", b"<script>", b"iCCP", b"eXIf", b"tEXt"):
        assert words not in found.content


def test_a_picture_is_no_larger_than_it_is_shown_and_upright() -> None:
    assert drawn(picture(size=(4000, 1000))).width == BOX[0]
    assert drawn(picture(size=(1000, 4000))).height == BOX[1]
    exif = Image.Exif()
    exif[0x0112] = 6  # held upright by a camera that lay on its side
    turned = drawn(picture("JPEG", (200, 100), exif=exif))
    assert (turned.width, turned.height) == (100, 200)


def zipped_page() -> bytes:
    return b"GIF89a" + SCRIPT + b"PK\x03\x04"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture",
        SCRIPT,
        b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        zipped_page(),
        picture("GIF"),
        picture("TIFF"),
        picture("PNG")[:60],
        picture("JPEG")[:200],
        picture("PNG", (15, 200)),
        picture("PNG", (5001, 5001), compress_level=9),
        b"\x89PNG\r\n\x1a\n" + b"\x00" * 900_001,
    ],
    ids=[
        "nothing",
        "words",
        "script",
        "svg",
        "polyglot",
        "gif",
        "tiff",
        "cut png",
        "cut jpeg",
        "narrow",
        "huge",
        "heavy",
    ],
)
def test_what_is_no_picture_of_ours_is_refused(content: bytes) -> None:
    with pytest.raises(NoPicture):
        drawn(content)


def test_a_picture_that_swells_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few kilobytes may be gigabytes of pixels: the size is read from the head."""
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("it was unpacked"))

    with pytest.raises(NoPicture):
        drawn(BOMB)


def _bomb() -> bytes:
    """A PNG that says it is 30,000 pixels wide and high."""
    content = bytearray(picture("PNG", (100, 100)))
    content[16:24] = (30_000).to_bytes(4) * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4)
    return bytes(content)


BOMB = _bomb()


def test_what_is_refused_is_said_and_changes_nothing(app: Flask, town: Town, management: None) -> None:
    ann = signed_in(app, "ann")
    upload(ann, picture())
    before = address(ann.get(PAGE))

    page = upload(ann, SCRIPT, "logo.svg")

    assert page.status == 422 and "Choose a PNG, JPEG or WebP picture" in page.text
    assert address(ann.get(PAGE)) == before
    assert upload(ann, b"", "").status == 303  # only the words were changed
    assert address(ann.get(PAGE)) == before


def test_it_is_taken_off_and_shown_again(app: Flask, town: Town, management: None) -> None:
    ann = signed_in(app, "ann")
    page = ann.follow(upload(ann, picture()))
    where = address(page)

    page = ann.follow(ann.send(page.form("/shown")))

    assert "kept here to be shown again" in page.text and address(page) == ""
    assert Visitor(app).get(where).status == 404
    ann.press(page.form("/shown"))
    assert address(Visitor(app).get("/testdorp/en/")) == where


def test_another_picture_has_another_address(app: Flask, town: Town, management: None) -> None:
    ann = signed_in(app, "ann")
    first = address(ann.follow(upload(ann, picture())))

    second = address(ann.follow(upload(ann, picture(size=(300, 100)))))

    assert first != second
    assert Visitor(app).get(first).status == 404 and Visitor(app).get(second).status == 200


def test_a_second_machine_shows_it_too(
    app: Flask, town: Town, management: None, settings: Settings, clock: Clock, tmp_path: Any
) -> None:
    """It stands in the database; the folders of the machines are not the same."""
    (tmp_path / "other").mkdir()
    other = create_app(Settings(settings.database, settings.keys, tmp_path / "other"), clock=clock)
    assert address(Visitor(other).get("/testdorp/en/")) == ""
    ann = signed_in(app, "ann")
    upload(ann, picture())

    where = address(Visitor(other).get("/testdorp/en/"))

    assert where and Visitor(other).get(where).status == 200
    with other.app_context():
        db.session.remove()
        db.engine.dispose()


def test_a_logo_belongs_to_one_town(app: Flask, town: Town, management: None) -> None:
    with app.app_context():
        make_town("elders")
        db.session.commit()
    ann = signed_in(app, "ann")
    where = address(ann.follow(upload(ann, picture())))

    assert address(Visitor(app).get("/elders/en/")) == ""
    assert Visitor(app).get(where.replace("/testdorp/", "/elders/")).status == 404
    assert signed_in(app, "mia").get(PAGE).status == 404
    with app.app_context():
        assert len(db.session.scalars(select(Logo)).all()) == 1


def test_words_for_it_cannot_break_out_of_the_page(app: Flask, town: Town, management: None) -> None:
    ann = signed_in(app, "ann")
    upload(ann, picture(), **{"texts-en": '"><script>alert(1)</script>'})

    assert "<script>alert" not in Visitor(app).get("/testdorp/en/").response.get_data(as_text=True)
