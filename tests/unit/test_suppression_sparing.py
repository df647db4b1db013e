"""Who is suppressed gets nothing, and the others get the mail as if it had been written to them alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_workers.sparing import bare, recipients, spare

NAMES = "abcdef"
MAILBOXES = st.lists(st.sampled_from([f"{name}@example.com" for name in NAMES]), max_size=3)
CONTENTS = st.builds(
    lambda to, cc, bcc: {
        "stream": "outbound",
        "subject": "Hello",
        "to": to,
        **{name: value for name, value in {"cc": cc, "bcc": bcc}.items() if value},
    },
    to=MAILBOXES.filter(bool),
    cc=MAILBOXES,
    bcc=MAILBOXES,
)
SUPPRESSED = st.sets(st.sampled_from([("outbound", f"{name}@example.com") for name in NAMES]))


def content(**fields: Any) -> dict[str, Any]:
    return {"stream": "outbound", "subject": "Hello", **fields}


def out(*names: str, stream: str = "outbound") -> set[tuple[str, str]]:
    return {(stream, f"{name}@example.com") for name in names}


@pytest.mark.parametrize(
    ("mailbox", "address"),
    [
        ("Jane@Example.com", "jane@example.com"),
        ("Jane Doe <Jane@Example.com>", "jane@example.com"),
        ('"<joe@example.org>" <jane@example.com>', "jane@example.com"),
    ],
)
def test_an_address_is_found_in_whatever_stands_around_it(mailbox: str, address: str) -> None:
    assert bare(mailbox) == address


@given(CONTENTS, SUPPRESSED)
def test_no_one_who_is_suppressed_is_left_and_no_one_else_is_lost(
    given_: dict[str, Any], suppressed: set[tuple[str, str]]
) -> None:
    spared = spare(given_, suppressed)
    everybody = recipients([given_])
    if spared is None:
        assert not everybody & suppressed
        return
    assert {("outbound", address) for address in spared.left_out} == everybody & suppressed
    visible = recipients([{**given_, "bcc": []}]) - suppressed
    if spared.content is None:
        assert not visible
    else:
        assert recipients([spared.content]) == everybody - suppressed
        assert spared.content["to"]


@given(CONTENTS, SUPPRESSED)
def test_no_blind_copy_becomes_visible(given_: dict[str, Any], suppressed: set[tuple[str, str]]) -> None:
    spared = spare(given_, suppressed)
    if spared is not None and spared.content is not None:
        shown = [*spared.content["to"], *spared.content.get("cc", ())]
        assert set(shown) <= {*given_["to"], *given_.get("cc", ())}


def test_the_first_copy_becomes_the_recipient_when_there_is_no_other() -> None:
    mail = content(to=["a@example.com"], cc=["B <b@example.com>", "c@example.com"], bcc=["d@example.com"])
    spared = spare(mail, out("a"))
    assert spared is not None
    assert spared.content == content(to=["B <b@example.com>"], cc=["c@example.com"], bcc=["d@example.com"])
    assert spared.detail == "1 of 4 recipients is suppressed and was left out"


def test_a_mail_of_which_blind_copies_alone_are_left_is_suppressed() -> None:
    spared = spare(content(to=["a@example.com"], bcc=["b@example.com"]), out("a"))
    assert spared is not None
    assert spared.content is None
    assert spared.left_out == ["a@example.com"]
    assert spared.detail == "1 of 2 recipients is suppressed, and only blind copies would be left"


@pytest.mark.parametrize(
    ("to", "names", "detail"),
    [
        (["a@example.com"], "a", "its only recipient is suppressed"),
        (["a@example.com", "b@example.com"], "ab", "all 2 recipients are suppressed"),
        (
            ["a@example.com", "b@example.com", "c@example.com"],
            "ab",
            "2 of 3 recipients are suppressed and were left out",
        ),
    ],
)
def test_it_is_said_how_many_and_not_who(to: list[str], names: str, detail: str) -> None:
    spared = spare(content(to=to), out(*names))
    assert spared is not None
    assert spared.detail == detail


def test_another_stream_is_another_matter() -> None:
    assert spare(content(to=["a@example.com"]), out("a", stream="broadcast")) is None
