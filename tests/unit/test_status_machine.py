"""The machine of statuses: total, and each transition that has a story."""

from __future__ import annotations

from itertools import product

import pytest

from atum_schema.status import BIRTH, ENDED, PROVEN, TRANSITIONS, WAITING, Cause, Status, after, stored_pairs

UNPROVEN_ENDS = [Status.DEAD, Status.SUPPRESSED, Status.CANCELED, Status.EXPIRED]
PROOF = [Cause.PROVIDER_ACCEPTED, Cause.FOUND, Cause.DELIVERED, Cause.BOUNCED, Cause.COMPLAINED]


def test_every_status_has_an_answer_to_every_cause() -> None:
    assert set(TRANSITIONS) == set(product(Status, Cause))
    assert all(isinstance(status, Status) for status in TRANSITIONS.values())


def test_every_status_waits_or_is_open_or_has_ended() -> None:
    assert set(Status) == WAITING | {Status.UNKNOWN, Status.HELD} | ENDED
    assert not WAITING & ENDED
    assert PROVEN < ENDED


@pytest.mark.parametrize("status", [*WAITING, Status.UNKNOWN, Status.HELD, *UNPROVEN_ENDS])
def test_proof_of_acceptance_pulls_back_whatever_was_believed(status: Status) -> None:
    assert after(status, Cause.PROVIDER_ACCEPTED) is Status.SENT
    assert after(status, Cause.FOUND) is Status.SENT
    assert after(status, Cause.DELIVERED) is Status.DELIVERED
    assert after(status, Cause.BOUNCED) is Status.BOUNCED


def test_an_answer_that_comes_after_the_webhook_does_not_undo_it() -> None:
    for status in (Status.DELIVERED, Status.BOUNCED, Status.COMPLAINED):
        assert after(status, Cause.PROVIDER_ACCEPTED) is status
        assert after(status, Cause.FOUND) is status


def test_a_late_bounce_is_stronger_than_a_delivery_and_not_the_other_way_round() -> None:
    assert after(Status.DELIVERED, Cause.BOUNCED) is Status.BOUNCED
    assert after(Status.BOUNCED, Cause.DELIVERED) is Status.BOUNCED


def test_a_complaint_beats_everything_and_nothing_beats_a_complaint() -> None:
    assert {after(status, Cause.COMPLAINED) for status in Status} == {Status.COMPLAINED}
    assert {after(Status.COMPLAINED, cause) for cause in Cause} == {Status.COMPLAINED}


@pytest.mark.parametrize("status", sorted(PROVEN))
def test_what_is_proven_is_only_moved_by_stronger_facts(status: Status) -> None:
    for cause in set(Cause) - {Cause.DELIVERED, Cause.BOUNCED, Cause.COMPLAINED}:
        assert after(status, cause) is status


def test_a_cancel_does_not_move_an_unknown_mail_because_it_may_be_at_the_provider_already() -> None:
    assert after(Status.UNKNOWN, Cause.CANCELED) is Status.UNKNOWN


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED, Status.RETRYING, Status.HELD])
def test_a_cancel_stops_what_waits(status: Status) -> None:
    assert after(status, Cause.CANCELED) is Status.CANCELED


def test_a_cancel_that_comes_too_late_changes_nothing() -> None:
    for status in ENDED - {Status.CANCELED}:
        assert after(status, Cause.CANCELED) is status


def test_a_suppression_stops_only_what_was_not_posted() -> None:
    moved = {status for status in Status if after(status, Cause.SUPPRESSED) is not status}
    assert moved == {Status.SCHEDULED, Status.QUEUED, Status.RETRYING, Status.SENDING}


def test_no_clear_answer_makes_a_waiting_mail_unknown_and_moves_no_other() -> None:
    for status in Status:
        assert after(status, Cause.OUTCOME_UNKNOWN) is (Status.UNKNOWN if status in WAITING else status)


@pytest.mark.parametrize("status", [Status.UNKNOWN, Status.HELD])
def test_a_late_clear_no_settles_what_was_unknown(status: Status) -> None:
    assert after(status, Cause.PROVIDER_REJECTED) is Status.DEAD
    assert after(status, Cause.RETRY_SCHEDULED) is Status.RETRYING
    assert after(status, Cause.ATTEMPTS_EXHAUSTED) is Status.DEAD
    assert after(status, Cause.TRIES_EXHAUSTED) is Status.DEAD


def test_only_settling_lets_an_unknown_mail_go_out_again_or_wait_for_a_person() -> None:
    assert after(Status.UNKNOWN, Cause.RESEND_ALLOWED) is Status.QUEUED
    assert after(Status.UNKNOWN, Cause.HELD) is Status.HELD
    for status in set(Status) - {Status.UNKNOWN}:
        assert after(status, Cause.RESEND_ALLOWED) is status
        assert after(status, Cause.HELD) is status


def test_only_a_held_mail_is_released() -> None:
    assert after(Status.HELD, Cause.RELEASED) is Status.QUEUED
    for status in set(Status) - {Status.HELD}:
        assert after(status, Cause.RELEASED) is status


def test_a_replay_starts_again_from_an_unproven_end_and_from_nothing_else() -> None:
    for status in Status:
        assert after(status, Cause.REPLAYED) is (Status.QUEUED if status in UNPROVEN_ENDS else status)


def test_a_reissued_batch_changes_no_mail() -> None:
    for status in Status:
        assert after(status, Cause.REISSUED) is status


def test_a_repeated_fact_changes_nothing() -> None:
    for status, cause in product(Status, Cause):
        once = after(status, cause)
        assert after(once, cause) is once


def test_a_mail_is_born_once() -> None:
    assert BIRTH == {Cause.ACCEPTED: Status.QUEUED, Cause.ACCEPTED_FOR_LATER: Status.SCHEDULED}
    for status, cause in product(Status, BIRTH):
        assert after(status, cause) is status


def test_no_cause_says_that_a_mail_is_sending_because_that_is_derived() -> None:
    arrivals = {target for (status, _), target in TRANSITIONS.items() if status is not Status.SENDING}
    assert Status.SENDING not in arrivals
    assert not any("sending" in pair for pair in stored_pairs())


def test_the_stored_pairs_are_the_births_and_the_stored_transitions() -> None:
    stored = set(Status) - {Status.SENDING}
    expected = {("", "accepted", "queued"), ("", "accepted_for_later", "scheduled")}
    expected |= {
        (status.value, cause.value, TRANSITIONS[status, cause].value)
        for status, cause in product(stored, Cause)
    }
    assert set(stored_pairs()) == expected
    assert len(stored_pairs()) == len(expected)


@pytest.mark.parametrize("status", sorted(set(Status)))
def test_every_status_but_sending_can_be_reached_from_a_birth(status: Status) -> None:
    reached = set(BIRTH.values())
    while more := {after(known, cause) for known, cause in product(reached, Cause)} - reached:
        reached |= more
    assert (status in reached) is (status is not Status.SENDING)


def test_every_proof_leads_to_a_proven_status_from_everywhere() -> None:
    assert {after(status, cause) for status, cause in product(Status, PROOF)} == PROVEN
