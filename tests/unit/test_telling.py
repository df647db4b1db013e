"""What follows from what the provider tells does not depend on the order in which it comes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from atum_schema.status import Cause, Status, after
from atum_schema.webhook import Kind
from atum_workers import telling

KINDS = st.lists(st.sampled_from(Kind), max_size=8)
STATUSES = st.sampled_from([status.value for status in Status if status is not Status.SENDING])


def ended(status: str, groups: list[list[Kind]]) -> str:
    for group in groups:
        steps = telling.steps(status, group)
        status = steps[-1].status if steps else status
    return status


@given(STATUSES, KINDS, st.randoms(use_true_random=False))
def test_any_order_and_any_grouping_ends_in_the_same_status(
    status: str, kinds: list[Kind], random: st.DataObject
) -> None:
    at_once = ended(status, [kinds])
    shuffled = [*kinds, *kinds]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert ended(status, [[kind] for kind in shuffled]) == at_once


@given(STATUSES, KINDS)
def test_the_gravest_fact_decides_and_mere_news_moves_nothing(status: str, kinds: list[Kind]) -> None:
    end = ended(status, [kinds])
    if Kind.COMPLAINED in kinds:
        assert end == "complained"
    elif Kind.BOUNCED in kinds:
        assert end in {"bounced", "complained"}
    elif Kind.DELIVERED in kinds:
        assert end in {"delivered", "bounced", "complained"}
    else:
        assert end == status


@given(STATUSES, KINDS)
def test_every_step_is_one_of_the_machine(status: str, kinds: list[Kind]) -> None:
    for step in telling.steps(status, kinds):
        assert step.was == status
        assert step.cause in {Cause.DELIVERED, Cause.BOUNCED, Cause.COMPLAINED}
        assert step.status == after(Status(step.was), step.cause).value
        status = step.status


@given(st.integers(min_value=0, max_value=10_000))
def test_an_event_without_a_mail_is_looked_at_less_and_less_often(tries: int) -> None:
    assert 0 < telling.wait_s(tries) <= telling.wait_s(tries + 1) <= 3600
