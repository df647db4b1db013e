"""What goes into a log line may be anything; what comes out has no address and no credentials."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_schema.log_keys import HEAD, KEYS, TAIL
from atum_schema.log_line import Redaction, as_json
from atum_schema.scrub import scrub

WORDS = st.text(st.characters(exclude_characters="@%", exclude_categories=["Cs"]), max_size=60)
LOCALS = st.from_regex(r"[a-z0-9.!#$&*+/=?^_{|}~-]{1,30}", fullmatch=True)
DOMAINS = st.from_regex(r"[a-z0-9-]{1,20}\.(example|test)", fullmatch=True)
PASSWORDS = st.from_regex(r"[A-Za-z0-9!$&*+=?^_{|}~,;:/@-]{8,40}", fullmatch=True)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.uuids(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(before=WORDS, local=LOCALS, domain=DOMAINS, after=WORDS, at=st.sampled_from(["@", "%40"]))
def test_no_address_comes_out(before: str, local: str, domain: str, after: str, at: str) -> None:
    out = scrub(f"{before} {local}{at}{domain} {after}")
    assert f"{at}{domain}" not in out


@given(before=WORDS, scheme=st.sampled_from(["amqp", "amqps", "postgresql", "https"]), password=PASSWORDS)
def test_no_password_of_a_url_comes_out(before: str, scheme: str, password: str) -> None:
    out = scrub(f"{before} {scheme}://user:{password}@127.0.0.1:5672/vhost is away", most=2000)
    assert password not in out
    assert f"{scheme}://<credentials>@127.0.0.1:5672/vhost is away" in out


@given(name=st.sampled_from(["password", "PASSWORD", "token", "api_key", "secret"]), value=PASSWORDS)
@pytest.mark.parametrize("between", ["=", ": ", " = '", '": "'])
def test_what_is_called_a_secret_is_left_out(name: str, value: str, between: str) -> None:
    end = between[-1] if between[-1] in "'\"" else ""
    assert value not in scrub(f"host=db {name}{between}{value}{end} port=1")


@given(text=st.text(max_size=50), local=LOCALS, domain=DOMAINS)
def test_an_address_that_is_cut_leaves_no_half(text: str, local: str, domain: str) -> None:
    filling = "word " * 397
    out = scrub(f"{filling}{text} {local}@{domain}" + " more" * 100, most=3000)
    assert f"@{domain}" not in out


def test_nothing_but_addresses_up_to_where_a_text_is_cut_leaves_no_half_either() -> None:
    whole = ",".join(f"{'a' * 80}{place}@b.example" for place in range(10, 31))
    text = f"{whole},jane.doe@example.com"
    # The cut is behind the name.
    text = f"{'x' * (2000 - text.index('@example.com') - 1)},{text}"
    assert "jane.doe" not in scrub(text)


@pytest.mark.parametrize(
    "text", ["a" * 1999 + "@", "a'" * 999 + "@", '"' * 1999 + "@", "a@'" * 666, "a:" * 999 + "@"]
)
def test_whatever_a_text_is_made_of_it_costs_no_time(text: str) -> None:
    def cost() -> float:
        began = time.thread_time()
        scrub(text)
        return time.thread_time() - began

    assert min(cost() for _ in range(3)) < 0.01


@given(
    line=st.dictionaries(
        st.sampled_from(sorted(set(KEYS) - {*HEAD, *TAIL})) | st.text(), ANYTHING, max_size=6
    ),
    place=st.sampled_from(["detail", "mail", "counts", "strange key"]),
    local=LOCALS,
    domain=DOMAINS,
)
def test_whatever_is_logged_is_one_object_without_address_and_secret(
    line: dict[str, Any], place: str, local: str, domain: str
) -> None:
    address, secret = f"{local}@{domain}", "a secret; of settings"
    said = {
        **line,
        place: [address, {address: secret}],
        "exception": f"{secret}\n{address}\n",
        "event": f"{secret} {address}",
    }
    text = as_json(None, "", Redaction([secret])(None, "", said))
    assert "\n" not in text
    document = orjson.loads(text)
    assert document.keys() <= KEYS.keys()
    assert f"@{domain}" not in text
    assert secret not in text
    if place == "strange key":
        assert "?" in document["dropped"]


def test_keys_that_nobody_knows_are_left_out_and_named() -> None:
    line = {
        "event": "x",
        "logger": "atum_schema.x",
        "recipient": "jane",
        "subject": "Hi",
        "mail": UUID(int=1),
    }
    out = Redaction([])(None, "", line)
    assert out["dropped"] == ["recipient", "subject"]
    assert "jane" not in str(out)
    assert out["mail"] == "00000000-0000-0000-0000-000000000001"


def test_the_longest_of_secrets_that_begin_alike_goes_whole() -> None:
    out = Redaction(["password", "password-of-two"])(None, "", {"event": "it is password-of-two"})
    assert out["event"] == "it is <secret>"
