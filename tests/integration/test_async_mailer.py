"""Mail enqueued from an event loop belongs to its transaction, and many tasks share one mailer."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import uvloop

from atum_ops.stack.ports import free_port
from atum_producers import AsyncMailer
from atum_schema import settings
from atum_schema.errors import EnqueueFailed, IdempotencyConflict, MailNotFound, MailRejected
from atum_schema.migrate import migrate
from tests.mailers import KEYS, in_a_loop
from tests.nodes import database_at
from tests.system import letters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from uuid import UUID

    from atum_ops.stack.postgres import PostgresNode
    from tests.nodes import Databases

opened = pytest.mark.parametrize("opened", [True, False], ids=["after other work", "as the first statement"])


@pytest.fixture(scope="module")
def url(databases: Databases) -> Iterator[str]:
    with databases.fresh() as url:
        yield url


def mailer_at(url: str, **options: Any) -> AsyncMailer:
    return AsyncMailer(settings=settings.load(database_url=url, content_keys=KEYS), **options)


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    async with await psycopg.AsyncConnection.connect(url, **options) as connection:
        yield connection


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


@in_a_loop
async def test_without_a_connection_the_mail_is_durable_on_return(url: str) -> None:
    async with mailer_at(url) as mailer:
        assert traces(url, await mailer.enqueue(letters(1)[0])) == 4


@opened
@in_a_loop
async def test_mail_in_the_callers_transaction_exists_when_it_commits(url: str, opened: bool) -> None:
    async with mailer_at(url) as mailer, connected(url) as connection:
        if opened:
            await connection.execute("SELECT 1")
        mail_id = await mailer.enqueue(letters(1)[0], connection=connection)
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        with pytest.raises(MailNotFound):
            await mailer.get(mail_id)
        assert (await mailer.get(mail_id, connection=connection)).status == "queued"
        await connection.commit()
        assert (await mailer.get(mail_id)).status == "queued"


@opened
@in_a_loop
async def test_mail_in_the_callers_transaction_is_gone_when_it_rolls_back(url: str, opened: bool) -> None:
    async with mailer_at(url) as mailer, connected(url) as connection:
        if opened:
            await connection.execute("SELECT 1")
        mail_id = await mailer.enqueue(letters(1)[0], connection=connection)
        await connection.rollback()
    assert traces(url, mail_id) == 0


@in_a_loop
async def test_mail_enqueued_in_a_block_of_an_autocommit_connection_follows_the_block(url: str) -> None:
    async with mailer_at(url) as mailer, connected(url, autocommit=True) as connection:
        async with connection.transaction(force_rollback=True):
            undone = await mailer.enqueue(letters(1)[0], connection=connection)
        async with connection.transaction():
            done = await mailer.enqueue(letters(1)[0], connection=connection)
            async with connection.transaction(force_rollback=True):
                inner = await mailer.enqueue(letters(1)[0], connection=connection)
        alone = await mailer.enqueue(letters(1)[0], connection=connection)
    assert [traces(url, one) for one in (undone, done, inner, alone)] == [0, 4, 0, 4]


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
@in_a_loop
async def test_a_refused_list_leaves_nothing_and_the_callers_transaction_usable(
    url: str, mails: Any, error: type[Exception]
) -> None:
    async with mailer_at(url) as mailer, connected(url) as connection:
        await mailer.enqueue(letters(1, idempotency_key="known", subject="The first")[0])
        count = "SELECT count(*) FROM atum.mail"
        before = await (await connection.execute(count)).fetchone()
        with pytest.raises(error):
            await mailer.enqueue(mails(), connection=connection)
        assert await (await connection.execute(count)).fetchone() == before
        kept = await mailer.enqueue(letters(1)[0], connection=connection)
        await connection.commit()
    assert traces(url, kept) == 4


@in_a_loop
async def test_a_connection_with_row_factories_of_its_own_changes_nothing(url: str) -> None:
    dicts = psycopg.rows.dict_row
    async with mailer_at(url) as mailer, connected(url, row_factory=dicts) as connection:
        first = await mailer.enqueue(letters(1, idempotency_key="dict-rows")[0], connection=connection)
        again = await mailer.enqueue(letters(1, idempotency_key="dict-rows")[0], connection=connection)
        assert again == first
        assert (await mailer.get(first, connection=connection)).id == first
        await connection.commit()


@in_a_loop
async def test_a_closed_mailer_leaves_a_connection_that_was_passed_in_alone(url: str) -> None:
    async with connected(url) as connection:
        async with mailer_at(url) as mailer:
            await mailer.enqueue(letters(1)[0], connection=connection)
        mail_id = await mailer.enqueue(letters(1)[0], connection=connection)
        await connection.commit()
    assert traces(url, mail_id) == 4


@in_a_loop
async def test_tasks_share_a_mailer_and_those_with_one_key_store_one_mail(url: str) -> None:
    async with mailer_at(url, pool_size=3) as mailer:
        same = [mailer.enqueue(letters(1, idempotency_key="of-many-tasks")[0]) for _ in range(20)]
        lists = [mailer.enqueue(letters(5)) for _ in range(20)]
        assert len(set(await asyncio.gather(*same))) == 1
        ids = [one for group in await asyncio.gather(*lists) for one in group]
        assert len(set(ids)) == 100
        # One that is closed while others wait for it ends them with an error that says so, or not at all.
        late = [asyncio.ensure_future(mailer.enqueue(letters(1)[0])) for _ in range(20)]
        await asyncio.sleep(0)
        await mailer.close()
        for answer in await asyncio.gather(*late, return_exceptions=True):
            if isinstance(answer, BaseException):
                assert isinstance(answer, EnqueueFailed), answer
                assert "closed" in str(answer)
            else:
                assert traces(url, answer) == 4


@in_a_loop
async def test_a_pool_that_is_used_up_is_a_certain_failure(url: str) -> None:
    async with mailer_at(url, pool_size=1) as mailer:
        await mailer.enqueue(letters(1)[0])
        assert mailer._pool is not None
        mailer._pool.timeout = 0.2
        async with mailer._pool.connection():
            with pytest.raises(EnqueueFailed, match="no connection to the database in time"):
                await mailer.enqueue(letters(1)[0])
        mailer._pool.timeout = 30
        await mailer.enqueue(letters(1)[0])


@in_a_loop
async def test_a_database_that_is_down_is_a_certain_failure() -> None:
    async with mailer_at(f"postgresql://atum@127.0.0.1:{free_port()}/none") as mailer:
        started = asyncio.get_running_loop().time()
        with pytest.raises(EnqueueFailed):
            await mailer.enqueue(letters(1)[0])
        assert asyncio.get_running_loop().time() - started < 20


@in_a_loop
async def test_a_database_without_a_schema_is_told_what_to_do(postgres_node: PostgresNode) -> None:
    async with mailer_at(database_at(postgres_node.url, "postgres")) as mailer:
        for mails in (letters(1), letters(1, idempotency_key="k")):
            with pytest.raises(EnqueueFailed, match="run: atum-mailer migrate"):
                await mailer.enqueue(mails)


@in_a_loop
async def test_the_first_calls_after_a_restart_of_the_database_succeed(own_postgres: PostgresNode) -> None:
    migrate(own_postgres.url)
    async with mailer_at(own_postgres.url) as mailer:
        first = await mailer.enqueue(letters(1)[0])
        own_postgres.restart()
        assert (await mailer.get(first)).status == "queued"
        own_postgres.restart()
        second = await mailer.enqueue(letters(1)[0])
        assert (await mailer.get(second)).status == "queued"


def test_another_event_loop_needs_another_mailer(url: str) -> None:
    mailer = mailer_at(url)
    with asyncio.Runner() as first:
        first.run(mailer.enqueue(letters(1)[0]))
        with pytest.raises(RuntimeError, match="one per loop"):
            asyncio.run(mailer.enqueue(letters(1)[0]))
        first.run(mailer.close())


def test_it_runs_in_uvloop(url: str) -> None:
    async def story() -> None:
        async with mailer_at(url) as mailer, connected(url) as connection:
            mail_id = await mailer.enqueue(letters(1)[0], connection=connection)
            await connection.commit()
            assert (await mailer.wait(mail_id, timeout=0.1)).status == "queued"

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(story())
