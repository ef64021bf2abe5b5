"""Talking with the town's OpenID Connect provider: where a person is sent, and who it says came back.

OpenID Connect Core 1.0: the code flow, with PKCE (RFC 7636) and the issuer in the answer (RFC 9207). Whoever names a
provider must not tie our threads up: few talks at once, each with a time, answers of a size, no redirects.
"""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import urlsplit

from authlib.common.errors import AuthlibBaseError
from authlib.common.urls import add_params_to_uri
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry
from requests import PreparedRequest, RequestException, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectionError as NoConnection
from urllib3.exceptions import HTTPError

from booking.links import derived_key

PATIENCE = (3, 5)  # seconds to connect, and between two pieces of an answer
LONGEST = 10  # seconds for one answer
MOST = 300_000  # bytes of it
KEPT = timedelta(seconds=30)  # what a provider says of itself, so that not each click asks it
LEEWAY = 60  # seconds that clocks may differ
SIGNED_WITH = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]


class Unreachable(Exception):
    """The provider does not answer, or not as one."""


class Unproven(Exception):
    """What came back does not prove who came. The text is for our log and names nobody."""


@dataclass(frozen=True)
class Client:
    """We as the provider knows us; `redirect` is the exact address to which it sends people back."""

    issuer: str
    client_id: str
    secret: str | None = field(repr=False)
    redirect: str


@dataclass(frozen=True)
class Endpoints:
    """What a provider says of itself."""

    issuer: str
    authorization: str
    token: str
    keys: str
    userinfo: str | None
    end: str | None  # where somebody signs out of it
    posts_secret: bool  # it takes the secret in the body only
    names_itself: bool  # its answers say from whom they are


@dataclass(frozen=True)
class Pass:
    """What ties an answer to the browser that asked: derived from a number that only this browser's session has."""

    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True)
class Way:
    """One person's way to the provider and back."""

    client: Client
    provider: Endpoints
    given: Pass


@dataclass(frozen=True)
class Person:
    """Who signed in there. `email` is only there when the provider has verified it."""

    subject: str = field(repr=False)
    email: str | None = field(repr=False)


def made_pass(key: bytes, handle: str) -> Pass:
    return Pass(*(derived_key(key, f"sign-in-{part}:{handle}") for part in ("state", "nonce", "verifier")))


def is_fit(address: str, *, may_be_here: bool) -> bool:
    """Whether we may talk to it: https and a name, so that a certificate says who answers and no bare address inside
    a network is asked. Where we ourselves are only tried out, this machine may be asked without.
    """
    try:
        parts = urlsplit(address)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.username is not None or parts.fragment or not host or len(address) > 300 or not address.isprintable():
        return False
    if parts.scheme == "http":
        return may_be_here and host in ("localhost", "127.0.0.1", "::1")
    return parts.scheme == "https" and "." in host and not _is_number(host)


def asked(issuer: str, *, may_be_here: bool) -> Endpoints:
    """What the provider says of itself now (OpenID Connect Discovery 1.0). Raises Unreachable. Holds no transaction."""
    with _talk() as session:
        found = _json(session, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    named = str(found.get("issuer", ""))
    needed = [found.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
    others = [found.get(name) for name in ("userinfo_endpoint", "end_session_endpoint")]
    addresses = [named, *needed, *(one for one in others if one is not None)]
    if not all(isinstance(one, str) and is_fit(one, may_be_here=may_be_here) for one in addresses):
        raise Unreachable("it names no addresses, or unfit ones")
    if named.rstrip("/") != issuer.rstrip("/"):
        raise Unreachable("it calls itself by another name")
    ways = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    names_itself = found.get("authorization_response_iss_parameter_supported") is True
    return Endpoints(named, *needed, *others, "client_secret_basic" not in ways, names_itself)  # type: ignore[arg-type, call-arg]


_kept: dict[str, tuple[datetime, Endpoints | None]] = {}


def endpoints(issuer: str, now: datetime, *, may_be_here: bool) -> Endpoints:
    """The same, as it was some seconds ago at most; one that was away is not asked again at once."""
    at, found = _kept.get(issuer, (None, None))
    if at is None or not at <= now < at + KEPT:
        try:
            found = asked(issuer, may_be_here=may_be_here)
        except Unreachable:
            found = None
        _kept[issuer] = now, found
    if found is None:
        raise Unreachable("it was away some seconds ago")
    return found


def sign_in_address(way: Way, prompt: str | None) -> str:
    """Where to send the person. With the prompt "login" the provider asks who it is, though it may think to know."""
    challenge = urlsafe_b64encode(sha256(way.given.verifier.encode()).digest()).decode().rstrip("=")
    asks = {
        "response_type": "code",
        "client_id": way.client.client_id,
        "redirect_uri": way.client.redirect,
        "scope": "openid email",
        "state": way.given.state,
        "nonce": way.given.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        **({"prompt": prompt} if prompt else {}),
    }
    address: str = add_params_to_uri(way.provider.authorization, list(asks.items()))
    return address


def sign_out_address(client: Client, provider: Endpoints, back: str) -> str | None:
    """Where to send somebody who wants to be signed out there, too; None if it has no such place."""
    asks = [("client_id", client.client_id), ("post_logout_redirect_uri", back)]
    return add_params_to_uri(provider.end, asks) if provider.end else None


def check_answer(answer: Mapping[str, str], way: Way) -> str:
    """The code of an answer that was meant for this browser and is from this provider. Raises Unproven."""
    if answer.get("state") != way.given.state:
        raise Unproven("state")
    said = answer.get("iss")
    if said != way.provider.issuer and (said is not None or way.provider.names_itself):
        raise Unproven("issuer of the answer")
    if not answer.get("code"):
        raise Unproven("code")
    return answer["code"]


def person(way: Way, code: str, now: datetime) -> Person:
    """Who the code stands for. Raises Unreachable or Unproven. Holds no transaction."""
    provider, proof = way.provider, {"code": code, "code_verifier": way.given.verifier}
    with _talk(way) as session:
        try:
            token = session.fetch_token(provider.token, grant_type="authorization_code", **proof)
            claims = _claims(way, token, _json(session, provider.keys), now)
        except (AuthlibBaseError, JoseError, KeyError, TypeError, ValueError) as error:
            raise Unproven(type(error).__name__) from error
        if "email" not in claims and provider.userinfo:
            about = _json(session, provider.userinfo, withhold_token=False)
            claims = {**about, **claims} if about.get("sub") == claims["sub"] else claims
    subject, email = claims["sub"], claims.get("email")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise Unproven("subject")
    said = claims.get("email_verified")
    is_verified = said is True or said == "true"
    return Person(subject, email.strip().lower() if is_verified and isinstance(email, str) else None)


def _claims(way: Way, token: Mapping[str, Any], keys: Any, now: datetime) -> dict[str, Any]:
    registry = JWSRegistry(algorithms=SIGNED_WITH, strict_check_header=False)
    decoded = jwt.decode(token["id_token"], KeySet.import_key_set(keys), registry=registry)
    wanted = {
        "iss": {"essential": True, "value": way.provider.issuer},
        "aud": {"essential": True, "value": way.client.client_id},
    }
    known = {"nonce": way.given.nonce, "client_id": way.client.client_id, "access_token": token.get("access_token")}
    claims = CodeIDToken(decoded.claims, decoded.header, wanted, known)
    claims.validate(now=int(now.timestamp()), leeway=LEEWAY)
    return dict(claims)


_talks = BoundedSemaphore(2)  # a provider that does not answer holds so many threads at most


@contextmanager
def _talk(way: Way | None = None) -> Iterator[Any]:
    """A session with the provider. Raises Unreachable for whatever goes wrong on the way."""
    if not _talks.acquire(timeout=2):
        raise Unreachable("too many ask at once")
    try:
        with _session(way) as session:
            session.max_redirects = 0
            session.mount("https://", _Careful())
            session.mount("http://", _Careful())
            yield session
    except RequestException as error:
        raise Unreachable(type(error).__name__) from error
    finally:
        _talks.release()


def _session(way: Way | None) -> Any:
    """We as the provider wants us to prove who we are; without a way we only ask what anybody may."""
    if way is None:
        return OAuth2Session()
    proof = "client_secret_post" if way.provider.posts_secret else "client_secret_basic"
    client = way.client
    return OAuth2Session(
        client.client_id, client.secret, proof if client.secret else "none", redirect_uri=client.redirect
    )


class _Careful(HTTPAdapter):
    """Gives each answer a time and a size."""

    def send(self, request: PreparedRequest, *_given: Any, **options: Any) -> Response:
        until = time.monotonic() + LONGEST
        answer: Response = super().send(request, **{**options, "stream": True, "timeout": PATIENCE})
        content = b""
        try:
            while piece := answer.raw.read1(65536, decode_content=True):
                content += piece
                if len(content) > MOST or time.monotonic() > until:
                    raise NoConnection("too much, or too slow")
        except HTTPError as error:
            raise NoConnection(type(error).__name__) from error
        finally:
            answer.close()
        answer._content = content
        return answer


def _json(session: Any, address: str, *, withhold_token: bool = True) -> dict[str, Any]:
    """The object that stands there. Raises Unreachable."""
    answer = session.request("GET", address, withhold_token=withhold_token)
    try:
        found = answer.json() if answer.status_code == 200 else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Unreachable(f"no object, {answer.status_code}")
    return found


def _is_number(host: str) -> bool:
    """Whether the host is a bare address, in whatever way of writing: the last part of a name is never a number."""
    if host.rstrip(".").rpartition(".")[2].isdigit() or "0x" in host:
        return True
    try:
        return bool(ip_address(host))
    except ValueError:
        return False
