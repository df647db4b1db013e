"""Mail belongs to the transaction it was enqueued in, whoever opened the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy

from atum_producers import Mailer
from atum_schema import settings
from atum_schema.encryption import new_key
from atum_schema.errors import IdempotencyConflict, MailNotFound, MailRejected
from tests.system import letters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from tests.nodes import Databases


@pytest.fixture(scope="module")
def url(databases: Databases) -> Iterator[str]:
    with databases.fresh() as url:
        yield url


@pytest.fixture(scope="module")
def mailer(url: str) -> Iterator[Mailer]:
    with Mailer(settings=settings.load(database_url=url, content_keys=new_key("test"))) as mailer:
        yield mailer


def exists(mailer: Mailer, mail_id: UUID) -> bool:
    try:
        mailer.get(mail_id)
    except MailNotFound:
        return False
    return True


def traces(url: str, mail_id: UUID) -> int:
    """Count the rows of this mail in every table that an enqueue writes."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM atum.mail WHERE id = %(id)s)"
            " + (SELECT count(*) FROM atum.content WHERE mail_id = %(id)s)"
            " + (SELECT count(*) FROM atum.ready WHERE mail_id = %(id)s)"
            " + (SELECT count(*) FROM atum.event WHERE mail_id = %(id)s)",
            {"id": mail_id},
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_without_a_connection_the_mail_is_durable_on_return(url: str, mailer: Mailer) -> None:
    mail_id = mailer.enqueue(letters(1)[0])
    assert traces(url, mail_id) == 4


@pytest.mark.parametrize("opened", [True, False], ids=["after other work", "as the first statement"])
def test_mail_in_the_callers_transaction_exists_when_it_commits(
    url: str, mailer: Mailer, opened: bool
) -> None:
    with psycopg.connect(url) as connection:
        if opened:
            connection.execute("SELECT 1")
        mail_id = mailer.enqueue(letters(1)[0], connection=connection)
        assert not exists(mailer, mail_id)
        assert mailer.get(mail_id, connection=connection).status == "queued"
        connection.commit()
        assert exists(mailer, mail_id)


@pytest.mark.parametrize("opened", [True, False], ids=["after other work", "as the first statement"])
def test_mail_in_the_callers_transaction_is_gone_when_it_rolls_back(
    url: str, mailer: Mailer, opened: bool
) -> None:
    with psycopg.connect(url) as connection:
        if opened:
            connection.execute("SELECT 1")
        mail_id = mailer.enqueue(letters(1)[0], connection=connection)
        connection.rollback()
    assert traces(url, mail_id) == 0


def test_mail_enqueued_in_a_block_of_an_autocommit_connection_follows_the_block(
    url: str, mailer: Mailer
) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.transaction(force_rollback=True):
            undone = mailer.enqueue(letters(1)[0], connection=connection)
        with connection.transaction():
            done = mailer.enqueue(letters(1)[0], connection=connection)
    assert (traces(url, undone), traces(url, done)) == (0, 4)


def bad_lane() -> list[Any]:
    return [*letters(1), *letters(1, lane="nowhere")]


def key_twice() -> list[Any]:
    return [*letters(1), *letters(2, idempotency_key="twice-in-a-list")]


def known_key() -> list[Any]:
    return [*letters(1), *letters(1, idempotency_key="known"), *letters(1)]


@pytest.mark.parametrize(
    ("mails", "error"),
    [(bad_lane, MailRejected), (key_twice, MailRejected), (known_key, IdempotencyConflict)],
)
def test_a_refused_list_leaves_nothing_and_the_callers_transaction_usable(
    url: str, mailer: Mailer, mails: Any, error: type[Exception]
) -> None:
    mailer.enqueue(letters(1, idempotency_key="known", subject="The first")[0])
    count = "SELECT count(*) FROM atum.mail"
    with psycopg.connect(url) as connection:
        before = connection.execute(count).fetchone()
        with pytest.raises(error):
            mailer.enqueue(mails(), connection=connection)
        assert connection.execute(count).fetchone() == before
        kept = mailer.enqueue(letters(1)[0], connection=connection)
        connection.commit()
        with pytest.raises(error):
            mailer.enqueue(mails())
    assert traces(url, kept) == 4


def test_a_connection_with_row_factories_of_its_own_changes_nothing(url: str, mailer: Mailer) -> None:
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        connection.execute("SELECT 1")
        first = mailer.enqueue(letters(2, name="a"), connection=connection)
        again = mailer.enqueue(letters(1, idempotency_key="dict-rows")[0], connection=connection)
        assert again == mailer.enqueue(letters(1, idempotency_key="dict-rows")[0], connection=connection)
        assert mailer.get(first[0], connection=connection).id == first[0]
        connection.commit()


@pytest.mark.parametrize("opened", [True, False], ids=["after other work", "as the first statement"])
def test_mail_belongs_to_sqlalchemys_transaction(url: str, mailer: Mailer, opened: bool) -> None:
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            ids = []
            for end in (connection.rollback, connection.commit):
                if opened:
                    connection.execute(sqlalchemy.text("SELECT 1"))
                else:
                    connection.begin()
                driver: Any = connection.connection.driver_connection
                ids.append(mailer.enqueue(letters(1)[0], connection=driver))
                end()
    finally:
        engine.dispose()
    assert [traces(url, one) for one in ids] == [0, 4]


@pytest.fixture(scope="module")
def django(url: str) -> Any:
    """Django's own connection to the database."""
    from urllib.parse import unquote, urlsplit

    import django.conf

    parts = urlsplit(url)
    django.conf.settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": parts.path.removeprefix("/"),
                "USER": parts.username,
                "PASSWORD": unquote(parts.password or ""),
                "HOST": parts.hostname,
                "PORT": parts.port,
            }
        }
    )
    django.setup()
    from django.db import connection

    yield connection
    connection.close()


@pytest.mark.parametrize("opened", [True, False], ids=["after other work", "as the first statement"])
def test_mail_belongs_to_djangos_atomic_block(url: str, mailer: Mailer, django: Any, opened: bool) -> None:
    from django.db import transaction

    ids = []
    for good in (False, True):
        with transaction.atomic():
            django.ensure_connection()
            if opened:
                with django.cursor() as cursor:
                    cursor.execute("SELECT 1")
            ids.append(mailer.enqueue(letters(1)[0], connection=django.connection))
            transaction.set_rollback(not good)
    assert [traces(url, one) for one in ids] == [0, 4]
