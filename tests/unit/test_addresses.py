"""The one address parser: what it takes, what it keeps, and what it says when it refuses."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atum_schema.addresses import Address, folded, parse_address, parse_addresses
from atum_schema.errors import MailRejected

_ATEXT = string.ascii_letters + string.digits + ".!#$%&'`*+-/=^_{}|~"
_LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
_EMAILS = st.builds(
    lambda mailbox, labels: f"{mailbox}@{'.'.join(labels)}",
    st.text(_ATEXT, min_size=1, max_size=30),
    st.lists(_LABELS, min_size=2, max_size=4),
)
_NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=60
).filter(lambda name: not any("\u202a" <= c <= "\u202e" for c in name))
ADDRESSES = st.builds(Address, _NAMES, _EMAILS)


@given(ADDRESSES)
def test_an_address_and_what_is_kept_of_it_are_folded_alike(address: Address) -> None:
    assert folded(f" {address.email.upper()} ") == folded(address.email) == address.email.lower()


@pytest.mark.parametrize(
    ("said", "compared"),
    [
        ("Info@Bücher.example", "info@xn--bcher-kva.example"),
        ("info@例え。jp", "info@xn--r8jz45g.jp"),
        ("jürgen@example.com", "jürgen@example.com"),
        ("info@b‍cher.example", "info@b‍cher.example"),
        ("Bücher", "bücher"),
        ("", ""),
    ],
)
def test_what_others_say_of_an_address_is_compared_as_ours_are_kept(said: str, compared: str) -> None:
    assert folded(said) == compared


@settings(deadline=None)
@given(ADDRESSES)
def test_every_address_reads_back_as_itself(address: Address) -> None:
    assert parse_address(str(address)) == address


@settings(deadline=None)
@given(st.lists(ADDRESSES, min_size=1, max_size=5))
def test_every_joined_list_reads_back_in_order(addresses: list[Address]) -> None:
    assert parse_addresses(", ".join(map(str, addresses))) == tuple(addresses)


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_read_or_refused_with_field_and_reason(text: str) -> None:
    try:
        addresses = parse_addresses(text, field="to")
    except MailRejected as error:
        refusal = error
    else:
        assert all("@" in address.email for address in addresses)
        return
    assert refusal.field.startswith("to[")
    assert refusal.reason


@pytest.mark.parametrize(
    ("text", "name", "email"),
    [
        ("jane@example.com", "", "jane@example.com"),
        ("<jane@example.com>", "", "jane@example.com"),
        ("  jane@example.com  ", "", "jane@example.com"),
        ("Jane Doe <jane@example.com>", "Jane Doe", "jane@example.com"),
        ("Jane Doe<jane@example.com>", "Jane Doe", "jane@example.com"),
        ("Jane   Q. Doe <jane@example.com>", "Jane Q. Doe", "jane@example.com"),
        ('"Doe, Jane" <jane@example.com>', "Doe, Jane", "jane@example.com"),
        (r'"Jane \"JD\" Doe" <jane@example.com>', 'Jane "JD" Doe', "jane@example.com"),
        ("ACME (Support) <support@example.com>", "ACME (Support)", "support@example.com"),
        ("jane@example.com (Jane Doe)", "Jane Doe", "jane@example.com"),
        ("jane@example.com <jane@example.com>", "jane@example.com", "jane@example.com"),
        ("山田太郎 <taro@example.com>", "山田太郎", "taro@example.com"),
        ("Jane.Doe@EXAMPLE.Com", "", "Jane.Doe@example.com"),
        ("o'brien+tag@example.com", "", "o'brien+tag@example.com"),
        ("info@Bücher.example", "", "info@xn--bcher-kva.example"),
        ("info@例え。jp", "", "info@xn--r8jz45g.jp"),
        ("a..b@example.com", "", "a..b@example.com"),
    ],
)
def test_a_mailbox_gives_its_name_and_address(text: str, name: str, email: str) -> None:
    assert parse_address(text) == Address(name, email)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("Jane Doe", "display name without an address"),
        ('"Jane Doe"', "display name without an address"),
        ("jane", 'has no "@"'),
        ("@example.com", 'nothing before the "@"'),
        ("jane@", 'no domain after the "@"'),
        ("jane@example", "without a dot"),
        ("jane@-example.com", "not a valid domain name"),
        ("jane@exa_mple.com", "not a valid domain name"),
        ("jane@example..com", "not a valid domain name"),
        ("jane@[127.0.0.1]", "address literal"),
        ("jöhn@example.com", "non-ASCII mailbox"),
        ('"john doe"@example.com', "quoted mailbox"),
        ('John <"john doe"@example.com>', "quoted mailbox"),
        ("jane?@example.com", "'?'"),
        ("Jane jane@example.com", "Name <address>"),
        ("Jane <jane@example.com> Doe", "text after the address"),
        ("a@example.com <b@example.com> <c@example.com>", "more than one address"),
        ("Team: jane@example.com;", "groups are not accepted"),
        ("a@example.com; b@example.com", "separated by commas"),
        ('"Jane <jane@example.com>', "quote that is never closed"),
        ("Jane (<jane@example.com>", "parenthesis that is never closed"),
        ("Jane <jane@example.com", "without its counterpart"),
        ("Jane\r\nBcc: x@example.com", "groups are not accepted"),
        ("Jane\x00 <jane@example.com>", "NUL"),
        ("Jane \u202egpj <jane@example.com>", "U+202E"),
        ("jane@example.com\n", "U+000A"),
        ("Jane\r\n Doe <jane@example.com>", "U+000D"),
        ("jane@\ud800.com", "lone surrogate"),
        ("x" * 250 + "@example.com", "the limit is 254"),
        ("n" * 256 + " <jane@example.com>", "is 256 characters long, the limit is 255"),
        ("jane@xn--" + "a" * 70 + ".com", "not a valid domain name"),
        ("jane@b\u00fc\u200d.com", "not a valid international name"),
    ],
)
def test_a_bad_mailbox_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(MailRejected) as caught:
        parse_addresses(text, field="to")
    assert caught.value.field == "to[0]"
    assert reason in caught.value.reason


def test_a_name_and_address_are_never_glued_together() -> None:
    """Predecessor A6: "Jane Doe <jane@x.com>" was logged as "JaneDoejane@x.com"."""
    (address,) = parse_addresses("Jane Doe <jane@example.com>")
    assert (address.name, address.email) == ("Jane Doe", "jane@example.com")
    assert str(address) == "Jane Doe <jane@example.com>"


def test_one_bad_recipient_refuses_all_and_is_named() -> None:
    """Predecessor A13: invalid recipients were dropped and the rest was sent."""
    with pytest.raises(MailRejected) as caught:
        parse_addresses("a@example.com, not-an-address, c@example.com", field="to")
    assert caught.value.field == "to[1]"


def test_an_empty_item_of_a_list_is_refused_by_its_index() -> None:
    with pytest.raises(MailRejected) as caught:
        parse_addresses("a@example.com, ", field="cc")
    assert (caught.value.field, caught.value.reason) == ("cc[1]", "is empty")


def test_commas_in_quotes_comments_and_brackets_do_not_separate() -> None:
    names = [a.name for a in parse_addresses('"Doe, Jane" <j@example.com>, b@example.com (Bob, the builder)')]
    assert names == ["Doe, Jane", "Bob, the builder"]


def test_a_list_may_mix_text_and_addresses() -> None:
    addresses = parse_addresses(["Jane <j@example.com>", Address("", "b@example.org")])
    assert [str(a) for a in addresses] == ["Jane <j@example.com>", "b@example.org"]


def test_an_item_of_a_list_holds_one_mailbox() -> None:
    with pytest.raises(MailRejected, match=r"to\[0\]: holds more than one address"):
        parse_addresses(["a@example.com, b@example.com"], field="to")


@pytest.mark.parametrize("value", [7, b"a@example.com", None])
def test_what_is_no_list_is_refused_by_type(value: object) -> None:
    with pytest.raises(MailRejected, match="must be a string or a list of addresses"):
        parse_addresses(value, field="to")  # type: ignore[arg-type]


def test_what_is_no_address_in_a_list_is_refused_by_type() -> None:
    with pytest.raises(MailRejected, match=r"to\[1\]: must be a string or an Address, not int"):
        parse_addresses(["a@example.com", 7], field="to")  # type: ignore[list-item]


def test_a_name_that_looks_like_an_encoded_word_is_quoted() -> None:
    assert str(Address("=?utf-8?q?x?=", "a@example.com")) == '"=?utf-8?q?x?=" <a@example.com>'


def test_the_domain_is_given_alone() -> None:
    assert Address("", "a@Example.COM").domain == "example.com"


@pytest.mark.parametrize(
    "text", ["(" * 50_000, '"\\' * 50_000, "<" * 50_000, "a " * 50_000, "a@" + "a-" * 50_000]
)
def test_hostile_text_is_refused_without_delay(text: str) -> None:
    with pytest.raises(MailRejected):
        parse_addresses(text, field="to")
