"""Each way in which a provider fails: what the log then says, and what the provider really has."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from atum_ops.simulator.records import LedgerRecord
    from tests.nodes import Databases, VirtualHosts

K = FaultKind
REQUEST_TIMEOUT_S = 5.0


@pytest.fixture(scope="module")
def system(databases: Databases, virtual_hosts: VirtualHosts) -> Iterator[System]:
    """A system whose provider knows senders of example.com only; a mail has 3 attempts and 5 tries.

    What becomes of mails is asked here, test after test failing; so no number of failures closes the lane.
    """
    with (
        databases.fresh() as database_url,
        System(
            database_url=database_url,
            amqp_url=virtual_hosts.fresh(),
            simulation=SimulatorConfig(signatures=frozenset({"example.com"})),
            settings={
                "ATUM_ATTEMPTS": "3",
                "ATUM_TRIES": "5",
                "ATUM_REQUEST_TIMEOUT_S": str(REQUEST_TIMEOUT_S),
                "ATUM_RETRY_MAX_S": "0.1",
                "ATUM_OUTAGE_REQUESTS": "10000",
                # A worker that stands still for a while says itself what came of it.
                "ATUM_LEASE_MARGIN_S": "30",
            },
        ) as system,
    ):
        yield system


def meet(
    system: System, kind: FaultKind, number: int, *, times: int | None = None, **rule: Any
) -> list[UUID]:
    """Enqueue mails, in one batch, whose POST meets a fault; wait until nothing waits."""
    name = f"{kind.value}-"
    system.simulator.set_faults(
        FaultPlan(rules=(FaultRule(kind=kind, max_count=times, **{"recipient": name, **rule}),))
    )
    ids = system.mailer.enqueue(letters(number, name=name))
    system.settled()
    return ids


def attempts(system: System, mail_id: UUID) -> list[tuple[Any, ...]]:
    return system.query(
        "SELECT outcome, charged, http_status, code FROM atum.attempt WHERE mail_id = %(id)s ORDER BY posting_at",
        id=mail_id,
    )


def reasons(system: System, ids: Sequence[UUID]) -> set[tuple[str, str | None]]:
    return {(state.status.value, state.reason) for state in map(system.mailer.get, ids)}


def accepted(system: System, ids: Sequence[UUID]) -> list[LedgerRecord]:
    wanted = set(map(str, ids))
    return [record for record in system.simulator.ledger() if record.mail_id in wanted]


AFTER_A_RETRY = ["accepted", "retry_scheduled", "provider_accepted"]


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [(K.RATE_LIMIT, 429, 429), (K.UNAUTHORIZED, 401, 10), (K.MAINTENANCE, 503, 100)],
)
@pytest.mark.parametrize("number", [1, 3])
def test_a_provider_that_refuses_everybody_costs_no_attempt(
    system: System, kind: FaultKind, status: int, code: int, number: int
) -> None:
    ids = meet(system, kind, number, times=2)
    assert reasons(system, ids) == {("sent", None)}
    assert system.copies(ids) == [1] * number
    deferrals = system.query(
        "SELECT DISTINCT outcome, charged, http_status, code FROM atum.attempt"
        " WHERE mail_id = ANY(%(ids)s) AND outcome <> 'accepted'",
        ids=ids,
    )
    assert deferrals == [("deferred", False, status, code)]
    charged = system.query("SELECT DISTINCT attempts FROM atum.mail WHERE id = ANY(%(ids)s)", ids=ids)
    assert charged == [(0,)]
    causes = {cause for one in ids for cause in system.story(one)}
    assert causes == set(AFTER_A_RETRY)


def test_retry_after_is_waited_for(system: System) -> None:
    ids = meet(system, K.RATE_LIMIT_RETRY_AFTER, 1, times=1)
    (first,), (second,) = system.query(
        "SELECT answered_at FROM atum.attempt WHERE mail_id = %(id)s ORDER BY answered_at", id=ids[0]
    )
    assert 2.0 <= (second - first).total_seconds() < 30.0
    assert system.story(ids[0]) == AFTER_A_RETRY
    assert system.copies(ids) == [1]


@pytest.mark.parametrize(
    ("kind", "reason", "copies"),
    [
        (K.SERVER_ERROR_BEFORE, "http_500", [0, 0, 0]),
        (K.SERVER_ERROR_AFTER, "http_500", [1, 1, 1]),
        (K.BAD_GATEWAY_BEFORE, "http_502", [0, 0, 0]),
        (K.BAD_GATEWAY_AFTER, "http_502", [1, 1, 1]),
        (K.GATEWAY_TIMEOUT_BEFORE, "http_504", [0, 0, 0]),
        (K.GATEWAY_TIMEOUT_AFTER, "http_504", [1, 1, 1]),
        (K.MAINTENANCE_HTML, "http_503", [0, 0, 0]),
        (K.RESET_BEFORE, "no_answer", [0, 0, 0]),
        (K.RESET_AFTER, "no_answer", [1, 1, 1]),
        (K.CUT_BODY, "no_answer", [1, 1, 1]),
        (K.HANG_HALFWAY, "no_answer", [1, 1, 0]),
        (K.HANG_AFTER, "no_answer", [1, 1, 1]),
        (K.DRIP, "no_answer", [1, 1, 1]),
        (K.TRUNCATED_JSON, "answer_does_not_match", [1, 1, 1]),
        (K.SHORT_ARRAY, "answer_does_not_match", [1, 1, 1]),
        (K.HTML_200, "answer_does_not_match", [1, 1, 1]),
    ],
)
def test_an_answer_that_is_not_clear_makes_the_batch_unknown_and_is_never_sent_again(
    system: System, kind: FaultKind, reason: str, copies: list[int]
) -> None:
    ids = meet(system, kind, 3)
    assert reasons(system, ids) == {("unknown", reason)}
    assert [system.story(one) for one in ids] == [["accepted", "outcome_unknown"]] * 3
    # Mail that comes later overtakes it, and leaves it where it is.
    system.simulator.set_faults(FaultPlan())
    later = system.mailer.enqueue(letters(1, name="later"))
    system.settled()
    assert system.copies(later) == [1]
    assert sorted(system.copies(ids), reverse=True) == copies
    kept = system.query("SELECT count(*) FROM atum.content WHERE mail_id = ANY(%(ids)s)", ids=ids)
    assert kept == [(3,)]


@pytest.mark.parametrize("kind", [K.HANG_BEFORE, K.DRIP])
def test_a_provider_that_hangs_or_drips_does_not_outlive_the_total_deadline(
    system: System, kind: FaultKind
) -> None:
    ids = meet(system, kind, 1)
    assert reasons(system, ids) == {("unknown", "no_answer")}
    ((lasted,),) = system.query(
        "SELECT extract(epoch FROM answered_at - posting_at) FROM atum.attempt WHERE mail_id = %(id)s",
        id=ids[0],
    )
    assert REQUEST_TIMEOUT_S - 0.5 < lasted < REQUEST_TIMEOUT_S + 20
    # Not the sweeper's word: the worker itself said so.
    assert system.mailer.get(ids[0]).reason == "no_answer"


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("kind", [K.DELAYED, K.CODE_AS_STRING])
def test_an_unusual_acceptance_is_an_acceptance(system: System, kind: FaultKind, number: int) -> None:
    ids = meet(system, kind, number)
    assert reasons(system, ids) == {("sent", None)}
    assert system.copies(ids) == [1] * number
    ours = {str(system.mailer.get(one).provider_message_id) for one in ids}
    theirs = {record.message_id for record in accepted(system, ids)}
    assert ours == theirs


@pytest.mark.parametrize("kind", [K.PARTIAL_INACTIVE, K.PARTIAL_INACTIVE_LONG])
def test_a_mail_that_reached_only_some_recipients_is_sent_and_says_so_without_an_address(
    system: System, kind: FaultKind
) -> None:
    system.simulator.set_faults(FaultPlan(rules=(FaultRule(kind=kind, recipient="partly"),)))
    mail_id = system.mailer.enqueue(letters(1, to="partly@example.net, gone@example.net")[0])
    state = system.mailer.wait(mail_id, timeout=60)
    assert state.status == "sent"
    assert state.detail is not None
    assert "inactive" in state.detail
    assert "@" not in state.detail.replace("<address>", "")


OF_A_MIXED_BATCH = {300: "invalid_mail", 406: "recipient_inactive", 9876: "unknown_error_code"}


def test_in_a_mixed_batch_each_mail_has_its_own_outcome(system: System) -> None:
    system.simulator.set_faults(FaultPlan(rules=(FaultRule(kind=K.MIXED, recipient="wrong"),)))
    names = ["fine-a", "wrong-b", "fine-c", "wrong-d"]
    ids = system.mailer.enqueue([letters(1, name=f"{name}-mixed")[0] for name in names])
    system.settled()
    assert [system.mailer.get(one).status for one in ids] == ["sent", "dead", "sent", "dead"]
    assert system.copies(ids) == [1, 0, 1, 0]
    for one in (ids[1], ids[3]):
        ((outcome, charged, _, code),) = attempts(system, one)
        assert (outcome, charged) == ("rejected", True)
        assert system.mailer.get(one).reason == OF_A_MIXED_BATCH[code]
        assert system.story(one) == ["accepted", "provider_rejected"]


def test_a_single_mail_that_is_refused_is_dead_with_the_providers_code(system: System) -> None:
    ids = meet(system, K.MIXED, 1)
    ((outcome, charged, status, code),) = attempts(system, ids[0])
    assert (outcome, charged, status) == ("rejected", True, 422)
    assert reasons(system, ids) == {("dead", OF_A_MIXED_BATCH[code])}
    assert system.copies(ids) == [0]


def test_a_batch_that_is_too_large_is_halved(system: System) -> None:
    ids = meet(system, K.TOO_LARGE, 4, times=1)
    assert reasons(system, ids) == {("sent", None)}
    batches = [record.batch_id for record in accepted(system, ids)]
    assert sorted(Counter(batches).values()) == [2, 2]
    charged = system.query("SELECT DISTINCT attempts FROM atum.mail WHERE id = ANY(%(ids)s)", ids=ids)
    assert charged == [(0,)]


def test_a_single_mail_that_is_too_large_is_dead(system: System) -> None:
    ids = meet(system, K.TOO_LARGE, 1)
    assert reasons(system, ids) == {("dead", "too_large")}
    assert system.copies(ids) == [0]


def test_a_mail_whose_own_failures_use_up_its_attempts_is_dead(system: System) -> None:
    stranger = system.mailer.enqueue(letters(1, sender="someone@elsewhere.example")[0])
    system.settled()
    state = system.mailer.get(stranger)
    assert state.status == "dead"
    assert system.story(stranger) == ["accepted", *["retry_scheduled"] * 2, "attempts_exhausted"]
    assert [outcome[:2] for outcome in attempts(system, stranger)] == [("deferred", True)] * 3


def test_tries_that_cost_nothing_have_a_cap_too(system: System) -> None:
    ids = meet(system, K.RATE_LIMIT, 1)
    assert reasons(system, ids) == {("dead", "rate_limited")}
    assert system.story(ids[0]) == ["accepted", *["retry_scheduled"] * 4, "tries_exhausted"]
    assert system.copies(ids) == [0]
