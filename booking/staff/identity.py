"""Who of our staff somebody is who signed in with the town's provider, and the provider's settings.

An account is never made here: only who was invited gets in, and from then on by the provider's own name for them.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from sqlalchemy import select

from booking.db import db
from booking.links import Keys, derived_key
from booking.staff.models import Identity, SignInProvider, Staff
from booking.staff.openid import Person


def provider_of(municipality_id: int) -> SignInProvider | None:
    return db.session.get(SignInProvider, municipality_id)


def are_passwords_allowed(municipality_id: int) -> bool:
    provider = provider_of(municipality_id)
    return provider is None or provider.allows_passwords


def identity_of(staff: Staff) -> Identity | None:
    """Who this is at the provider that the municipality has now."""
    provider, found = provider_of(staff.municipality_id), db.session.get(Identity, staff.id)
    return found if found and provider and found.issuer == provider.issuer else None


def staff_for(provider: SignInProvider, person: Person, invited: Staff | None) -> Staff | None:
    """The active account of this person: the one linked before; else the one of the invitation they came with; else
    the one with the e-mail address that the provider has verified. From now on it is linked. None for anybody else,
    and for an account that is linked to another person. Flushes.
    """
    known = (Identity.issuer == provider.issuer, Identity.subject == person.subject)
    linked = db.session.scalar(
        select(Staff).join(Identity).where(Identity.municipality_id == provider.municipality_id, *known)
    )
    if linked is not None:
        return linked if linked.is_active and invited in (None, linked) else None
    found = invited or _by_email(provider.municipality_id, person.email)
    if found is None or not found.is_active or identity_of(found) is not None:
        return None
    if person.email not in (None, found.email):
        return None  # the invitation was meant for somebody else, or was slipped to this person
    _link(found, provider.issuer, person.subject)
    return found


def unlink(staff: Staff) -> None:
    """Their next sign-in with the provider is linked anew; their sessions end. Flushes."""
    found = db.session.get(Identity, staff.id)
    if found is not None:
        db.session.delete(found)
    staff.generation += 1
    db.session.flush()


def seal(keys: Keys, provider: SignInProvider, secret: str) -> None:
    """Keeps the secret so that a copy of the database does not tell it; for this issuer and this name of ours only."""
    provider.secret = next(_boxes(keys, provider)).encrypt(secret.encode()).decode()


def unsealed(keys: Keys, provider: SignInProvider) -> str | None:
    """The secret; None where there is none, or where it was sealed for another issuer, so that nobody gets it who is
    only named as the issuer.
    """
    if provider.secret is None:
        return None
    try:
        return MultiFernet(list(_boxes(keys, provider))).decrypt(provider.secret.encode()).decode()
    except InvalidToken:
        return None


def _boxes(keys: Keys, provider: SignInProvider) -> Iterator[Fernet]:
    purpose = f"provider-secret:{provider.municipality_id}:{provider.client_id}:{provider.issuer}"
    for key in keys:
        yield Fernet(base64.urlsafe_b64encode(bytes.fromhex(derived_key(key, purpose))))


def _by_email(municipality_id: int, email: str | None) -> Staff | None:
    if email is None:
        return None
    return db.session.scalar(select(Staff).where(Staff.municipality_id == municipality_id, Staff.email == email))


def _link(staff: Staff, issuer: str, subject: str) -> None:
    """An invitation is used up by it, as by choosing a password."""
    old = db.session.get(Identity, staff.id)  # of a provider that the municipality had before
    if old is not None:
        db.session.delete(old)
        db.session.flush()
    db.session.add(Identity(staff_id=staff.id, municipality_id=staff.municipality_id, issuer=issuer, subject=subject))
    if staff.invited_at is not None or staff.asked_at is not None:
        staff.invited_at = staff.asked_at = None
        staff.generation += 1
    db.session.flush()
