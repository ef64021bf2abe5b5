"""What nobody gets by the town's sign-in: forged answers, other people's answers, and our threads or our network."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from joserfc import jwt
from joserfc.jwk import OctKey

from booking.staff import openid
from booking.staff.openid import Client, Unproven, Unreachable, Way, asked, is_fit, made_pass
from tests.conftest import Clock
from tests.factories import PASSWORD, Town
from tests.lying_provider import OTHER_KEY, LyingProvider
from tests.openid import SECRET, Person, RunningClock, TownSignIn, query_of, set_provider, town_sign_in
from tests.pages import Visitor
from tests.test_admin import ADMIN
from tests.test_openid import linked, person
from tests.test_staff_access import new_link

pytestmark = pytest.mark.townhall

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TownSignIn]:
    with town_sign_in(tmp_path_factory.mktemp("openid"), towns=("testdorp",)) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return RunningClock()


@pytest.fixture
def provider(app: Flask, town: Town, management: None, there: TownSignIn) -> None:
    openid._kept.clear()
    set_provider(app, town.municipality_id, there.issuer)


def is_out(who: Person) -> bool:
    return "/staff/sign-in" in who.visitor.get(f"{ADMIN}/").location


def test_an_answer_for_another_question_is_refused(app: Flask, provider: None) -> None:
    """Somebody changes the nonce on the way: the token that comes back was not made for this browser."""
    mia = person(app, "mia")
    address = mia.go()

    page = mia.come_back(mia.sign_in_there(address.replace(query_of(address)["nonce"], "f" * 64)))

    assert page.status == 400 and "did not sign you in" in page.text and is_out(mia)


@pytest.mark.parametrize("changed", [{"state": "0" * 64}, {"iss": "http://127.0.0.1:1"}, {"code": "stolen"}])
def test_an_answer_that_was_changed_is_refused(app: Flask, provider: None, changed: dict[str, str]) -> None:
    mia = person(app, "mia")

    page = mia.come_back(mia.sign_in_there(mia.go()), **changed)

    assert page.status == 400 and is_out(mia)


def test_an_answer_that_does_not_say_from_whom_it_is_is_refused(app: Flask, provider: None) -> None:
    mia = person(app, "mia")
    address = mia.sign_in_there(mia.go())

    assert mia.visitor.get(address.partition("localhost:8000")[2].partition("&iss=")[0]).status == 400


def test_an_answer_is_good_once(app: Flask, provider: None) -> None:
    mia = person(app, "mia")
    address = mia.sign_in_there(mia.go())
    assert mia.come_back(address).status == 303

    assert mia.come_back(address).status == 400
    kept = mia.go()  # a new question, and the old answer with its state
    assert query_of(kept)["state"] != query_of(address)["state"]
    assert mia.come_back(address, state=query_of(kept)["state"]).status == 400  # its code was used


def test_an_answer_of_an_old_session_cookie_is_refused(
    app: Flask, provider: None, clock: Clock, there: TownSignIn
) -> None:
    mia = person(app, "mia")
    address = mia.sign_in_there(mia.go())
    clock.advance(minutes=16)

    assert mia.come_back(address).status == 400 and is_out(mia)


def test_nobody_is_signed_in_as_somebody_else_by_a_link(app: Flask, provider: None) -> None:
    """Mallory lets a clerk open the end of her own way: the clerk would work in her name, and never know."""
    mallory = person(app, "mia")
    trap = mallory.sign_in_there(mallory.go())
    clerk = person(app, "ann")
    assert clerk.come_back(trap).status == 400 and is_out(clerk)

    clerk.go()  # even while the clerk is on the way as well
    assert clerk.come_back(trap).status == 400 and is_out(clerk)


def test_a_session_from_before_is_not_the_one_after(app: Flask, provider: None) -> None:
    """Somebody left their own cookie in the clerk's browser, and waits."""
    mia = person(app, "mia")
    address = mia.sign_in_there(mia.go())
    cookie = mia.visitor.client.get_cookie("balie", path="/testdorp")
    assert cookie
    spy = Visitor(app)
    spy.client.set_cookie("balie", cookie.value, path="/testdorp")

    assert mia.come_back(address).status == 303

    assert "/staff/sign-in" in spy.get(f"{ADMIN}/").location
    assert not any(
        word in base64.b64decode(cookie.value.split(".")[0] + "==").decode(errors="replace")
        for word in (openid.made_pass(app.extensions["balie"]["settings"].keys[0], "x").verifier, "verifier", "nonce")
    )


def test_an_invitation_that_is_slipped_to_somebody_is_not_used_up(app: Flask, provider: None) -> None:
    """Bob lets Ann open his own invitation: she would work in his name. Her address there says who she is."""
    token = new_link(app, "bob").rsplit("/", 1)[1]
    ann = person(app, "ann")

    assert ann.sign_in(query=f"?join={token}").status == 403

    assert linked(app) == {} and is_out(ann)
    assert Visitor(app).get(f"/testdorp/staff/join/{token}").status == 200


@pytest.mark.parametrize(
    "wanted",
    ["https://evil.example.org/staff/", "//evil.example.org/staff/", "/\\evil.example.org/staff/", "javascript:1"],
)
def test_signing_in_leads_to_our_own_pages_only(app: Flask, provider: None, wanted: str) -> None:
    visitor = Visitor(app)
    address = f"/testdorp/staff/sign-in?next={quote(wanted)}"
    form = next(one for one in visitor.get(address).forms if "password" in one.values)

    page = visitor.post(address, {**form.values, "email": "mia@testdorp.example.org", "password": PASSWORD})

    assert (page.status, page.location) == (303, "/testdorp/staff/")


def test_the_way_back_in_when_the_provider_is_gone_for_good(app: Flask, town: Town, management: None) -> None:
    set_provider(app, town.municipality_id, "http://127.0.0.1:9", allows_passwords=False)
    run = app.test_cli_runner()

    assert "may sign in with passwords again" in run.invoke(args=["passwords"]).output

    assert Visitor(app).sign_in("testdorp", "mia@testdorp.example.org", PASSWORD).status == 303
    assert "allowed in testdorp already" in run.invoke(args=["passwords"]).output


def test_who_goes_there_is_sent_back_to_our_own_address(app: Flask, provider: None) -> None:
    page = Visitor(app).get("/testdorp/staff/sign-in/provider", Host="evil.example.org")

    assert query_of(page.location)["redirect_uri"] == "http://localhost:8000/testdorp/staff/sign-in/provider/back"


def test_going_there_too_often_is_slowed_down(app: Flask, provider: None) -> None:
    mia = person(app, "mia")
    for _try in range(50):
        mia.go()
        assert mia.visitor.get("/testdorp/staff/sign-in/provider/back?error=access_denied").status == 400

    mia.go()
    assert mia.visitor.get("/testdorp/staff/sign-in/provider/back?error=access_denied").status == 429
    assert linked(app) == {}


def test_a_provider_that_is_away_is_said_and_passwords_work(app: Flask, town: Town, management: None) -> None:
    set_provider(app, town.municipality_id, "http://127.0.0.1:9")  # where nothing answers
    visitor = Visitor(app)

    page = visitor.get("/testdorp/staff/sign-in/provider")

    assert page.status == 503 and "Dorpslogin does not answer just now" in page.text
    assert visitor.sign_in("testdorp", "mia@testdorp.example.org", "a long password of the tests").status == 303
    assert visitor.get("/testdorp/staff/sign-out/provider").location == "/testdorp/staff/sign-in"


def test_a_provider_that_goes_away_meanwhile_is_said(
    app: Flask, town: Town, management: None, tmp_path: Any, clock: Clock
) -> None:
    openid._kept.clear()
    with town_sign_in(tmp_path, towns=("testdorp",)) as one:
        set_provider(app, town.municipality_id, one.issuer)
        mia = person(app, "mia")
        address = mia.sign_in_there(mia.go())

    assert mia.come_back(address).status == 503 and is_out(mia)  # what it said of itself is still known
    clock.advance(minutes=1)
    assert mia.visitor.get("/testdorp/staff/sign-in/provider").status == 503


@pytest.fixture
def liar() -> Iterator[LyingProvider]:
    openid._kept.clear()
    with LyingProvider().open() as running:
        running.claims = {"iss": running.issuer, "aud": "balie", "sub": "mia", "nonce": GIVEN.nonce}
        running.claims |= {"iat": int(NOW.timestamp()), "exp": int(NOW.timestamp()) + 300}
        running.claims |= {"email": "mia@testdorp.example.org", "email_verified": True}
        yield running


GIVEN = made_pass(b"a key", "a handle")


def who(liar: LyingProvider) -> openid.Person:
    client = Client(liar.issuer, "balie", SECRET, "https://balie.example.org/back")
    return openid.person(Way(client, asked(liar.issuer, may_be_here=True), GIVEN), "a code", NOW)


def test_an_honest_token_is_taken(liar: LyingProvider) -> None:
    assert who(liar) == openid.Person("mia", "mia@testdorp.example.org")


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "another"},
        {"aud": ["balie", "another"]},  # and nobody says for which of them
        {"aud": ["balie", "another"], "azp": "another"},
        {"iss": "https://another.example.org"},
        {"nonce": "another"},
        {"nonce": None},
        {"exp": int(NOW.timestamp()) - 120},
        {"iat": int(NOW.timestamp()) + 600},
        {"sub": None},
        {"sub": "x" * 256},
        {"sub": 7},
        {"at_hash": "of another token"},
    ],
    ids=str,
)
def test_a_token_that_says_something_else_is_refused(liar: LyingProvider, changed: dict[str, Any]) -> None:
    liar.claims = {name: value for name, value in {**liar.claims, **changed}.items() if value is not None}

    with pytest.raises(Unproven):
        who(liar)


def unsigned(claims: dict[str, Any]) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in ({"alg": "none"}, claims)
    ]
    return ".".join([*parts, ""])


@pytest.mark.parametrize(
    "sign",
    [
        unsigned,
        lambda claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, OTHER_KEY),
        lambda claims: jwt.encode({"alg": "HS256", "kid": "one"}, claims, OctKey.import_key(SECRET)),
        lambda _claims: "no token",
    ],
    ids=["unsigned", "another key", "our own secret", "nonsense"],
)
def test_a_token_that_the_provider_did_not_sign_is_refused(liar: LyingProvider, sign: Any) -> None:
    liar.sign = sign

    with pytest.raises(Unproven):
        who(liar)


@pytest.mark.parametrize("verified", [False, None, "false", 1, "yes"])
def test_an_address_counts_only_when_it_was_verified(liar: LyingProvider, verified: Any) -> None:
    liar.claims["email_verified"] = verified

    assert who(liar).email is None


@pytest.mark.parametrize(
    "described",
    [
        {"issuer": "https://another.example.org"},
        {"token_endpoint": "http://169.254.169.254/latest"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": None},
        {"end_session_endpoint": "javascript:alert(1)"},
    ],
    ids=str,
)
def test_a_provider_that_leads_elsewhere_is_not_asked(liar: LyingProvider, described: dict[str, Any]) -> None:
    liar.description = described

    with pytest.raises(Unreachable):
        asked(liar.issuer, may_be_here=True)
    assert len(liar.asked) == 1


def test_no_redirect_is_followed(liar: LyingProvider) -> None:
    liar.redirects_to = f"{liar.issuer}/jwks"

    with pytest.raises(Unreachable):
        asked(liar.issuer, may_be_here=True)
    assert liar.asked == ["/.well-known/openid-configuration"]


def test_an_answer_has_a_size_and_a_time(liar: LyingProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    liar.padding = openid.MOST
    with pytest.raises(Unreachable):
        asked(liar.issuer, may_be_here=True)

    liar.padding, liar.is_slow = 5_000, True  # it would take minutes
    monkeypatch.setattr(openid, "LONGEST", 0.2)
    with pytest.raises(Unreachable):
        asked(liar.issuer, may_be_here=True)


def test_providers_hold_two_threads_at_most(liar: LyingProvider) -> None:
    with openid._talk(), openid._talk(), pytest.raises(Unreachable, match="too many"):
        asked(liar.issuer, may_be_here=True)
    assert asked(liar.issuer, may_be_here=True)


@pytest.mark.parametrize(
    ("address", "is_good"),
    [
        ("https://login.town.example/realms/staff", True),
        ("https://login.town.example:8443", True),
        ("http://login.town.example", False),
        ("http://127.0.0.1:8080", False),
        ("https://127.0.0.1", False),
        ("https://localhost", False),
        ("https://2130706433", False),
        ("https://0x7f.1", False),
        ("https://127.1", False),
        ("https://[::1]", False),
        ("https://169.254.169.254/latest/meta-data", False),
        ("https://user:password@login.town.example", False),
        ("https://login.town.example/#part", False),
        ("https://login.town.example:99999", False),
        ("ftp://login.town.example", False),
        ("", False),
    ],
)
def test_in_earnest_a_provider_has_a_name_and_a_certificate(address: str, is_good: bool) -> None:
    assert is_fit(address, may_be_here=False) == is_good


def test_only_a_trial_may_ask_this_machine() -> None:
    assert is_fit("http://127.0.0.1:8080", may_be_here=True) and is_fit("http://localhost:8080", may_be_here=True)
    assert not is_fit("http://10.0.0.1", may_be_here=True)


def test_without_a_secret_the_way_is_proven_all_the_same(liar: LyingProvider) -> None:
    """A public client: PKCE alone ties the code to who asked."""
    client = replace(Client(liar.issuer, "balie", "", "https://balie.example.org/back"), secret=None)

    assert openid.person(Way(client, asked(liar.issuer, may_be_here=True), GIVEN), "a code", NOW).subject == "mia"
