"""Who may be given a lane's mail: a table over mode, settings and the primary's window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_ops.standing_in import WORDS
from atum_schema import fallback, flow
from atum_schema.fallback import Taking, decide

if TYPE_CHECKING:
    from atum_schema.flow import Window

NOW = 10_000.0
OPEN = flow.new(ceiling=8, rate=None, burst=0, now=0)


def closed(*, ago: float, state: str = flow.CLOSED, reason: str = flow.OUTAGE) -> Window:
    return OPEN._replace(size=0, state=state, reason=reason, since=NOW - ago)


PAUSED = flow.paused(OPEN, reason="wrong prices", by="kim", now=NOW - 5000)


@pytest.mark.parametrize(
    ("mode", "primary", "expected"),
    [
        ("off", OPEN, (Taking.ANY, Taking.PINNED, "off")),
        ("off", closed(ago=5000), (Taking.ANY, Taking.PINNED, "off")),
        ("on", OPEN, (Taking.LEFT, Taking.NEW, "enabled")),
        ("on", closed(ago=1), (Taking.LEFT, Taking.NEW, "enabled")),
        ("auto", OPEN, (Taking.ANY, Taking.PINNED, "primary_open")),
        ("auto", closed(ago=900), (Taking.ANY, Taking.PINNED, "not_closed_for_long")),
        ("auto", closed(ago=901), (Taking.ANY, Taking.NEW, "primary_closed")),
        ("auto", closed(ago=901, reason=flow.RATE_LIMITED), (Taking.ANY, Taking.NEW, "primary_closed")),
        (
            "auto",
            closed(ago=901, state=flow.PAUSED, reason="token_refused"),
            (Taking.ANY, Taking.NEW, "primary_closed"),
        ),
        ("on", PAUSED, (Taking.NOTHING, Taking.NOTHING, "paused_by_a_person")),
        ("auto", PAUSED, (Taking.NOTHING, Taking.NOTHING, "paused_by_a_person")),
        ("off", PAUSED, (Taking.NOTHING, Taking.NOTHING, "paused_by_a_person")),
    ],
)
def test_who_is_given_what(mode: str, primary: Window, expected: tuple[Taking, Taking, str]) -> None:
    assert decide(mode, configured=True, after_s=900, primary=primary, now=NOW) == expected


@pytest.mark.parametrize("mode", ["off", "auto", "on"])
@pytest.mark.parametrize("primary", [OPEN, closed(ago=5000)])
def test_where_no_smtp_relay_is_set_up_nothing_changes(mode: str, primary: Window) -> None:
    decision = decide(mode, configured=False, after_s=900, primary=primary, now=NOW)
    assert (decision.primary, decision.smtp, decision.in_use) == (Taking.ANY, Taking.NOTHING, False)


STATES = st.sampled_from([OPEN, PAUSED, closed(ago=1), closed(ago=5000), closed(ago=5000, state=flow.PAUSED)])


@given(st.sampled_from(["off", "auto", "on"]), st.booleans(), st.floats(1, 86_400), STATES)
def test_a_person_who_stops_a_lane_stops_both_and_new_mail_always_has_one_taker_else(
    mode: str, configured: bool, after_s: float, primary: Window
) -> None:
    decision = decide(mode, configured=configured, after_s=after_s, primary=primary, now=NOW)
    takers = (decision.primary is Taking.ANY) + (decision.smtp is Taking.NEW)
    if configured and primary.paused_by is not None:
        assert decision[:2] == (Taking.NOTHING, Taking.NOTHING)
    else:
        assert takers >= 1
    assert decision.in_use == (decision.smtp is Taking.NEW)
    assert decision.why in WORDS
    assert decision.in_use == (decision.why in fallback.IN_USE)
