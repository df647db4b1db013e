"""Content at rest: bound to its row and its key, unreadable otherwise, and never in a message."""

from __future__ import annotations

import base64
import copy
import uuid
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_schema.encryption import Keyring, new_key
from atum_schema.errors import ContentUnreadable, SettingsError

OLD: Final = new_key("2025-01")
NEW: Final = new_key("2026-01")
SECRET: Final = b"the reset link is https://shop.example/reset?t=1f0c"


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(f"{NEW},{OLD}")


def assert_tells_nothing(error: BaseException, *secrets: str) -> None:
    for text in (str(error), repr(error)):
        assert not [secret for secret in (SECRET.decode(), *secrets) if secret in text]
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None


@given(mail_id=st.uuids(), content=st.binary(max_size=2000))
def test_what_was_encrypted_can_be_read_again(mail_id: uuid.UUID, content: bytes) -> None:
    keyring = Keyring(NEW)
    stored = keyring.encrypt(mail_id, content)
    assert keyring.decrypt(mail_id, keyring.active, stored) == content


@given(content=st.binary(min_size=8, max_size=200))
def test_stored_content_does_not_contain_what_it_hides_and_is_never_the_same_twice(content: bytes) -> None:
    keyring, mail_id = Keyring(NEW), uuid.uuid4()
    first, second = keyring.encrypt(mail_id, content), keyring.encrypt(mail_id, content)
    assert content not in first
    assert first != second
    # LZ4 puts four bytes of size in front, and lets nothing grow by more than a 255th and 16 bytes.
    assert len(first) <= 1 + 12 + 4 + len(content) + len(content) // 255 + 16 + 16


@given(data=st.data())
def test_one_altered_byte_anywhere_makes_content_unreadable(data: st.DataObject) -> None:
    keyring, mail_id = Keyring(NEW), uuid.uuid4()
    stored = bytearray(keyring.encrypt(mail_id, SECRET))
    place = data.draw(st.integers(0, len(stored) - 1))
    stored[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ContentUnreadable, match=str(mail_id)) as caught:
        keyring.decrypt(mail_id, keyring.active, bytes(stored))
    assert_tells_nothing(caught.value)


def test_content_that_was_moved_to_another_row_is_unreadable(keyring: Keyring) -> None:
    stored = keyring.encrypt(uuid.uuid4(), SECRET)
    with pytest.raises(ContentUnreadable) as caught:
        keyring.decrypt(uuid.uuid4(), keyring.active, stored)
    assert_tells_nothing(caught.value)


def test_content_that_was_relabelled_with_another_key_is_unreadable(keyring: Keyring) -> None:
    mail_id = uuid.uuid4()
    stored = keyring.encrypt(mail_id, SECRET)
    with pytest.raises(ContentUnreadable, match="2025-01") as caught:
        keyring.decrypt(mail_id, "2025-01", stored)
    assert_tells_nothing(caught.value)


def test_the_key_id_is_bound_even_when_two_ids_name_the_same_key() -> None:
    key = NEW.partition(":")[2]
    keyring, mail_id = Keyring(f"a:{key},b:{key}"), uuid.uuid4()
    with pytest.raises(ContentUnreadable):
        keyring.decrypt(mail_id, "b", keyring.encrypt(mail_id, SECRET))


def test_content_under_a_key_that_is_not_in_the_keyring_names_the_key_id(keyring: Keyring) -> None:
    mail_id = uuid.uuid4()
    stored = keyring.encrypt(mail_id, SECRET)
    with pytest.raises(ContentUnreadable, match="2026-01") as caught:
        Keyring(OLD).decrypt(mail_id, "2026-01", stored)
    assert_tells_nothing(caught.value)


def test_stored_content_that_was_cut_short_anywhere_is_unreadable(keyring: Keyring) -> None:
    mail_id = uuid.uuid4()
    stored = keyring.encrypt(mail_id, SECRET)
    for length in range(len(stored)):
        with pytest.raises(ContentUnreadable) as caught:
            keyring.decrypt(mail_id, keyring.active, stored[:length])
        assert_tells_nothing(caught.value)


def test_long_repetitive_content_takes_less_room_than_it_had(keyring: Keyring) -> None:
    content = b"<td style='padding:0'>row</td>" * 1000
    stored = keyring.encrypt(uuid.uuid4(), content)
    assert len(stored) < len(content) / 10


def test_the_first_key_encrypts_and_all_decrypt_so_keys_can_rotate() -> None:
    mail_id = uuid.uuid4()
    before = Keyring(OLD)
    rotated = Keyring(f"{NEW},{OLD}")
    assert rotated.active == "2026-01"
    assert rotated.decrypt(mail_id, "2025-01", before.encrypt(mail_id, SECRET)) == SECRET
    assert Keyring(NEW).decrypt(mail_id, "2026-01", rotated.encrypt(mail_id, SECRET)) == SECRET


@pytest.mark.parametrize("text", ["", " ", ",", " , ,"])
def test_without_a_key_nothing_starts_because_content_is_never_stored_in_clear(text: str) -> None:
    with pytest.raises(SettingsError, match="ATUM_CONTENT_KEYS: no key"):
        Keyring(text)


def _encoded(length: int) -> str:
    return base64.b64encode(b"\x5a" * length).decode()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"k1:{_encoded(16)}", "16 bytes long, must be 32"),
        (f"k1:{_encoded(33)}", "33 bytes long, must be 32"),
        (f"k1:{_encoded(32)[:-2]}!!", "not base64"),
        (f"k 1:{_encoded(32)}", "the id before ':'"),
        (f":{_encoded(32)}", "the id before ':'"),
        (f"{'k' * 33}:{_encoded(32)}", "the id before ':'"),
        (f"{_encoded(32)}", "has no id; the form is id:base64"),
        (f"{_encoded(18)}", "has no id; the form is id:base64"),
        ("5a" * 16, "has no id; the form is id:base64"),
    ],
)
def test_a_malformed_key_is_refused_at_its_place_without_being_shown(text: str, says: str) -> None:
    with pytest.raises(SettingsError, match="ATUM_CONTENT_KEYS: key 1") as caught:
        Keyring(f"{OLD},{text}")
    assert says in str(caught.value)
    assert_tells_nothing(caught.value, "WlpaWlpa", "5a5a", OLD.partition(":")[2])


def test_a_key_id_that_appears_twice_is_refused() -> None:
    with pytest.raises(SettingsError, match="twice"):
        Keyring(f"{OLD},{new_key('2025-01')}")


def test_a_keyring_shows_no_key(keyring: Keyring) -> None:
    for shown in (repr(keyring), str(keyring), f"{keyring}"):
        assert "2026-01" in shown
        assert not [key for key in (OLD, NEW) if key.partition(":")[2] in shown]
    with pytest.raises(TypeError):
        copy.deepcopy(keyring)


@pytest.mark.parametrize("key_id", ["", "a b", "k:1", "k" * 33, "ключ"])
def test_a_new_key_has_an_id_that_can_be_read_again(key_id: str) -> None:
    with pytest.raises(SettingsError, match="must be 1 to 32 letters"):
        new_key(key_id)


def test_new_keys_are_random_and_of_the_form_that_is_read() -> None:
    keys = {new_key("k") for _ in range(50)}
    assert len(keys) == 50
    assert all(Keyring(key).active == "k" for key in keys)
