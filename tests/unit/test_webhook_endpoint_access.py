"""Who may tell us: what must hold, what stands in for it, and what is refused at the start."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_producers.webhooks.access import SKEW_S, Access, Standing, demanded, sign
from atum_schema import settings
from atum_schema.encryption import new_key
from atum_schema.errors import SettingsError

PASSWORD = "p" * 16
SECRET = "s" * 16
KEY = "k" * 32
NOW = 1_800_000_000.0
BODY = b'{"RecordType":"Delivery"}'


def access(**given: Any) -> Access:
    return demanded(
        settings.load(
            database_url="postgresql://x",
            content_keys=new_key("test"),
            **{f"webhook_{k}": v for k, v in given.items()},
        )
    )


def basic(user: str, password: str) -> dict[bytes, bytes]:
    return {b"authorization": b"Basic " + b64encode(f"{user}:{password}".encode())}


def signed(key: str = KEY, *, body: bytes = BODY, now: float = NOW) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() for name, value in sign(body, key=key, now=now).items()}


def genuine(found: Access, headers: dict[bytes, bytes], *, body: bytes = BODY, now: float = NOW) -> bool:
    """Judge a request to its end."""
    standing = found.standing(headers, now=now)
    return standing is Standing.GENUINE or (standing is Standing.CLAIMED and found.is_signed(headers, body))


def test_d12_either_of_two_live_values_opens_the_door_and_no_other() -> None:
    found = access(basic=f"old:{PASSWORD},new:{PASSWORD}2", secret=f"{SECRET},{SECRET}2")
    for user, password in (("old", PASSWORD), ("new", PASSWORD + "2")):
        for secret in (SECRET, SECRET + "2"):
            assert genuine(found, basic(user, password) | {b"x-atum-webhook-secret": secret.encode()})
    right = {b"x-atum-webhook-secret": SECRET.encode()}
    for user, password in (("old", PASSWORD + "2"), ("new", PASSWORD), ("nobody", PASSWORD), ("old", "")):
        assert not genuine(found, basic(user, password) | right)


def test_every_kind_that_is_configured_must_hold() -> None:
    found = access(basic=f"u:{PASSWORD}", secret=SECRET)
    assert not genuine(found, basic("u", PASSWORD))
    assert not genuine(found, {b"x-atum-webhook-secret": SECRET.encode()})
    assert not genuine(found, {})
    assert genuine(found, basic("u", PASSWORD) | {b"x-atum-webhook-secret": SECRET.encode()})


@pytest.mark.parametrize(
    "password",
    ["<script>%41&amp;%%20x", "pass:word:with:colons", "pässwörd-with-ümlauts", "'\"\\ sixteen or more"],
)
def test_d12_credentials_are_opaque_and_never_altered(password: str) -> None:
    found = access(basic=f"u:{password}", secret=password)
    assert genuine(found, basic("u", password) | {b"x-atum-webhook-secret": password.encode()})


@given(st.binary(max_size=60))
def test_no_other_header_is_taken_for_the_right_one(noise: bytes) -> None:
    found = Access(
        basic=access(basic=f"u:{PASSWORD}").basic,
        secrets=(),
        secret_header=b"x",
        signing_keys=(),
        window_s=300,
    )
    assert not genuine(found, {b"authorization": noise})
    assert not genuine(found, {b"authorization": b"Basic " + noise})


def test_a_header_with_anything_between_its_letters_is_another_header() -> None:
    found = access(basic=f"u:{PASSWORD}")
    header = basic("u", PASSWORD)[b"authorization"]
    assert genuine(found, {b"authorization": header.replace(b"Basic", b"bASIC")})
    for other in (header[:10] + b"-" + header[10:], b"Bearer" + header[5:], header[6:]):
        assert not genuine(found, {b"authorization": other}), other


def test_the_header_of_the_secret_may_have_another_name() -> None:
    found = access(secret=SECRET, secret_header="X-Tell")
    assert genuine(found, {b"x-tell": SECRET.encode()})
    assert not genuine(found, {b"x-atum-webhook-secret": SECRET.encode()})


def test_a_signature_stands_in_for_the_other_credentials() -> None:
    found = access(basic=f"u:{PASSWORD}", secret=SECRET, signing_keys=f"{KEY},{KEY}2")
    assert genuine(found, signed())
    assert genuine(found, signed(KEY + "2"))
    assert genuine(found, basic("u", PASSWORD) | {b"x-atum-webhook-secret": SECRET.encode()})


@pytest.mark.parametrize("prefix", [b"", b"v1=", b"sha256="])
def test_a_signature_may_say_what_it_is(prefix: bytes) -> None:
    headers = signed()
    name = b"x-atum-webhook-signature"
    headers[name] = prefix + headers[name].removeprefix(b"v1=").upper()
    assert genuine(access(signing_keys=KEY), headers)


def test_who_signs_badly_is_not_saved_by_a_password() -> None:
    found = access(basic=f"u:{PASSWORD}", signing_keys=KEY)
    for bad in (
        signed("x" * 32),
        signed(body=b"other"),
        {b"x-atum-webhook-timestamp": b"1800000000"},
        {b"x-atum-webhook-signature": signed()[b"x-atum-webhook-signature"]},
        signed() | {b"x-atum-webhook-timestamp": b"1800000001"},
        signed() | {b"x-atum-webhook-timestamp": b"2027-01-15T08:00:00Z"},
        signed() | {b"x-atum-webhook-signature": b"v1=abc"},
    ):
        assert not genuine(found, basic("u", PASSWORD) | bad)
    assert not genuine(access(basic=f"u:{PASSWORD}"), basic("u", PASSWORD) | signed())


def test_where_only_keys_are_configured_a_signature_is_demanded() -> None:
    found = access(signing_keys=KEY)
    assert not genuine(found, {})
    assert not genuine(found, basic("u", PASSWORD))


def test_d4_a_signature_counts_for_one_window_and_hardly_before_its_time() -> None:
    found = access(signing_keys=KEY, signature_window_s=300)
    for age, good in (
        (0, True),
        (300, True),
        (301, False),
        (-SKEW_S, True),
        (-SKEW_S - 1, False),
        (-300, False),
    ):
        assert genuine(found, signed(now=NOW - age), now=NOW) is good, age


def test_d4_an_event_is_known_for_longer_than_any_signature_counts() -> None:
    fields = settings.Settings.model_fields
    longest = max(m.le for m in fields["webhook_signature_window_s"].metadata if hasattr(m, "le"))
    shortest = min(m.ge for m in fields["webhook_retention_s"].metadata if hasattr(m, "ge"))
    assert shortest >= 2 * longest


def test_d1_without_any_credential_there_is_no_door() -> None:
    with pytest.raises(SettingsError, match="ATUM_WEBHOOK_BASIC, ATUM_WEBHOOK_SECRET"):
        access()


@pytest.mark.parametrize(
    "given", [{"basic": f"u:{KEY}"}, {"secret": KEY}, {"secret": f"{SECRET},{KEY}"}], ids=str
)
def test_d5_a_signing_key_that_travels_in_requests_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="ATUM_WEBHOOK_SIGNING_KEYS: a key is a password or secret too"):
        access(signing_keys=KEY, **given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"basic": "u:" + "v" * 15}, "ATUM_WEBHOOK_BASIC: a password is shorter than 16"),
        ({"secret": "v" * 15}, "ATUM_WEBHOOK_SECRET: a secret is shorter than 16"),
        ({"signing_keys": "v" * 31}, "ATUM_WEBHOOK_SIGNING_KEYS: a key is shorter than 32"),
        ({"basic": "v" * 20}, "ATUM_WEBHOOK_BASIC: must be user:password"),
        ({"basic": ":" + "v" * 20}, "ATUM_WEBHOOK_BASIC: must be user:password"),
        ({"secret": ""}, "ATUM_WEBHOOK_SECRET: a value is empty"),
        ({"secret": "v" * 16 + ","}, "ATUM_WEBHOOK_SECRET: a value is empty"),
        ({"secret": ",".join(["v" * 16] * 3)}, "ATUM_WEBHOOK_SECRET: there may be 2 values"),
        ({"secret": "v" * 16 + ", " + "v" * 16}, "ATUM_WEBHOOK_SECRET: a value begins or ends with a space"),
        ({"secret": "v" * 16 + "\n" + "v" * 16}, "ATUM_WEBHOOK_SECRET: a value begins or ends with a space"),
        ({"secret": SECRET, "secret_header": "X Y"}, "ATUM_WEBHOOK_SECRET_HEADER is no name"),
    ],
    ids=str,
)
def test_d12_what_is_weak_or_could_not_match_is_refused_at_the_start_and_not_shown(
    given: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)) as caught:
        access(**given)
    assert "vvv" not in str(caught.value)


def test_what_is_demanded_is_not_shown() -> None:
    found = access(basic=f"u:{PASSWORD}", secret=SECRET)
    assert PASSWORD not in repr(found)
    assert SECRET not in repr(found)
