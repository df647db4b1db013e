"""What a replay of a mail would come to: one total decision."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_schema.addresses import Address
from atum_schema.replaying import (
    Facts,
    Judged,
    Kin,
    Posted,
    Recipients,
    Told,
    Verdict,
    judge,
    judge_discard,
    recipients,
)
from atum_schema.status import PROVEN, WAITING, Status
from atum_workers.sparing import spare

AT = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
MAIL, CHILD = UUID(int=1), UUID(int=2)
STREAM = "outbound"


def facts(**changes: Any) -> Facts:
    """Make the facts of a dead mail that would be sent."""
    dead = Facts(
        mail_id=MAIL,
        cycle=1,
        status="dead",
        stream=STREAM,
        recipients=Recipients(("a@example.net",), ()),
        finished_at=AT,
        is_expired=False,
        has_content=True,
    )
    return dead._replace(**changes)


def suppressing(*addresses: str) -> set[tuple[str, str]]:
    return {(STREAM, address) for address in addresses}


SENT_AGAIN = f"it was sent again as {CHILD}, which is "

CASES: dict[str, tuple[dict[str, Any], set[tuple[str, str]], Verdict, str]] = {
    "a dead mail": ({}, set(), Verdict.WOULD_SEND, ""),
    "delivered": (
        {"status": "delivered"},
        set(),
        Verdict.ALREADY_DELIVERED,
        "it is delivered, 2026-11-01 12:00:00 UTC",
    ),
    "bounced (A9)": (
        {"status": "bounced"},
        set(),
        Verdict.ALREADY_DELIVERED,
        "it is bounced, 2026-11-01 12:00:00 UTC",
    ),
    "complained (A9)": (
        {"status": "complained"},
        set(),
        Verdict.ALREADY_DELIVERED,
        "it is complained, 2026-11-01 12:00:00 UTC",
    ),
    "accepted by an earlier POST": (
        {"posts": (Posted("unknown", AT, None), Posted("accepted", AT, "0a12"))},
        set(),
        Verdict.ALREADY_DELIVERED,
        "the provider accepted it as 0a12, 2026-11-01 12:00:00 UTC",
    ),
    "told of by the provider": (
        {"told": (Told("opened", AT.replace(hour=14)), Told("delivered", AT))},
        set(),
        Verdict.ALREADY_DELIVERED,
        "the provider told: delivered, 2026-11-01 12:00:00 UTC",
    ),
    "sent again, delivered": (
        {"kin": (Kin(CHILD, "delivered"),)},
        set(),
        Verdict.ALREADY_DELIVERED,
        SENT_AGAIN + "delivered",
    ),
    "sent again, under way": (
        {"kin": (Kin(CHILD, "retrying"),)},
        set(),
        Verdict.UNDER_WAY,
        SENT_AGAIN + "retrying",
    ),
    "sent again, dead too": ({"kin": (Kin(CHILD, "dead"),)}, set(), Verdict.WOULD_SEND, ""),
    "an earlier POST that nobody could prove": (
        {"posts": (Posted("unknown", AT, None),)},
        set(),
        Verdict.WOULD_SEND,
        "what became of an earlier POST was never proven",
    ),
    "an earlier batch is not settled": (
        {"held_by": "unknown"},
        set(),
        Verdict.UNDER_WAY,
        "an earlier batch of it is unknown",
    ),
    "waits": ({"status": "queued"}, set(), Verdict.UNDER_WAY, "it is queued"),
    "expired": ({"is_expired": True}, set(), Verdict.EXPIRED, "its expires_at has passed"),
    "content gone": ({"has_content": False}, set(), Verdict.CONTENT_GONE, "its content was dropped"),
    "suppressed": (
        {},
        suppressing("a@example.net"),
        Verdict.SUPPRESSED,
        "its only recipient is suppressed",
    ),
    "suppressed in another stream": ({}, {("broadcast", "a@example.net")}, Verdict.WOULD_SEND, ""),
    "partly suppressed": (
        {"recipients": Recipients(("a@example.net", "b@example.net"), ("c@example.net",))},
        suppressing("a@example.net"),
        Verdict.WOULD_SEND,
        "1 of 3 recipients is suppressed and would be left out",
    ),
    "all suppressed": (
        {"recipients": Recipients(("a@example.net", "b@example.net"), ())},
        suppressing("a@example.net", "b@example.net"),
        Verdict.SUPPRESSED,
        "all 2 recipients are suppressed",
    ),
    "blind copies left": (
        {"recipients": Recipients(("a@example.net",), ("c@example.net",))},
        suppressing("a@example.net"),
        Verdict.SUPPRESSED,
        "1 of 2 recipients is suppressed, and only blind copies would be left",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_case_has_its_verdict_and_says_why(name: str) -> None:
    changes, suppressed, verdict, detail = CASES[name]
    assert judge(facts(**changes), suppressed) == Judged(verdict, detail)


def test_an_old_cycle_is_superseded_and_another_end_is_no_dead_letter() -> None:
    """A8: what was replayed since is not replayed again."""
    assert judge(facts(cycle=3), set(), cycle=2) == Judged(
        Verdict.SUPERSEDED, "cycle 2 is over, the mail is in cycle 3"
    )
    assert judge(facts(cycle=3), set(), cycle=3).verdict is Verdict.WOULD_SEND
    assert judge(facts(status="canceled"), set()) == Judged(Verdict.NOT_DEAD, "it is canceled")
    assert judge(facts(status="canceled"), set(), letter=False).verdict is Verdict.WOULD_SEND


anything = st.builds(
    facts,
    status=st.sampled_from([status.value for status in Status]),
    cycle=st.integers(1, 3),
    recipients=st.builds(
        Recipients,
        st.lists(st.sampled_from(["a", "b", "c"]), min_size=1).map(tuple),
        st.lists(st.sampled_from(["a", "b", "d"])).map(tuple),
    ),
    is_expired=st.booleans(),
    has_content=st.booleans(),
    held_by=st.none() | st.sampled_from(["posting", "unknown"]),
    posts=st.lists(st.builds(Posted, st.sampled_from(["accepted", "unknown"]), st.just(AT), st.none())).map(
        tuple
    ),
    told=st.lists(st.builds(Told, st.sampled_from(["delivered", "opened"]), st.just(AT))).map(tuple),
    kin=st.lists(st.builds(Kin, st.just(CHILD), st.sampled_from([status.value for status in Status]))).map(
        tuple
    ),
)
some = st.sets(st.sampled_from(["a", "b", "c", "d"])).map(lambda out: suppressing(*out))


@given(anything, some, st.none() | st.integers(1, 3), st.booleans())
def test_only_what_nothing_speaks_against_would_be_sent(
    known: Facts, suppressed: set[tuple[str, str]], cycle: int | None, letter: bool
) -> None:
    judged = judge(known, suppressed, cycle=cycle, letter=letter)
    kin = {one.status for one in known.kin}
    against = (
        known.status in PROVEN | WAITING | {"unknown", "held"}
        or any(post.outcome == "accepted" for post in known.posts)
        or bool(known.told)
        or bool(kin & (PROVEN | WAITING | {"unknown", "held"}))
        or known.held_by is not None
        or cycle not in {None, known.cycle}
        or (letter and known.status != "dead")
        or known.is_expired
        or not known.has_content
        or all((STREAM, address) in suppressed for address in known.recipients.seen)
    )
    assert (judged.verdict is Verdict.WOULD_SEND) == (not against)
    assert judge(known, suppressed, cycle=cycle, letter=letter) == judged


@given(anything, st.none() | st.integers(1, 3))
def test_only_what_is_dead_can_be_given_up(known: Facts, cycle: int | None) -> None:
    judged = judge_discard(known, cycle=cycle)
    assert (judged.verdict is Verdict.WOULD_DISCARD) == (
        known.status == "dead" and cycle in {None, known.cycle}
    )


names = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=12)
mailboxes = st.builds(Address, names, st.from_regex(r"[A-Za-z]{1,5}@[a-z]{1,5}\.example", fullmatch=True))


@given(
    st.lists(mailboxes, min_size=1, max_size=4),
    st.lists(mailboxes, max_size=3),
    st.lists(mailboxes, max_size=3),
)
def test_the_lines_of_the_log_are_read_whatever_names_stand_in_them(
    to: list[Address], cc: list[Address], bcc: list[Address]
) -> None:
    lines = [", ".join(map(str, line)) or None for line in (to, cc, bcc)]
    assert lines[0] is not None
    found = recipients(lines[0], lines[1], lines[2])
    assert found == Recipients(
        tuple(one.email.lower() for one in (*to, *cc)), tuple(one.email.lower() for one in bcc)
    )


bare = st.sampled_from(["a@example.net", "b@example.net", "c@example.net"])


@given(
    st.lists(bare, min_size=1, max_size=3),
    st.lists(bare, max_size=2),
    st.lists(bare, max_size=2),
    st.sets(bare),
)
def test_the_verdict_about_suppressed_recipients_is_what_delivery_does_at_the_mark(
    to: list[str], cc: list[str], bcc: list[str], out: set[str]
) -> None:
    suppressed = suppressing(*out)
    content: Any = {"stream": STREAM, "to": to}
    content |= {name: value for name, value in (("cc", cc), ("bcc", bcc)) if value}
    spared = spare(content, suppressed)
    judged = judge(facts(recipients=Recipients((*to, *cc), tuple(bcc))), suppressed)
    assert (judged.verdict is Verdict.SUPPRESSED) == (spared is not None and spared.content is None)
    assert ("would be left out" in judged.detail) == (spared is not None and spared.content is not None)
    if spared is not None:
        assert (
            spared.detail.removesuffix(" and was left out").removesuffix(" and were left out")
            in judged.detail
        )
