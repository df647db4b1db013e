"""Every reason why a lane stops has a remedy in words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from atum_schema import flow
from atum_schema.flow import Halt, Policy, Report
from atum_schema.flow_remedies import REMEDIES, remedy
from atum_workers import smtp_outcome
from atum_workers.codes import CODES, REFUSED_BY_STATUS, Meaning

DOCUMENTED = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
REASONS = sorted(
    {reason for kind, reason in CODES.values() if kind in {Meaning.ACCOUNT, Meaning.OPERATOR}}
    | set(REFUSED_BY_STATUS.values())
    | smtp_outcome.FOR_A_PERSON
    | {"outage"}
)
WINDOW = flow.new(ceiling=8, rate=None, burst=0, now=0)
#: A template belongs to a mail, so its absence stops nobody else.
OF_A_MAIL = {"template_not_found"}


@pytest.mark.parametrize("reason", [reason for reason in REASONS if reason not in OF_A_MAIL])
def test_a_reason_to_stop_has_a_remedy_that_names_the_lane_or_a_setting(reason: str) -> None:
    halted = flow.after(WINDOW, Report(Halt(reason), 0), 0, Policy(), max)
    words = remedy(halted, "news")
    assert words is not None
    assert re.search(r"queue resume news|ATUM_[A-Z]+", words)
    assert "{" not in words


@pytest.mark.parametrize("reason", REMEDIES)
def test_no_remedy_is_wider_than_a_screen_up_to_its_command(reason: str) -> None:
    words = remedy(flow.after(WINDOW, Report(Halt(reason), 0), 0, Policy(), max), "x" * 32) or ""
    assert max(map(len, re.split("(?=atum-mailer )", words))) <= 98


def test_no_remedy_is_for_a_reason_that_never_comes() -> None:
    assert REMEDIES.keys() - REASONS == set()


def test_reasons_are_documented_with_the_same_words() -> None:
    documented = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", DOCUMENTED, flags=re.MULTILINE))
    written = {reason: words.format(lane="LANE") for reason, words in REMEDIES.items()}
    assert {reason: documented.get(reason) for reason in written} == written


def test_a_persons_pause_says_who_to_ask_and_an_open_lane_says_nothing() -> None:
    paused = flow.paused(WINDOW, reason="moving house", by="kim", now=0)
    assert remedy(paused, "news") == "paused by kim; to end it: atum-mailer queue resume news"
    assert remedy(WINDOW, "news") is None


def test_an_unknown_reason_still_says_where_to_look() -> None:
    halted = flow.after(WINDOW, Report(Halt("strange"), 0), 0, Policy(), max)
    assert "atum-mailer mail show" in (remedy(halted, "news") or "")
