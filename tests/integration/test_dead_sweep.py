"""After a sweep, `mail.dead` and Postgres hold the same set of (mail, cycle), whatever happened to the queue."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from atum_producers.relay import Relay
from atum_schema import database, maintenance, topology
from atum_schema import settings as settings_module
from atum_schema.errors import Unreachable
from atum_schema.maintenance import Task
from atum_workers.maintain import LeaseLost
from atum_workers.rotation import Limits
from atum_workers.sweep_dead import Sweep, Swept
from tests.command_line import DEAD, Place
from tests.dead import agree, bodies, broker, foreign, letters, look, message, publish, put
from tests.intaking import depth
from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg_pool import ConnectionPool


@pytest.fixture
def pool(place: Place) -> Iterator[ConnectionPool[Any]]:
    with database.pool(place.url, name="tests", size=4) as one:
        yield one


@pytest.fixture
def place(place: Place, amqp_url: str) -> Place:
    place.environment["ATUM_AMQP_URL"] = amqp_url
    return place


def sweep(
    pool: ConnectionPool[Any],
    amqp_url: str,
    *,
    at_once: int = 7,
    idle_s: float = 20,
    go_on: Callable[[], None] = lambda: None,
) -> Swept:
    """Sweep in small steps, so that a few letters are several of them; after `idle_s` it believes that nothing more comes."""
    limits = Limits(at_once=at_once, idle_s=idle_s)
    return Sweep(pool=pool, amqp_url=amqp_url, go_on=go_on, limits=limits).run()


def are_there(amqp_url: str, number: int) -> bool:
    """Wait until so many messages wait: who looked at them has given them back, and RabbitMQ has noticed."""
    return eventually(lambda: depth(amqp_url, topology.DEAD) == number)


def replayed(place: Place, *ids: Any) -> None:
    assert place.run("dead", "replay", *ids, "--yes").status == 0


def test_what_agrees_already_stays_as_it_is(place: Place, pool: ConnectionPool[Any], amqp_url: str) -> None:
    place.ended(DEAD, 20)
    with broker(amqp_url) as channel:
        assert publish(place, channel) == 20
    before = set(look(amqp_url))
    assert are_there(amqp_url, 20)
    assert sweep(pool, amqp_url) == Swept(kept=20)
    assert eventually(lambda: set(look(amqp_url)) == before)
    assert are_there(amqp_url, 20)
    assert sweep(pool, amqp_url) == Swept(kept=20)
    assert eventually(lambda: agree(place, amqp_url))


def test_messages_of_mails_that_were_replayed_or_discarded_are_removed(
    place: Place, pool: ConnectionPool[Any], amqp_url: str
) -> None:
    ids = place.ended(DEAD, 20)
    with broker(amqp_url) as channel:
        publish(place, channel)
    replayed(place, *ids[:5])
    assert place.run("dead", "discard", *ids[5:7], "--yes").status == 0
    assert sweep(pool, amqp_url) == Swept(kept=13, stale=7)
    assert eventually(lambda: agree(place, amqp_url))


def test_a_mail_that_died_again_has_the_message_of_its_new_cycle_alone(
    place: Place, pool: ConnectionPool[Any], amqp_url: str
) -> None:
    (mail,) = place.ended(DEAD)
    with broker(amqp_url) as channel:
        publish(place, channel)
        replayed(place, mail)
        for batch in place.issue():
            place.end(batch, **DEAD)
        publish(place, channel)
    assert set(look(amqp_url)) == {(mail, 1), (mail, 2)}
    assert are_there(amqp_url, 2)
    assert sweep(pool, amqp_url) == Swept(kept=1, stale=1)
    assert eventually(lambda: look(amqp_url) == [(mail, 2)])


def test_second_messages_and_those_that_are_none_of_ours_are_removed(
    place: Place, pool: ConnectionPool[Any], amqp_url: str
) -> None:
    ids = place.ended(DEAD, 10)
    with broker(amqp_url) as channel:
        publish(place, channel)
        for mail in ids[::2]:
            put(channel, message(mail))
        for body in foreign():
            put(channel, body)
    number = len(list(foreign()))
    assert sweep(pool, amqp_url) == Swept(kept=10, repeated=5, unreadable=number)
    assert eventually(lambda: agree(place, amqp_url))


@pytest.mark.parametrize("how", ["purged", "deleted"])
def test_a_wiped_queue_is_made_anew_by_the_relay(
    place: Place, pool: ConnectionPool[Any], amqp_url: str, how: str
) -> None:
    place.ended(DEAD, 20)
    with broker(amqp_url) as channel:
        publish(place, channel)
        if how == "purged":
            channel.queue_purge(topology.DEAD)
        else:
            channel.queue_delete(topology.DEAD)
    assert sweep(pool, amqp_url) == Swept(missing=20)
    with broker(amqp_url) as channel:
        assert publish(place, channel) == 20
    assert agree(place, amqp_url)
    assert are_there(amqp_url, 20)
    assert sweep(pool, amqp_url) == Swept(kept=20)


def test_a_message_whose_confirm_nobody_noted_is_noted_and_not_published_again(
    place: Place, pool: ConnectionPool[Any], amqp_url: str
) -> None:
    place.ended(DEAD, 3)
    with broker(amqp_url) as channel:
        publish(place, channel)
        place.sql("UPDATE atum.dead_letter SET published_at = NULL, publish_after = now()")
        assert sweep(pool, amqp_url) == Swept(kept=3)
        assert publish(place, channel) == 0
    assert eventually(lambda: agree(place, amqp_url))


def test_what_a_relay_publishes_meanwhile_is_not_doubted(
    place: Place, pool: ConnectionPool[Any], amqp_url: str
) -> None:
    place.ended(DEAD, 20)
    with broker(amqp_url) as channel:
        publish(place, channel)
        steps = 0

        def meanwhile() -> None:
            nonlocal steps
            steps += 1
            if steps < 3:
                place.ended(DEAD, 5)
                publish(place, channel)

        assert sweep(pool, amqp_url, go_on=meanwhile) == Swept(kept=20)
    assert len(letters(place)) == 30
    assert eventually(lambda: agree(place, amqp_url))


def test_what_dies_before_the_sweep_and_is_published_behind_its_end_is_not_doubted(
    place: Place, pool: ConnectionPool[Any], amqp_url: str
) -> None:
    place.ended(DEAD, 3)
    with broker(amqp_url) as channel:
        publish(place, channel)
        place.ended(DEAD, 3)

        def meanwhile() -> None:
            publish(place, channel)

        assert sweep(pool, amqp_url, go_on=meanwhile) == Swept(kept=3)
    assert len(letters(place)) == 6
    assert eventually(lambda: agree(place, amqp_url))


def test_with_a_real_relay_and_many_sweeps_the_sets_agree(
    place: Place, pool: ConnectionPool[Any], amqp_url: str
) -> None:
    configured = settings_module.load(
        database_url=SecretStr(place.url),
        amqp_url=SecretStr(amqp_url),
        content_keys=SecretStr(place.environment["ATUM_CONTENT_KEYS"]),
    )
    ids = place.ended(DEAD, 60)
    relay = Relay(configured)
    thread = threading.Thread(target=relay.run)
    thread.start()
    try:
        assert eventually(lambda: not place.sql("SELECT 1 FROM atum.dead_letter WHERE published_at IS NULL"))
        with broker(amqp_url) as channel:
            channel.queue_purge(topology.DEAD)
        for mail in ids[:3]:
            # Straight to the next cycle's death, while sweeps and relay are at work.
            place.sql("UPDATE atum.dead_letter SET cycle = 2 WHERE mail_id = %(id)s", id=mail)
            place.sql("UPDATE atum.mail SET cycle = 2 WHERE id = %(id)s", id=mail)
            sweep(pool, amqp_url)
        assert eventually(lambda: not place.sql("SELECT 1 FROM atum.dead_letter WHERE published_at IS NULL"))
        sweep(pool, amqp_url)
        assert eventually(lambda: agree(place, amqp_url))
    finally:
        relay.stop()
        thread.join()


def test_two_sweeps_at_once_lose_nothing_and_the_next_one_finds_agreement(
    place: Place, pool: ConnectionPool[Any], amqp_url: str
) -> None:
    place.ended(DEAD, 60)
    with broker(amqp_url) as channel:
        publish(place, channel)
    inner: list[Swept] = []

    def second() -> None:
        if not inner:
            inner.append(Swept())
            inner.append(sweep(pool, amqp_url, idle_s=0.5))

    sweep(pool, amqp_url, idle_s=0.5, go_on=second)
    assert len(inner) == 2
    assert len(letters(place)) == 60
    with broker(amqp_url) as channel:
        publish(place, channel)
        sweep(pool, amqp_url)
        publish(place, channel)
    assert eventually(lambda: agree(place, amqp_url))


def test_while_somebody_takes_messages_away_nothing_that_was_put_back_is_taken_for_a_repetition(
    place: Place, pool: ConnectionPool[Any], amqp_url: str
) -> None:
    place.ended(DEAD, 40)
    with broker(amqp_url) as channel:
        publish(place, channel)
        taken = [channel.basic_get(topology.DEAD, auto_ack=False) for _ in range(3)]
        assert all(method is not None for method, _, _ in taken)
        steps = 0

        def taking() -> None:
            nonlocal steps
            steps += 1
            if steps == 1:
                # Behind what the sweep has taken: the queue becomes shorter than it said.
                taken.extend(channel.basic_get(topology.DEAD, auto_ack=True) for _ in range(10))

        swept = sweep(pool, amqp_url, idle_s=0.5, go_on=taking)
        assert (swept.repeated, swept.stale) == (0, 0)
        assert swept.kept + swept.missing == 40
    with broker(amqp_url) as channel:
        publish(place, channel)
        sweep(pool, amqp_url)
        publish(place, channel)
    assert eventually(lambda: agree(place, amqp_url))


def test_a_sweep_that_lost_its_lease_or_died_loses_no_message(
    place: Place, pool: ConnectionPool[Any], amqp_url: str
) -> None:
    place.ended(DEAD, 20)
    with broker(amqp_url) as channel:
        publish(place, channel)
    steps = 0

    def lost() -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            raise LeaseLost

    with pytest.raises(LeaseLost):
        sweep(pool, amqp_url, go_on=lost)
    assert place.sql("SELECT 1 FROM atum.dead_letter WHERE published_at IS NULL") == []
    assert eventually(lambda: len(bodies(amqp_url)) == 20)
    assert are_there(amqp_url, 20)
    assert sweep(pool, amqp_url) == Swept(kept=20)


def test_without_a_broker_the_error_says_so(place: Place, pool: ConnectionPool[Any]) -> None:
    with pytest.raises(Unreachable, match="RabbitMQ"):
        sweep(pool, "amqp://nobody:x@127.0.0.1:1/%2F")
    answer = place.run("dead", "sweep")
    assert answer.status == 0
    place.environment["ATUM_AMQP_URL"] = "amqp://nobody:x@127.0.0.1:1/%2F"
    assert place.run("dead", "sweep").status == 3
    assert place.sql("SELECT lease_until FROM atum.maintenance WHERE name = 'sweep_dead'") == [(None,)]


def test_the_command_sweeps_and_waits_for_whoever_is_at_it(
    place: Place, pool: ConnectionPool[Any], amqp_url: str
) -> None:
    ids = place.ended(DEAD, 4)
    with broker(amqp_url) as channel:
        publish(place, channel)
    replayed(place, ids[0])
    ((task,),) = place.sql("SELECT id FROM atum.maintenance WHERE name = %(name)s", name=Task.SWEEP_DEAD)
    with pool.connection() as connection:
        begun = maintenance.begin(connection, task)
        assert begun is not None
        other = threading.Timer(0.5, lambda: place.sql("UPDATE atum.maintenance SET lease_until = NULL"))
        other.start()
        answer = place.run("dead", "sweep", "--format=json")
        other.join()
    assert (answer.status, answer.json["kept"], answer.json["stale"]) == (0, 3, 1)
    assert eventually(lambda: agree(place, amqp_url))
    assert are_there(amqp_url, 3)
    assert "3 kept, 0 removed, 0 to be published again" in place.run("dead", "sweep").out


def test_a_replay_makes_the_sweep_due_at_once_even_if_one_is_running(place: Place) -> None:
    ids = place.ended(DEAD, 2)

    def due() -> bool:
        return bool(
            place.sql(
                "SELECT 1 FROM atum.maintenance WHERE name = 'sweep_dead' AND due_at <= clock_timestamp()"
            )
        )

    place.sql("UPDATE atum.maintenance SET due_at = now() + interval '1 hour'")
    assert not due()
    replayed(place, ids[0])
    assert due()
    ((task,),) = place.sql("SELECT id FROM atum.maintenance WHERE name = 'sweep_dead'")
    begun = maintenance.begin(place.connection, task)
    assert begun is not None
    maintenance.end(place.connection, begun.token, due_s=3600)
    assert not due()
    begun = maintenance.begin(place.connection, task)
    assert begun is not None
    assert place.run("dead", "discard", ids[1], "--yes").status == 0
    maintenance.end(place.connection, begun.token, due_s=3600)
    assert due()
