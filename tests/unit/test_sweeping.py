"""What becomes of a batch whose lease has run out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from atum_schema.sweeping import BURY, GIVE_UP, Scatter, expired, halved

CRASHES = 3


@given(mails=st.integers(1, 500), crashes=st.integers(0, 10))
def test_a_posting_is_given_up_and_never_issued_again(mails: int, crashes: int) -> None:
    assert expired("posting", mails=mails, crashes=crashes, poison_crashes=CRASHES) == GIVE_UP


def test_a_batch_that_kills_its_workers_is_halved_until_the_suspect_is_alone_and_then_dead() -> None:
    mails, rounds = 500, 0
    while mails > 1:
        verdict = expired("claimed", mails=mails, crashes=0, poison_crashes=CRASHES)
        assert isinstance(verdict, Scatter)
        assert verdict.at_most < mails
        mails, rounds = verdict.at_most, rounds + 1
    assert rounds == 9
    alone = [expired("claimed", mails=1, crashes=n, poison_crashes=CRASHES) for n in range(3)]
    assert alone == [Scatter(at_most=1), Scatter(at_most=1), BURY]


@given(mails=st.integers(2, 500), crashes=st.integers(0, 10))
def test_a_mail_with_companions_is_never_buried(mails: int, crashes: int) -> None:
    assert expired("claimed", mails=mails, crashes=crashes, poison_crashes=1) == Scatter(
        at_most=halved(mails)
    )
