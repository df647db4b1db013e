"""The relay: issuing, publishing and sweeping, three threads of one process that never wait for each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tests.world import issuing
from tests.world.broker import DEAD, DELIVER, RECONCILE
from tests.world.effects import Do, Park, Query, Rest
from tests.world.rows import NEVER
from tests.world.store import Away

if TYPE_CHECKING:
    from tests.world.effects import Steps
    from tests.world.world import Process, World


@dataclass(slots=True)
class Publishing:
    """What the threads of a relay hand to each other, in memory."""

    outbox: list[tuple[str, int]] = field(default_factory=list)
    confirmed: list[tuple[str, int]] = field(default_factory=list)
    connection: int = 0


def threads(world: World, process: Process) -> None:
    """Start the threads of a relay."""
    publishing = Publishing()
    world.spawn(process, "issue", _issue(world, publishing))
    world.spawn(process, "publish", _publish(world, publishing))
    world.spawn(process, "sweep", _sweep(world, publishing))


def _issue(world: World, publishing: Publishing) -> Steps:
    store = world.store
    while True:
        yield Park(lambda: min([issuing.issuable_at(store, lane) for lane in store.flow], default=NEVER))
        for lane in list(store.flow):
            if issuing.issuable_at(store, lane) > world.now:
                continue
            try:
                batches: list[int] = yield Query(
                    "issues", partial(issuing.issue, store, lane), synchronous=False
                )
            except Away:
                yield Rest(0.5)
                break
            publishing.outbox += [(DELIVER, batch) for batch in batches]
            world.changed()


def _publish(world: World, publishing: Publishing) -> Steps:
    while True:
        yield Park(lambda: world.now if publishing.outbox else NEVER)
        queue, item = publishing.outbox.pop(0)
        confirmed = yield Do(f"publishes {item}", partial(world.broker.publish, queue, item))
        if confirmed:
            publishing.confirmed.append((queue, item))
            world.changed()


def _sweep(world: World, publishing: Publishing) -> Steps:
    store, broker = world.store, world.broker

    def due() -> float:
        if publishing.confirmed:
            return world.now
        if broker.up and publishing.connection != broker.connection:
            return world.now
        tickets = issuing.ticket_due_at(store)
        # Without a connection nothing is published, but leases run out all the same.
        return min(issuing.lapsed_at(store), tickets if broker.up else max(tickets, broker.away_until))

    while True:
        yield Park(due)
        try:
            yield from _tick(world, publishing)
        except Away:
            yield Rest(0.5)
        else:
            yield Rest(0.2)


def _tick(world: World, publishing: Publishing) -> Steps:
    store, broker = world.store, world.broker
    if publishing.confirmed:
        confirmed, publishing.confirmed = publishing.confirmed, []
        tickets = [item for queue, item in confirmed if queue == DELIVER]
        letters = [item for queue, item in confirmed if queue == DEAD]
        yield Query("notes confirms", lambda: issuing.published(store, tickets), synchronous=False)
        if letters:
            yield Query("notes letters", lambda: issuing.dead_letters_published(store, letters))
    if issuing.lapsed_at(store) < world.now:
        yield Query("sweeps", lambda: issuing.sweep(store))
    every = publishing.connection != broker.connection
    if broker.up and (every or issuing.ticket_due_at(store) < world.now):
        publishing.connection = broker.connection
        late: list[tuple[int, bool]] = yield Query(
            "repeats tickets", lambda: issuing.late_tickets(store, every=every)
        )
        publishing.outbox += [(RECONCILE if unknown else DELIVER, batch) for batch, unknown in late]
        if any(not row.published for row in store.dead_letter.values()):
            dead: list[int] = yield Query("takes dead letters", lambda: issuing.take_dead_letters(store))
            publishing.outbox += [(DEAD, mail) for mail in dead]
        world.changed()
