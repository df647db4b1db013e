"""Unknown outcomes are settled by evidence: found, sent again in halves, held, or expired; never sent blindly."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule, Target
from tests.nodes import eventually
from tests.sharing import Shared, shared_system
from tests.system import HANG_S, SETTLED_SOON, System, letters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from tests.nodes import Databases, VirtualHosts

K = FaultKind


@pytest.fixture(scope="module")
def shared(databases: Databases, virtual_hosts: VirtualHosts) -> Iterator[Shared[System]]:
    """A system that settles within seconds."""
    with shared_system(
        databases, virtual_hosts, simulation=SimulatorConfig(index_lag_s=0.1), settings=SETTLED_SOON
    ) as one:
        yield one


def meet(
    system: System, name: str, kind: FaultKind, number: int, *, times: int = 1, **fields: Any
) -> list[UUID]:
    """Enqueue mails that travel together, and whose POST meets a fault; the next POSTs are fine."""
    system.simulator.set_faults(
        FaultPlan(rules=(FaultRule(kind=kind, recipient=name, max_count=times),), hang_s=HANG_S)
    )
    return system.mailer.enqueue(letters(number, name=name, **fields))


def await_all(system: System, ids: list[UUID], status: str) -> None:
    for one in ids:
        system.await_status(one, status)


@pytest.mark.parametrize(
    "kind", [K.HANG_AFTER, K.RESET_AFTER, K.SERVER_ERROR_AFTER, K.CUT_BODY, K.SHORT_ARRAY]
)
def test_what_was_accepted_without_an_answer_is_found_and_not_sent_again(
    system: System, kind: FaultKind
) -> None:
    ids = meet(system, f"{kind.value}-found-", kind, 3)
    await_all(system, ids, "sent")
    assert system.copies(ids) == [1] * 3
    for one in ids:
        story = system.story(one)
        assert story[:2] == ["accepted", "outcome_unknown"]
        assert story[-1] == "found"
        assert set(story[2:-1]) <= {"searched"}
    proof = system.query(
        "SELECT DISTINCT outcome, detail FROM atum.attempt WHERE mail_id = ANY(%(ids)s)", ids=ids
    )
    assert proof == [("accepted", "found by a search of the provider")]
    system.check()


def test_what_was_never_accepted_is_sent_again_in_halves_after_enough_searches_that_count(
    database_url: str, amqp_url: str
) -> None:
    # Time alone decides nothing here: without the control it would stay unknown, however long this test stands still.
    settings = {**SETTLED_SOON, "ATUM_SETTLE_WITHOUT_CONTROL_S": "600"}
    simulation = SimulatorConfig(index_lag_s=0.1)
    with System(
        database_url=database_url, amqp_url=amqp_url, simulation=simulation, settings=settings
    ) as system:
        ids = meet(system, "never-", K.RESET_BEFORE, 4)
        assert eventually(lambda: system.statuses(ids) == {"unknown": 4})

        def is_sent_beside_others() -> bool:
            # Something accepted after the anchor, and after each search that counted: the controls.
            system.mailer.enqueue(letters(1, name="control-"))
            time.sleep(0.2)
            return system.statuses(ids) == {"sent": 4}

        assert eventually(is_sent_beside_others, seconds=60), [system.story(one) for one in ids]
        system.settled()
        assert system.copies(ids) == [1] * 4
        story = system.story(ids[0])
        assert [cause for cause in story if cause != "searched"] == [
            "accepted",
            "outcome_unknown",
            "resend_allowed",
            "provider_accepted",
        ]
        assert story.count("searched") >= 3
        ((batches,),) = system.query(
            "SELECT count(DISTINCT batch_id) FROM atum.attempt WHERE mail_id = ANY(%(ids)s) AND outcome = 'accepted'",
            ids=ids,
        )
        assert batches == 2
        system.check()


def test_half_a_batch_that_was_accepted_is_found_and_only_the_other_half_sent_again(system: System) -> None:
    ids = meet(system, "half-", K.HANG_HALFWAY, 4)
    await_all(system, ids, "sent")
    assert system.copies(ids) == [1] * 4
    found = [one for one in ids if "found" in system.story(one)]
    again = [one for one in ids if "resend_allowed" in system.story(one)]
    assert (len(found), len(again)) == (2, 2)
    system.check()


def test_a_mail_whose_policy_is_hold_waits_for_a_person_with_the_evidence(system: System) -> None:
    ids = meet(system, "hold-", K.RESET_BEFORE, 2, on_unknown="hold")
    await_all(system, ids, "held")
    assert system.copies(ids) == [0] * 2
    assert system.mailer.get(ids[0]).reason == "not_found"
    assert system.story(ids[0])[-2:] == ["searched", "held"]
    kept = system.query("SELECT count(*) FROM atum.content WHERE mail_id = ANY(%(ids)s)", ids=ids)
    assert kept == [(2,)]


def test_mails_of_other_lanes_are_held_unless_they_say_otherwise(system: System) -> None:
    held = meet(system, "broad-", K.RESET_BEFORE, 1, stream="broadcast")
    again = system.mailer.enqueue(letters(1, name="again-", stream="broadcast", on_unknown="resend"))
    await_all(system, held, "held")
    await_all(system, again, "sent")


def test_searches_that_fail_count_for_nothing_however_many(system: System) -> None:
    system.simulator.set_faults(
        FaultPlan(
            rules=(
                FaultRule(kind=K.RESET_BEFORE, recipient="blind-", max_count=1),
                FaultRule(kind=K.MAINTENANCE, target=Target.SEARCH),
            )
        )
    )
    (mail_id,) = system.mailer.enqueue(letters(1, name="blind-"))
    failed = "SELECT failures FROM atum.batch WHERE state = 'unknown' AND failures >= 3"
    assert eventually(lambda: bool(system.query(failed)), seconds=60)
    assert system.mailer.get(mail_id).status == "unknown"
    assert system.query("SELECT searches FROM atum.batch WHERE state = 'unknown'") == [(0,)]
    system.simulator.set_faults(FaultPlan())
    await_all(system, [mail_id], "sent")
    assert system.copies([mail_id]) == [1]
    details = system.query(
        "SELECT detail FROM atum.event WHERE mail_id = %(id)s AND cause = 'searched' ORDER BY seq", id=mail_id
    )
    assert "counts for nothing" in details[0][0]


def test_without_a_later_mail_time_decides_and_the_event_says_so(system: System) -> None:
    (mail_id,) = meet(system, "lonely-", K.RESET_BEFORE, 1)
    await_all(system, [mail_id], "sent")
    ((detail,), *_) = system.query(
        "SELECT detail FROM atum.event WHERE mail_id = %(id)s AND cause = 'searched' ORDER BY seq", id=mail_id
    )
    assert "no later mail proves" in detail
    ((waited,),) = system.query(
        "SELECT extract(epoch FROM e.at - a.posting_at)::float8 FROM atum.event e"
        " JOIN atum.attempt a ON a.mail_id = e.mail_id AND a.outcome = 'unknown'"
        " WHERE e.mail_id = %(id)s AND e.cause = 'resend_allowed'",
        id=mail_id,
    )
    # The anchor is three seconds after the POST, time decides two seconds later, and three searches are spaced.
    assert waited >= 5.0


def test_an_expired_unknown_mail_is_searched_and_never_sent_again(system: System) -> None:
    lost = FaultRule(kind=K.RESET_BEFORE, recipient="expired-", max_count=1)
    blind = FaultRule(kind=K.MAINTENANCE, target=Target.SEARCH)
    system.simulator.set_faults(FaultPlan(rules=(lost, blind)))
    ((soon,),) = system.query("SELECT clock_timestamp() + interval '10 seconds'")
    (mail_id,) = system.mailer.enqueue(letters(1, name="expired-", expires_at=soon))
    system.await_status(mail_id, "unknown")
    assert eventually(lambda: system.query("SELECT clock_timestamp() > %(soon)s", soon=soon) == [(True,)])
    assert system.mailer.get(mail_id).status == "unknown"
    system.simulator.set_faults(FaultPlan())
    await_all(system, [mail_id], "expired")
    assert system.copies([mail_id]) == [0]
    assert system.story(mail_id)[-2:] == ["searched", "expired"]
    assert system.query("SELECT count(*) FROM atum.content WHERE mail_id = %(id)s", id=mail_id) == [(0,)]


def test_a_mail_that_is_unknown_twice_is_settled_twice(
    system: System,
) -> None:
    system.simulator.set_faults(
        FaultPlan(
            rules=(
                FaultRule(kind=K.RESET_BEFORE, recipient="twice-", nth=1),
                FaultRule(kind=K.RESET_BEFORE, recipient="twice-", nth=2),
            )
        )
    )
    (mail_id,) = system.mailer.enqueue(letters(1, name="twice-"))
    await_all(system, [mail_id], "sent")
    assert system.copies([mail_id]) == [1]
    assert system.story(mail_id).count("outcome_unknown") == 2
    assert system.story(mail_id).count("resend_allowed") == 2
