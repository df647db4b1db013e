"""Suppressions per stream, and when a change of them shows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from atum_ops.simulator.rules import Account
from atum_ops.simulator.suppressions import Suppression, Suppressions
from atum_ops.simulator.template_endpoints import refuse
from atum_ops.simulator.texts import Refusal

JANE = "jane@example.org"


class Clock:
    """A time that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_suppression_holds_on_its_stream_only_and_whatever_the_case() -> None:
    suppressions = Suppressions()
    assert not suppressions
    assert suppressions.suppress("outbound", "Jane@Example.org")
    assert suppressions.holds("outbound", "JANE@example.org")
    assert not suppressions.holds("broadcast", JANE)
    (one,) = suppressions.dump("outbound")
    assert (one.address, one.reason, one.origin) == (JANE, "ManualSuppression", "Customer")


def test_a_complaint_can_neither_be_replaced_nor_deleted() -> None:
    suppressions = Suppressions()
    complaint = Suppression(JANE, "SpamComplaint", "Recipient", 1.0)
    suppressions.replace([("outbound", complaint)])
    assert not suppressions.suppress("outbound", JANE)
    assert not suppressions.delete("outbound", JANE)
    assert suppressions.dump("outbound") == [complaint]


def test_suppressing_again_changes_nothing_and_deleting_what_is_not_there_succeeds() -> None:
    suppressions = Suppressions()
    bounce = Suppression(JANE, "HardBounce", "Recipient", 1.0)
    suppressions.replace([("outbound", bounce)])
    assert suppressions.suppress("outbound", JANE)
    assert suppressions.dump("outbound") == [bounce]
    assert suppressions.delete("outbound", "bob@example.org")
    assert suppressions.delete("outbound", JANE)
    assert suppressions.dump("outbound") == []


def test_a_longer_lag_hides_again_what_showed() -> None:
    clock = Clock()
    suppressions = Suppressions(clock=clock)
    suppressions.lag_s = 10.0
    suppressions.suppress("outbound", JANE)
    assert not suppressions.holds("outbound", JANE)
    clock.now += 10
    assert suppressions.holds("outbound", JANE)
    suppressions.lag_s = 20.0
    assert not suppressions.holds("outbound", JANE)


steps = st.lists(st.tuples(st.sampled_from(["suppress", "delete"]), st.floats(0, 5)), max_size=30)


@given(steps, st.floats(0, 10))
def test_what_shows_is_what_was_asked_for_a_lag_ago(changes: list[tuple[str, float]], lag_s: float) -> None:
    clock = Clock()
    suppressions = Suppressions(clock=clock)
    suppressions.lag_s = lag_s
    asked: list[tuple[float, bool]] = []
    for change, pause in changes:
        clock.now += pause
        getattr(suppressions, change)("outbound", JANE)
        asked.append((clock.now, change == "suppress"))
        until = clock.now - lag_s
        expected = next((held for at, held in reversed(asked) if at <= until), False)
        assert suppressions.holds("outbound", JANE) == expected
    assert sum(map(len, suppressions._streams.get("outbound", {}).values())) <= len(changes)


def test_changes_that_can_no_longer_show_are_forgotten() -> None:
    clock = Clock()
    suppressions = Suppressions(clock=clock)
    for _ in range(1000):
        clock.now += 1
        suppressions.suppress("outbound", JANE)
        suppressions.delete("outbound", JANE)
    assert len(suppressions._streams["outbound"][JANE]) <= 2


def test_a_message_with_a_template_is_refused_for_its_first_fault() -> None:
    account = Account(streams={"outbound": "Transactional"})
    account.suppressions.suppress("outbound", JANE)
    right = {"From": "shop@example.com", "To": JANE, "TemplateAlias": "welcome", "TemplateModel": {}}

    def code(**change: object) -> int:
        found = refuse({**right, **change}, account)
        assert isinstance(found, Refusal)
        return found.code

    assert code() == 1101
    assert code(To="") == 300
    assert code(MessageStream="nope") == 1235
    assert code(TemplateAlias=None) == 1101
    assert code(TemplateModel=None) == 1109
    assert code(Subject="Hello") == 1123
    assert "'TemplateId'" in refuse({**right, "TemplateId": 7}, account).message
    assert "'Alias'" in refuse(right, account).message
