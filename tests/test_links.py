"""Secret links: what we gave out opens, nothing else does, and nothing that is typed breaks."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from booking.links import Claim, claim, code, derived_key, is_code, pseudonym, token

pytestmark = pytest.mark.house

OLD = b"the old key of the tests, 32 letters long"
NEW = b"the new key of the tests, 32 letters long"
STRANGE = b"a key that was never ours, 32 letters long"

ids = st.integers(1, 10**17)
generations = st.integers(1, 10**6)
anything = st.text(st.characters(), max_size=80)  # also halves of surrogate pairs, as a broken client sends them


@given(ids, generations)
def test_a_token_claims_the_id_and_the_generation_it_was_made_for(id: int, generation: int) -> None:
    given_out = token((NEW,), "booking", id, generation)

    assert claim((NEW,), "booking", given_out) == Claim(id, generation)
    assert set(given_out) <= set(string.ascii_lowercase + string.digits + "-")
    assert len(given_out.split("-")[2]) == 32  # 160 bits, five to a letter


@given(ids, generations)
def test_a_token_opens_nothing_of_another_purpose(id: int, generation: int) -> None:
    assert claim((NEW,), "feed", token((NEW,), "booking", id, generation)) is None


@given(ids, generations)
def test_a_token_made_with_a_foreign_key_is_none(id: int, generation: int) -> None:
    assert claim((NEW, OLD), "booking", token((STRANGE,), "booking", id, generation)) is None


@given(ids, generations, st.integers(1, 10**6))
def test_a_claim_shows_an_older_generation_and_it_cannot_be_raised(id: int, older: int, newer: int) -> None:
    assume(older != newer)
    given_out = token((NEW,), "booking", id, older)

    assert claim((NEW,), "booking", given_out) == Claim(id, older)
    assert claim((NEW,), "booking", given_out.replace(f"-{older}-", f"-{newer}-", 1)) is None


@given(ids, generations)
def test_an_old_key_opens_until_it_is_taken_out(id: int, generation: int) -> None:
    given_out = token((OLD,), "booking", id, generation)

    assert claim((NEW, OLD), "booking", given_out) == Claim(id, generation)
    assert claim((NEW,), "booking", given_out) is None
    assert token((NEW, OLD), "booking", id, generation) != given_out  # the newest signs


@given(ids, generations, st.data())
def test_a_token_with_one_letter_changed_is_none(id: int, generation: int, data: st.DataObject) -> None:
    given_out = token((NEW,), "booking", id, generation)
    at = data.draw(st.integers(0, len(given_out) - 1))
    other = data.draw(st.characters())
    assume(other != given_out[at])

    assert claim((NEW,), "booking", given_out[:at] + other + given_out[at + 1 :]) is None


@pytest.mark.parametrize(
    "change", [str.upper, lambda text: "0" + text, lambda text: text + "\n", lambda text: " " + text]
)
def test_only_the_very_token_opens(change) -> None:
    given_out = token((NEW,), "booking", 7, 1)

    assert claim((NEW,), "booking", change(given_out)) is None


numbers = st.text(string.digits + "٣²-", max_size=25)


@given(anything | st.builds("-".join, st.lists(numbers | anything, min_size=2, max_size=4)))
def test_garbage_is_none_and_never_an_error(garbage: str) -> None:
    assert claim((NEW, OLD), "booking", garbage) is None


@given(ids, generations)
def test_a_code_has_four_digits_and_opens_with_old_keys_too(id: int, generation: int) -> None:
    given_out = code(OLD, id, generation)

    assert len(given_out) == 4
    assert given_out.isdigit()
    assert is_code((NEW, OLD), given_out, id, generation)
    assert is_code((NEW,), given_out, id, generation) == (code(NEW, id, generation) == given_out)


@given(anything, ids)
def test_a_code_that_was_not_given_out_opens_nothing(typed: str, id: int) -> None:
    assert is_code((NEW,), typed, id, 1) == (typed == code(NEW, id, 1))


def test_codes_are_spread_over_all_four_digits() -> None:
    seen = [code(NEW, id, 1) for id in range(2000)]

    assert len(set(seen)) > 1700
    assert {one[0] for one in seen} == set(string.digits)


@given(st.text(), st.text())
def test_keys_and_pseudonyms_differ_by_purpose_and_tell_nothing(one: str, other: str) -> None:
    assume(one != other)

    assert derived_key(NEW, one.encode().hex()) != derived_key(NEW, other.encode().hex())
    assert pseudonym(NEW, "address", one) != pseudonym(NEW, "address", other)
    assert pseudonym(NEW, "address", one) == pseudonym(NEW, "address", one)
    assert pseudonym(NEW, "address", one) != pseudonym(OLD, "address", one)
    assert len(pseudonym(NEW, "address", one)) == 32
