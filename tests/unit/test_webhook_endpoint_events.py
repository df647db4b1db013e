"""What is stored of a body: all of it, whatever it is, and the same only if it is the same."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_producers.webhooks import events
from atum_schema.encryption import Keyring, new_key
from tests.webhooks import delivery

KEYS = Keyring(new_key("test"))


def identity(body: Any, *, trace: str | None = None) -> bytes:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return events.arrival(raw, keyring=KEYS, trace=trace).dedupe


def kept(body: bytes) -> bytes:
    arrival = events.arrival(body, keyring=KEYS, trace=None)
    return KEYS.decrypt(arrival.id, KEYS.active, arrival.body)


@given(st.binary(max_size=300))
def test_whatever_comes_is_kept_as_it_came(body: bytes) -> None:
    assert kept(body) == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"a": NaN}',
        b"\xff",
        b'{"a":"\\ud800"}',
    ],
    ids=lambda body: repr(body[:8]),
)
def test_what_nobody_can_read_is_kept_and_known_when_it_comes_again(body: bytes) -> None:
    assert kept(body) == body
    assert identity(body) == identity(body)
    assert identity(body) != identity(body + b" ")


def test_d13_the_trace_id_tells_copies_and_without_it_what_the_event_is_about() -> None:
    event = delivery()
    assert identity(event, trace="t") == identity(event | {"Details": "other words"}, trace="t")
    assert identity(event, trace="t") != identity(event, trace="u")
    assert identity(event) == identity(event | {"Details": "other words"})
    for field, other in (
        ("Recipient", "joe@example.net"),
        ("MessageID", "m"),
        ("DeliveredAt", "2026-11-14T10:00:00Z"),
    ):
        assert identity(event) != identity(event | {field: other})


def test_events_that_nobody_knows_yet_are_not_taken_for_one() -> None:
    assert identity({"RecordType": "Telepathy", "A": 1}) != identity({"RecordType": "Telepathy", "A": 2})
    message = {"RecordType": "Telepathy", "MessageID": "m", "Recipient": "jane@example.net"}
    assert identity(message | {"A": 1}) != identity(message | {"A": 2})
    assert identity({"A": 1}) != identity({"A": 2})
    assert identity({"RecordType": "Bounce", "Name": "a"}) != identity({"RecordType": "Bounce", "Name": "b"})


def test_d11_the_mail_that_a_large_event_quotes_is_left_out_and_that_is_noted() -> None:
    event = delivery(RecordType="Bounce", ID=4, Content="x" * events.QUOTED_BYTES)
    found = orjson.loads(kept(orjson.dumps(event)))
    assert found == {name: value for name, value in event.items() if name != "Content"} | {
        "ContentDropped": True
    }
    assert identity(event) == identity(event | {"Content": "short"})


def test_a_small_event_keeps_what_it_quotes() -> None:
    body = orjson.dumps(delivery(Content="x" * 1000))
    assert kept(body) == body
