"""What a mail says is nowhere once it is not needed any more, and nowhere in clear before. Weakness C10."""

from __future__ import annotations

import base64
import subprocess
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql

from atum_ops.stack.find import find_postgres, usual_places
from atum_schema import database, moves
from atum_schema import suppression_orders as orders
from atum_schema.encryption import Keyring
from atum_schema.mail import Attachment
from atum_schema.moves import Move
from atum_schema.status import Cause
from atum_workers.deliver import Delivery
from atum_workers.postmark import Postmark
from atum_workers.retry import RetryPolicy
from atum_workers.store import Recording
from tests import aging
from tests.aging import age, counts, retain
from tests.command_line import DEAD, SENT, UNKNOWN
from tests.logged import said
from tests.simulating import HEADERS
from tests.telling import apply_all, event, tell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from psycopg_pool import ConnectionPool

    from atum_ops.simulator.process import SimulatorProcess
    from tests.command_line import Place

CANARY = "canaryofthebody"
SUBJECT = "canaryofthesubject"
#: Aligned in three ways, so that one of them is in any base64 of it.
FORMS = (
    CANARY,
    CANARY.encode().hex(),
    *(base64.b64encode(b" " * shift + CANARY.encode()).decode()[4:16] for shift in range(3)),
)
LETTER: dict[str, Any] = {
    "subject": SUBJECT,
    "text": f"Dear {CANARY}, {CANARY}",
    "html": f"<p>{CANARY}</p>",
    "headers": {"X-Canary": CANARY},
    "attachments": [Attachment(name="letter.txt", content=CANARY.encode(), content_type="text/plain")],
}


@pytest.fixture
def pool(place: Place) -> Iterator[ConnectionPool[Any]]:
    with database.pool(place.url, name="tests", size=4) as one:
        yield one


def unnoticed(wal: int) -> None:
    """Do nothing with the place of a mark."""
    del wal


def deliver(
    place: Place, pool: ConnectionPool[Any], simulator: SimulatorProcess, *, drop_content: bool
) -> None:
    """Do the worker's part for everything that is due, at a provider that answers."""
    provider = Postmark(base_url=simulator.url, token=HEADERS["X-Postmark-Server-Token"])
    delivery = Delivery(
        pool=pool,
        provider=provider,
        keyring=Keyring(place.environment["ATUM_CONTENT_KEYS"]),
        policy=lambda: RetryPolicy(attempts=3, tries=9, base=0.01, maximum=0.01),
        worker="tests/1",
        request_timeout_s=60,
        claim_lease_s=60,
        posting_lease_s=120,
        recording=Recording(drop_content=drop_content, patience_s=5, settle_s=30),
        record_patience_s=60,
        marked=unnoticed,
    )
    try:
        for batch in place.issue():
            delivery.deliver(batch)
    finally:
        provider.close()


def found(place: Place, *words: str) -> set[str]:
    """Name the columns of all tables in which one of these words stands, in text, in bytes or in their hex."""
    patterns = [f"%{word}%" for word in words]
    tables = place.sql(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'atum'::regnamespace AND relkind = 'r'"
    )
    assert len(tables) > 30
    places = set()
    with psycopg.connect(place.url, autocommit=True) as connection:
        for (table,) in tables:
            rows = connection.execute(
                sql.SQL(
                    "SELECT DISTINCT key FROM (SELECT to_jsonb(t) AS row FROM atum.{} t WHERE t::text ILIKE ANY(%(words)s)) t,"
                    " jsonb_each_text(row) WHERE value ILIKE ANY(%(words)s)"
                ).format(sql.Identifier(table)),
                {"words": patterns},
            )
            name = table.rstrip("0123456789_").removesuffix("_default")
            places |= {f"{name}.{column}" for (column,) in rows}
    return places


def dumped(place: Place) -> str:
    """Give what pg_dump writes of the database."""
    programs = find_postgres(usual_places())
    assert programs is not None
    command = [str(programs / "pg_dump"), "--dbname", place.url]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def status(place: Place, mail_id: UUID) -> str:
    ((found_status,),) = place.sql("SELECT status FROM atum.mail WHERE id = %(id)s", id=mail_id)
    return str(found_status)


def test_what_is_looked_for_is_found_where_it_may_be(place: Place) -> None:
    place.enqueue(**LETTER)
    assert found(place, SUBJECT) == {"mail.subject"}
    assert SUBJECT in dumped(place)
    place.sql("UPDATE atum.content SET body = convert_to(%(canary)s, 'UTF8')", canary=CANARY)
    assert found(place, *FORMS) == {"content.body"}
    assert CANARY.encode().hex() in dumped(place)


def test_in_metadata_mode_nothing_of_a_mail_is_left_once_it_is_accepted(
    place: Place, pool: ConnectionPool[Any], simulator: SimulatorProcess
) -> None:
    (mail_id,) = place.enqueue(**LETTER)
    assert found(place, *FORMS) == set()
    assert counts(place, [mail_id])["content"] == 1
    deliver(place, pool, simulator, drop_content=True)
    assert status(place, mail_id) == "sent"
    assert place.sql("SELECT count(*) FROM atum.content") == [(0,)]
    ((batch,),) = place.sql("SELECT batch_id FROM atum.attempt")
    tell(
        place,
        event("Delivery", mail_id, batch),
        event("Bounce", mail_id, batch, Subject=SUBJECT, Content=f"Dear {CANARY}"),
    )
    apply_all(place)
    assert found(place, *FORMS) == set()
    assert found(place, SUBJECT) == {"mail.subject"}


def test_in_metadata_mode_nothing_is_left_of_mails_that_are_not_sent_any_more(
    place: Place, pool: ConnectionPool[Any], simulator: SimulatorProcess
) -> None:
    (canceled,) = place.enqueue(**LETTER)
    place.mailer.cancel(canceled)
    (suppressed,) = place.enqueue(**LETTER, to="gone@example.com")
    with psycopg.connect(place.url) as connection:
        orders.suppress(
            connection, "outbound", ["gone@example.com"], actor="operator:tests", source="operator"
        )
    (expired,) = place.enqueue(**LETTER)
    place.sql("UPDATE atum.mail SET expires_at = now() WHERE id = %(id)s", id=expired)
    (discarded,) = place.enqueue(**LETTER, tag="dead")
    place.sql("UPDATE atum.ready SET due_at = now() + interval '1 hour' WHERE mail_id = %(id)s", id=discarded)
    deliver(place, pool, simulator, drop_content=True)
    place.sql("UPDATE atum.ready SET due_at = now()")
    for batch in place.issue():
        place.end(batch, **DEAD)
    # What can be posted again keeps its content, encrypted.
    assert counts(place, [discarded])["content"] == 1
    assert found(place, *FORMS) == set()
    with place.connection.transaction():
        locked = moves.lock(place.connection, [discarded])
        moves.apply(place.connection, [Move(m.mail_id, m.status, Cause.DISCARDED) for m in locked])
    ids = {canceled: "canceled", suppressed: "suppressed", expired: "expired", discarded: "canceled"}
    assert {mail_id: status(place, mail_id) for mail_id in ids} == ids
    assert place.sql("SELECT count(*) FROM atum.content") == [(0,)]
    assert found(place, *FORMS) == set()


def test_in_full_mode_content_stays_encrypted_for_as_long_as_it_is_to_be_kept(
    place: Place, pool: ConnectionPool[Any], simulator: SimulatorProcess
) -> None:
    (mail_id,) = place.enqueue(**LETTER)
    (dead,) = place.enqueue(**LETTER)
    place.sql("UPDATE atum.ready SET due_at = now() + interval '1 hour' WHERE mail_id = %(id)s", id=dead)
    deliver(place, pool, simulator, drop_content=False)
    place.sql("UPDATE atum.ready SET due_at = now()")
    for batch in place.issue():
        place.end(batch, **DEAD)
    assert (status(place, mail_id), status(place, dead)) == ("sent", "dead")
    assert place.sql("SELECT count(*) FROM atum.content") == [(2,)]
    assert found(place, *FORMS) == set()
    dump = dumped(place)
    assert not [form for form in FORMS if form in dump]
    assert SUBJECT in dump
    # Neither is old, nor is the one over.
    assert retain(place, pool, privacy="full", content_retention_days=1).contents == 0
    assert counts(place, [mail_id, dead])["content"] == 2


def test_in_full_mode_content_goes_when_it_is_older_than_it_is_kept_and_that_of_open_mails_never(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    place.environment["ATUM_PRIVACY"] = "full"
    with aging.accepted(aging.month(2).begins):
        sent = place.ended(SENT, 3, **LETTER)
        dead = place.ended(DEAD, 2, **LETTER)
        unknown = place.ended(UNKNOWN, 2, **LETTER)
    young = place.ended(SENT, 2, **LETTER)
    with aging.accepted(aging.month(2).begins):
        waiting = place.enqueue(2, **LETTER)
    put_back(place, [*sent, *young])
    assert retain(place, pool, privacy="full", content_retention_days=30).contents == 0
    age(place, [*sent, *dead, *unknown, *waiting], days=31)
    retained = retain(place, pool, privacy="full", content_retention_days=30, at_once=2)
    assert retained.contents == 3
    assert counts(place, [*dead, *unknown, *waiting])["content"] == 6
    assert counts(place, young)["content"] == 2
    assert counts(place, sent) == {"mail": 3, "event": 6, "attempt": 3, "recipient_event": 0, "content": 0}


def test_content_that_full_mode_left_goes_once_the_mode_is_metadata_and_that_is_said(
    place: Place, pool: ConnectionPool[Any], caplog: pytest.LogCaptureFixture
) -> None:
    sent, dead = place.ended(SENT, 3), place.ended(DEAD, 2)
    put_back(place, sent)
    assert retain(place, pool, privacy="full").contents == 0
    assert retain(place, pool, privacy="metadata").contents == 3
    assert '"setting":"ATUM_PRIVACY","before":"full","now":"metadata"' in said(caplog)
    assert counts(place, dead)["content"] == 2


def test_content_goes_with_its_month_however_long_it_may_be_kept(
    place: Place, pool: ConnectionPool[Any]
) -> None:
    old = aging.make(place, aging.month(8))
    sent = aging.ended_in(place, old, SENT, 3)
    dead = aging.ended_in(place, old, DEAD, 1)
    put_back(place, sent)
    retained = retain(place, pool, privacy="full", content_retention_days=3650)
    assert (retained.months, retained.contents) == ([str(old)], 3)
    assert counts(place, dead)["content"] == 1


def put_back(place: Place, ids: list[UUID]) -> None:
    """Let these mails have content, as in full mode."""
    place.sql(
        "INSERT INTO atum.content (mail_id, key_id, body) SELECT unnest(%(ids)s::uuid[]), 'test', 'x'",
        ids=ids,
    )
