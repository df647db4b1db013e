"""The status is a projection of the facts: it depends on which facts are known, not on their order."""

from __future__ import annotations

from functools import reduce
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from atum_schema.status import Cause, Status, after

# From the weakest to the strongest.
RANK: Final = {
    Cause.PROVIDER_ACCEPTED: (0, Status.SENT),
    Cause.FOUND: (0, Status.SENT),
    Cause.DELIVERED: (1, Status.DELIVERED),
    Cause.BOUNCED: (2, Status.BOUNCED),
    Cause.COMPLAINED: (3, Status.COMPLAINED),
}
UNPROVEN_STARTS = st.sampled_from(
    sorted(set(Status) - {Status.SENT, Status.DELIVERED, Status.BOUNCED, Status.COMPLAINED})
)
PROOFS = st.lists(st.sampled_from(list(RANK)), min_size=1, max_size=8)
OTHERS = st.lists(st.sampled_from(sorted(set(Cause) - set(RANK))), max_size=8)


def final(start: Status, facts: list[Cause]) -> Status:
    return reduce(after, facts, start)


@given(start=st.sampled_from(Status), facts=PROOFS, data=st.data())
def test_the_order_of_answers_and_webhooks_does_not_matter(
    start: Status, facts: list[Cause], data: st.DataObject
) -> None:
    other_order = data.draw(st.permutations(facts))
    assert final(start, facts) is final(start, other_order)


@given(start=st.sampled_from(Status), facts=PROOFS, data=st.data())
def test_repeating_facts_does_not_matter(start: Status, facts: list[Cause], data: st.DataObject) -> None:
    repeated = data.draw(st.permutations(facts + data.draw(st.lists(st.sampled_from(facts), max_size=4))))
    assert final(start, facts) is final(start, repeated)


@given(start=UNPROVEN_STARTS, facts=PROOFS)
def test_the_strongest_proof_decides(start: Status, facts: list[Cause]) -> None:
    assert final(start, facts) is max(RANK[fact] for fact in facts)[1]


@given(start=UNPROVEN_STARTS, proofs=PROOFS, others=OTHERS, data=st.data())
def test_once_there_is_proof_nothing_else_that_is_said_matters_in_any_order(
    start: Status, proofs: list[Cause], others: list[Cause], data: st.DataObject
) -> None:
    mixed = data.draw(st.permutations(proofs + others))
    assert final(start, mixed) is max(RANK[fact] for fact in proofs)[1]
