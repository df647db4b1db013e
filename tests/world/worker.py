"""The worker: what `atum_workers.deliver` does, with a yield before each effect and the real decisions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from atum_schema.status import Cause
from atum_workers import classify, flow_report, retry
from atum_workers.deadline import Deadline
from atum_workers.outcome import Accepted, Deferred, Outcome, Rejected, Unclear
from tests.world import delivering, evidence, issuing
from tests.world.broker import DELIVER
from tests.world.delivering import Result
from tests.world.effects import LAST_BYTES, Die, Do, Park, Query, Receive, Rest
from tests.world.evidence import Proof
from tests.world.issuing import Heard
from tests.world.provider import Exchange
from tests.world.rows import NEVER
from tests.world.store import Away
from tests.world.times import CLAIM_LEASE, PULL_AFTER, RECORD_PATIENCE, REQUEST_TIMEOUT, RETRY

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.world.delivering import Item
    from tests.world.effects import Steps
    from tests.world.world import Process, World

_WORDS: Final = {Accepted: "accepted", Rejected: "rejected", Deferred: "deferred", Unclear: "unknown"}
_EPOCH_S: Final = 1_700_000_000.0


def consume(world: World, process: Process) -> Steps:
    """Deliver the batches of the tickets that come."""
    broker = world.broker
    while True:
        yield Park(lambda: world.now if broker.waiting(DELIVER) else NEVER)
        batch = yield Do("takes a ticket", lambda: broker.take(DELIVER, process.id))
        if batch is not None:
            yield from deliver(world, process, batch)
            yield Do("acks", lambda: broker.ack(process.id))


def pull(world: World, process: Process) -> Steps:
    """Deliver batches whose tickets do not come."""
    store = world.store

    def overdue() -> list[int]:
        return [
            batch.id
            for batch in store.batch.values()
            if batch.state == "issued" and delivering.overdue_at(batch, PULL_AFTER) < world.now
        ]

    def due() -> float:
        times = [delivering.overdue_at(b, PULL_AFTER) for b in store.batch.values() if b.state == "issued"]
        return min(times, default=NEVER)

    while True:
        yield Park(due)
        try:
            batches = yield Query("looks for overdue batches", overdue)
        except Away:
            yield Rest(1.0)
            continue
        if batches:
            yield from deliver(world, process, world.rng.choice(batches))


def deliver(world: World, process: Process, batch: int) -> Steps:
    """Deliver one batch."""
    try:
        begun = yield from _insist(world, lambda: _begin(world, process, batch), CLAIM_LEASE)
    except Away:
        return
    if begun is None:
        return
    exchange, deadline, items, lane = begun
    began = world.now
    outcomes = yield from _post(world, process, exchange, deadline)
    world.spawn(process, "flow", _report(world, lane, Heard(flow_report.signal(outcomes), began)))
    results = [
        _result(world, item, outcome, len(items)) for item, outcome in zip(items, outcomes, strict=True)
    ]
    try:
        yield from _insist(world, lambda: _record(world, batch, exchange.token, results), RECORD_PATIENCE)
    except Away:
        return


def _begin(world: World, process: Process, batch: int) -> Steps:
    token = world.store.new_id()
    deadline = Deadline.start(REQUEST_TIMEOUT, boot=process.boot, wall=process.wall)
    try:
        return (yield from _prepare(world, batch, token, deadline))
    except Away:
        yield from _insist(world, lambda: _release(world, batch, token, 1.0), REQUEST_TIMEOUT)
        raise


def _release(world: World, batch: int, token: int, delay_s: float) -> Steps:
    yield Query("releases", lambda: delivering.release(world.store, batch, token, delay_s))


def _prepare(world: World, batch: int, token: int, deadline: Deadline) -> Steps:
    store = world.store
    items: list[Item] = yield Query(
        "claims", lambda: delivering.claim(store, batch, token), synchronous=False
    )
    if not items:
        return None
    if any(world.provider.natures[item.mail] == "kills" for item in items):
        yield Die("a mail kills it")
    expired = [item.mail for item in items if item.expired]
    if expired:
        yield Query("takes out", lambda: delivering.take_out(store, batch, token, expired))
    if len(expired) == len(items):
        return None
    marked = None
    if deadline.remaining() > 0:
        marked = yield Query("marks", lambda: delivering.mark(store, batch, token, expired))
    if deadline.remaining() <= 0:
        yield from _release(world, batch, token, 0.0)
        return None
    if marked is None:
        return None
    posted = [item for item in items if item.mail in marked.mails]
    return Exchange(batch, token, marked.mails), deadline, posted, marked.lane


def _post(world: World, process: Process, exchange: Exchange, deadline: Deadline) -> Steps:
    process.exchange = exchange
    connected = yield Do("connects", world.connects)
    if not connected or deadline.remaining() <= 0:
        return _not_sent(exchange, slow=connected)
    if any(world.provider.natures[mail] == "kills_late" for mail in exchange.mails):
        yield Die("a mail kills it")
    yield Do("sends all but the last bytes", lambda: None)
    if deadline.remaining() <= 0:
        exchange.abandoned = True
        return _not_sent(exchange, slow=True)
    exchange.checked_at = world.now
    yield Do(LAST_BYTES, lambda: world.send(process, exchange))
    yield Receive(exchange, deadline.remaining())
    answer = exchange.answer
    if answer is None:
        exchange.abandoned = True
        unclear = Unclear(reason="no_answer", detail="", slow=not exchange.broken)
        return [unclear] * len(exchange.mails)
    now = datetime.fromtimestamp(_EPOCH_S + process.wall(), UTC)
    return classify.classify(answer, count=len(exchange.mails), now=now)


def _not_sent(exchange: Exchange, *, slow: bool) -> list[Outcome]:
    return [Deferred(reason="not_sent", detail="", charged=False, slow=slow)] * len(exchange.mails)


def _result(world: World, item: Item, outcome: Outcome, mails: int) -> Result:
    verdict = retry.decide(
        outcome,
        attempts=item.attempts,
        tries=item.tries,
        policy=RETRY,
        uniform=world.rng.uniform,
        mails=mails,
    )
    retrying = verdict if isinstance(verdict, retry.RetryIn) else None
    charged = isinstance(verdict, retry.RetryIn | retry.GiveUp) and verdict.charged
    return Result(
        mail=item.mail,
        was=item.status,
        status=verdict.status,
        cause=verdict.cause,
        outcome=_WORDS[type(outcome)],
        charged=charged,
        retry_s=None if retrying is None else retrying.seconds,
        at_most=None if retrying is None else retrying.at_most,
        reason="accepted" if isinstance(outcome, Accepted) else outcome.reason,
        message_id=outcome.message_id if isinstance(outcome, Accepted) else None,
    )


def _record(world: World, batch: int, token: int, results: list[Result]) -> Steps:
    store = world.store
    recorded = yield Query("records", lambda: delivering.record(store, batch, token, results))
    if recorded:
        return
    known = yield Query(
        "looks what is recorded",
        lambda: evidence.outcomes(store, batch, [result.mail for result in results]),
    )
    proofs = [
        Proof(result.mail, batch, result.message_id or "")
        for result in results
        if result.outcome == "accepted" and known.get(result.mail) != "accepted"
    ]
    if proofs:
        yield Query("proves late", lambda: evidence.prove(store, proofs, Cause.PROVIDER_ACCEPTED))
    refused = [
        result
        for result in results
        if result.outcome in {"rejected", "deferred"} and known.get(result.mail) == "unknown"
    ]
    if refused:
        yield Query("refuses late", lambda: evidence.refuse(store, batch, refused))


def _report(world: World, lane: str, heard: Heard) -> Steps:
    """Tell the window what a request came to; its own thread, never waited for."""
    while True:
        try:
            stopped = yield Query(
                "tells the window", lambda: issuing.heard(world.store, lane, heard), synchronous=False
            )
            if stopped:
                yield Query("takes back", lambda: issuing.recall(world.store, lane))
        except Away:
            yield Rest(0.5)
        else:
            return


def _insist(world: World, work: Callable[[], Steps], patience_s: float) -> Steps:
    """Repeat what the database interrupted, for as long as there is patience. Raises `Away`."""
    give_up_at = world.now + patience_s
    while True:
        try:
            return (yield from work())
        except Away:
            if world.now > give_up_at:
                raise
        yield Rest(world.rng.uniform(0.05, 2.0))
