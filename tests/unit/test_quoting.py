"""What a provider quotes of a mail is not kept as its words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_producers.intake_rejections import Rejection
from atum_schema.errors import IdempotencyConflict
from atum_workers.outcome import Accepted, Deferred, Outcome, Rejected, Unclear
from atum_workers.quoting import unquoted

CONTENT: dict[str, Any] = {
    "from": "Blumen Kleber <shop@example.com>",
    "to": ['"Jane \\"JD\\" Doe" <jane@example.net>', "bob@example.net"],
    "subject": "Your order of roses",
    "stream": "outbound",
}


def outcome(kind: type[Any], words: str) -> Outcome:
    if kind is Accepted:
        return Accepted("id", words)
    extra = {"charged": True} if kind is Deferred else {}
    made: Outcome = kind(reason="invalid", detail=words, **extra)
    return made


def words(one: Outcome) -> str | None:
    return one.remark if isinstance(one, Accepted) else one.detail


@pytest.mark.parametrize("kind", [Accepted, Rejected, Deferred, Unclear])
@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Found inactive: Blumen Kleber <<address>>.", "Found inactive: <quoted> <<address>>."),
        ('No: Jane "JD" Doe', "No: <quoted>"),
        ("Bad subject 'Your order of roses'", "Bad subject '<quoted>'"),
        ("Bad subject 'Your order of", "Bad subject '"),
        ("Nothing of it", "Nothing of it"),
    ],
)
def test_names_and_subjects_leave_the_words(kind: type[Any], said: str, kept: str) -> None:
    (one,) = unquoted([outcome(kind, said)], [CONTENT])
    assert words(one) == kept


def test_what_another_mail_of_the_batch_holds_leaves_them_too() -> None:
    other = {**CONTENT, "subject": "Your order of lilies"}
    said = unquoted([Accepted("id"), outcome(Rejected, "it is Your order of lilies")], [CONTENT, other])
    assert [words(one) for one in said] == [None, "it is <quoted>"]


@given(subject=st.text(min_size=3, max_size=30), before=st.text(max_size=20), after=st.text(max_size=20))
def test_no_subject_comes_out(subject: str, before: str, after: str) -> None:
    said = f"{before}{subject}{after}"
    (one,) = unquoted([outcome(Rejected, said)], [{**CONTENT, "subject": subject}])
    assert subject not in (words(one) or "").replace("<quoted>", "")


@pytest.mark.parametrize(
    ("field", "reason", "told"),
    [
        (
            "to[1]",
            "the address 'jane@@x.example' has '@' before the \"@\"",
            "the address '…' has '@' before the \"@\"",
        ),
        ("from", "has the domain 'kleber' without a dot", "has the domain '…' without a dot"),
        (
            "lane",
            "is 'express', must be one of transactional, broadcast",
            "is 'express', must be one of transactional, broadcast",
        ),
        ("document", "is not JSON: it has jane@example.net", "is not JSON: it has <address>"),
        # A key may be made of anything that an application knows of its customers.
        (
            "idempotency_key",
            "is 'reset Jane Dö'; allowed are printable ASCII",
            "is '…'; allowed are printable ASCII",
        ),
    ],
)
def test_the_header_of_a_rejected_job_has_nothing_of_its_mail(field: str, reason: str, told: str) -> None:
    assert Rejection(field=field, reason=reason).told == told


def test_a_key_that_is_known_already_is_not_in_the_header_either() -> None:
    told = Rejection.of(IdempotencyConflict("shop", "reset-jane-doe")).told
    assert "jane" not in told
    assert "was used before with different content" in told
