"""The worker: ticket, claim, mark, final check, last write, answer, record; frozen at will between any two."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.model import outcomes, statements
from tests.model.case import committed, new_token
from tests.model.promises import Broken
from tests.model.state import (
    Request,
    Step,
    Worker,
    batch_of,
    names,
    with_fact,
    with_worker,
    without_batch,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.model.case import Case
    from tests.model.state import Batch, World

_IDLE = Worker()


def steps(case: Case, world: World) -> Iterator[Step]:
    """Give what the workers may do."""
    idle = False
    for number, worker in enumerate(world.workers):
        if worker.at == "idle":
            if not idle:
                yield from _take_ticket(case, world, number)
            idle = True
        elif worker.at == "claimed":
            yield from _after_claim(case, world, number, worker)
        elif worker.at == "marked":
            yield from _after_mark(case, world, number, worker)
        elif worker.at == "checked":
            yield _write(case, world, number, worker)
        elif worker.at == "posted":
            yield from _after_write(case, world, number, worker)
        elif worker.at == "half":
            db = without_batch(world.db, worker.batch)
            after = committed(case, world, db, synchronous=True)
            yield Step(f"worker {number + 1} deletes batch {worker.batch}", with_worker(after, number, _IDLE))


def _take_ticket(case: Case, world: World, number: int) -> Iterator[Step]:
    tickets = world.tickets if case.scope.tickets else tuple(batch.id for batch in world.db.batches)
    for ticket in tickets:
        batch = batch_of(world.db, ticket)
        taken = world._replace(tickets=tuple(other for other in world.tickets if other != ticket))
        if batch is not None and (batch.state == "issued" or not case.rules.claim_needs_issued):
            yield _claim(case, taken, number, batch)
        elif case.scope.tickets:
            yield Step(f"worker {number + 1} is refused batch {ticket} and acks the ticket", taken)


def _claim(case: Case, world: World, number: int, batch: Batch) -> Step:
    rules = case.rules
    token = new_token(world) if rules.tokens_are_unique else batch.claims + 1
    db = statements.claim(case.scope, rules, world.db, batch, token)
    claimed = batch_of(db, batch.id)
    after = committed(case, world, db, synchronous=False)
    label = f"worker {number + 1} claims batch {batch.id} with token {token}"
    if claimed is None:
        return Step(label, after)
    started = rules.deadline_starts_before_claim and rules.deadline_starts_before_mark
    left = case.scope.deadline if started else -1
    worker = Worker(at="claimed", batch=batch.id, token=token, mails=claimed.mails, left=left)
    return Step(label, with_worker(after, number, worker))


def _after_claim(case: Case, world: World, number: int, worker: Worker) -> Iterator[Step]:
    if case.scope.poison in worker.mails:
        # It dies while rendering; the broker takes the ticket back.
        yield Step(f"worker {number + 1} is killed by a mail", gone(case, world, number, worker))
        return
    if worker.left == -1 and case.rules.deadline_starts_before_mark:
        yield _start_deadline(case, world, number, worker)
        return
    yield from _mark(case, world, number, worker)
    if worker.left == 0:
        yield _release(case, world, number, worker)


def _start_deadline(case: Case, world: World, number: int, worker: Worker) -> Step:
    started = worker._replace(left=case.scope.deadline)
    return Step(f"worker {number + 1} starts its deadline", with_worker(world, number, started))


def _mark(case: Case, world: World, number: int, worker: Worker) -> Iterator[Step]:
    rules = case.rules
    batch = batch_of(world.db, worker.batch)
    if not rules.posting_is_marked:
        marked = with_worker(world, number, worker._replace(at="marked"))
        yield Step(f"worker {number + 1} goes on without a mark", marked)
        return
    if batch is None or not statements.passes_fence(rules, batch, worker.token):
        yield Step(f"worker {number + 1} is refused the posting mark", with_worker(world, number, _IDLE))
        return
    db = statements.mark(case.scope, rules, world.db, batch)
    marked_batch = batch_of(db, batch.id)
    mails = () if marked_batch is None else marked_batch.mails
    if not rules.cancel_is_seen_at_mark:
        mails = worker.mails
    breaches = []
    if any(db.mails[mail].expired for mail in mails):
        breaches.append(Broken.MARKED_EXPIRED)
    if any(world.facts[mail].proven for mail in mails):
        breaches.append(Broken.MARKED_PROVEN)
    after = committed(case, world, db, synchronous=rules.mark_is_synchronous)
    worker = worker._replace(at="marked", mails=mails) if mails else _IDLE
    label = f"worker {number + 1} commits the posting mark of batch {batch.id}"
    yield Step(label, with_worker(after, number, worker), tuple(breaches))


def _release(case: Case, world: World, number: int, worker: Worker) -> Step:
    batch = batch_of(world.db, worker.batch)
    if batch is not None and batch.state == "unknown" and batch.token == worker.token:
        # Given up while the mark waited: that it was not posted is an answer, though a late one.
        db = outcomes.record(case.scope, case.rules, world.db, batch.id, worker.token, worker.mails, "outage")
    else:
        db = statements.release(case.rules, world.db, worker.batch, worker.token)
    after = with_worker(committed(case, world, db, synchronous=True), number, _IDLE)
    what = "gives batch {} back" if db != world.db else "has nothing to give back of batch {}"
    return Step(f"worker {number + 1} " + what.format(worker.batch), after)


def _after_mark(case: Case, world: World, number: int, worker: Worker) -> Iterator[Step]:
    if worker.left == -1:
        yield _start_deadline(case, world, number, worker)
        return
    in_time = worker.left > 0 and not worker.skewed
    believed = worker.skewed and not case.rules.both_clocks_count
    if in_time or believed or not case.rules.final_check:
        checked = worker._replace(at="checked", left=0, skewed=False)
        yield Step(f"worker {number + 1} passes the final check", with_worker(world, number, checked))
    # Also when the acknowledgement of the mark got lost: it knows that it has not posted.
    yield _release(case, world, number, worker)


def _write(case: Case, world: World, number: int, worker: Worker) -> Step:
    breaches = []
    if not _is_marked(world, worker):
        breaches.append(Broken.UNMARKED)
    for mail in worker.mails:
        fact = world.facts[mail]
        if fact.canceled:
            breaches.append(Broken.AFTER_CANCEL)
        if fact.open:
            breaches.append(Broken.BESIDE)
        world = with_fact(world, mail, fact._replace(open=tuple(sorted({*fact.open, worker.token}))))
    request = Request(worker.mails, worker.batch, worker.token)
    posted = worker._replace(at="posted", held=0)
    after = with_worker(world._replace(wire=tuple(sorted((*world.wire, request)))), number, posted)
    label = f"worker {number + 1} POSTs {names(worker.mails)} as batch {worker.batch}"
    return Step(label, after, tuple(breaches))


def _is_marked(world: World, worker: Worker) -> bool:
    return any(
        batch.id == worker.batch and batch.token == worker.token and batch.state in {"posting", "unknown"}
        for batch in world.db.batches
    )


def _after_write(case: Case, world: World, number: int, worker: Worker) -> Iterator[Step]:
    if not case.rules.posted_is_not_released:
        yield _release(case, world, number, worker)
    if worker.answer:
        yield from _record(case, world, number, worker, worker.answer)
    if case.scope.unclear:
        yield from _record(case, world, number, worker, "unclear")


def _record(case: Case, world: World, number: int, worker: Worker, answer: str) -> Iterator[Step]:
    db = outcomes.record(case.scope, case.rules, world.db, worker.batch, worker.token, worker.mails, answer)
    after = committed(case, world, db, synchronous=True)
    for mail in worker.mails:
        after = _known(after, mail, worker.token, answer)
    label = f"worker {number + 1} records of batch {worker.batch}: {answer}"
    half = not case.rules.outcomes_in_one_transaction and answer != "unclear"
    rest = worker._replace(at="half") if half else _IDLE
    yield Step(label, with_worker(after, number, rest))
    if case.scope.repeats and answer != "unclear":
        yield Step(f"{label}; the acknowledgement is lost", after)


def _known(world: World, mail: int, token: int, answer: str) -> World:
    fact = world.facts[mail]
    if answer == "unclear":
        return world
    left = tuple(other for other in fact.open if other != token)
    return with_fact(world, mail, fact._replace(open=left, proven=fact.proven or answer == "accepted"))


def gone(case: Case, world: World, number: int, worker: Worker) -> World:
    """Kill a worker: another takes its place, and the broker has its ticket again."""
    if case.scope.tickets:
        world = world._replace(tickets=tuple(sorted({*world.tickets, worker.batch})))
    return with_worker(world, number, _IDLE)
