"""A commit that is cut off or abandoned half-way: what the task is told is true, and repeating is safe."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
import pytest

from atum_producers import AsyncMailer
from atum_schema import settings
from atum_schema.errors import EnqueueFailed, EnqueueUncertain
from atum_schema.migrate import migrate
from tests.integration.test_mailer_uncertain import (
    INSERTING,
    REMEMBERING,
    CuttingProxy,
    keyed,
    plain,
    stored,
)
from tests.mailers import KEYS, in_a_loop
from tests.nodes import eventually
from tests.system import letters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from atum_ops.stack.postgres import PostgresNode
    from atum_schema.mail import Mail

kinds = pytest.mark.parametrize("mails", [plain, keyed], ids=["plain", "keyed"])


@pytest.fixture
def proxy(database_url: str) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(database_url)
    yield proxy
    proxy.close()


def mailer_at(url: str, **options: Any) -> AsyncMailer:
    return AsyncMailer(settings=settings.load(database_url=url, content_keys=KEYS), **options)


async def warm(mailer: AsyncMailer) -> None:
    """Let the mailer have its connection."""
    await mailer.enqueue(letters(1, name="warm")[0])


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "not committed"])
@pytest.mark.parametrize(
    ("mails", "words"), [(plain, b"r0@example.net"), (keyed, b"COMMIT")], ids=["plain", "keyed"]
)
@in_a_loop
async def test_a_connection_lost_during_commit_is_uncertain_and_repeating_stores_each_mail_once(
    database_url: str, proxy: CuttingProxy, mails: Callable[[], list[Mail]], words: bytes, committed: bool
) -> None:
    async with mailer_at(proxy.url) as mailer:
        await warm(mailer)
        proxy.arm(words, reaches=committed)
        with pytest.raises(EnqueueUncertain) as uncertain:
            await mailer.enqueue(mails())
        assert proxy.cuts == 1
        assert stored(database_url) == (3 if committed else 0)
        ids = await mailer.enqueue(mails(), keys=uncertain.value.keys)
        assert stored(database_url) == 3
        assert [(await mailer.get(one)).id for one in ids] == ids
        assert await mailer.enqueue(mails(), keys=uncertain.value.keys) == ids
        assert stored(database_url) == 3


@pytest.mark.parametrize("words", [REMEMBERING, INSERTING])
@in_a_loop
async def test_a_connection_lost_before_the_commit_of_a_transaction_is_a_certain_failure(
    database_url: str, proxy: CuttingProxy, words: bytes
) -> None:
    async with mailer_at(proxy.url) as mailer:
        await warm(mailer)
        proxy.arm(words, reaches=True)
        with pytest.raises(EnqueueFailed):
            await mailer.enqueue(keyed())
        assert proxy.cuts == 1
        assert stored(database_url) == 0
        await mailer.enqueue(keyed())
        assert stored(database_url) == 3


def waiting_sessions(url: str, event: LiteralString, *, name: str = "atum-async-mailer") -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
            " AND wait_event = %s AND state = 'active'",
            [name, event],
        ).fetchone()
    assert row is not None
    return int(row[0])


async def until_waiting(url: str, event: LiteralString) -> None:
    """Wait until the server says that a session of the mailer waits for this."""
    assert await asyncio.to_thread(eventually, lambda: bool(waiting_sessions(url, event)))


async def give_up(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def check_the_pool(mailer: AsyncMailer) -> None:
    """See that the one connection came back, idle, and serves."""
    pool = mailer._pool
    assert pool is not None
    async with pool.connection() as connection:
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert connection.autocommit
    stats = pool.get_stats()
    assert stats["pool_size"] == stats["pool_available"] == 1


@kinds
@in_a_loop
async def test_a_task_cancelled_before_the_commit_stores_nothing_and_gives_its_connection_back(
    database_url: str, mails: Callable[[], list[Mail]]
) -> None:
    async with mailer_at(database_url, pool_size=1) as mailer:
        await warm(mailer)
        with psycopg.connect(database_url) as locking:
            locking.execute("LOCK TABLE atum.content IN EXCLUSIVE MODE")
            task = asyncio.create_task(mailer.enqueue(mails()))
            await until_waiting(database_url, "relation")
            await give_up(task)
        assert stored(database_url) == 0
        await check_the_pool(mailer)
        assert len(set(await mailer.enqueue(mails()))) == 3
        assert stored(database_url) == 3


@contextmanager
def no_replica(node: PostgresNode) -> Iterator[None]:
    """Let commits be durable here and wait for a replica that does not exist."""
    reload: LiteralString = "SELECT pg_reload_conf()"
    with psycopg.connect(node.url, autocommit=True, application_name="probe") as connection:
        connection.execute("CREATE TABLE probe ()")
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        connection.execute(reload)
        _commit_until_one_waits(connection, node.url)
        try:
            yield
        finally:
            connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
            connection.execute(reload)


def _commit_until_one_waits(connection: psycopg.Connection[Any], url: str) -> None:
    # A commit that is canceled while it waits for the replica warns, and is a commit all the same.
    warnings: list[object] = []
    connection.add_notice_handler(warnings.append)

    def commit() -> None:
        while not warnings:
            connection.execute("INSERT INTO probe DEFAULT VALUES")

    committing = threading.Thread(target=commit)
    committing.start()
    try:
        assert eventually(lambda: bool(waiting_sessions(url, "SyncRep", name="probe")))
    finally:
        warnings.append("enough")
        connection.cancel_safe()
        committing.join()


@kinds
@in_a_loop
async def test_a_task_cancelled_during_the_commit_may_have_stored_its_mails_and_repeating_by_key_is_safe(
    own_postgres: PostgresNode, mails: Callable[[], list[Mail]]
) -> None:
    url = own_postgres.url
    migrate(url)
    async with mailer_at(url, pool_size=1) as mailer:
        await warm(mailer)
        with no_replica(own_postgres):
            task = asyncio.create_task(mailer.enqueue(mails()))
            await until_waiting(url, "SyncRep")
            await give_up(task)
        # The commit was made before the wait for the replica: the task cannot know.
        assert stored(url) == 3
        await check_the_pool(mailer)
        ids = await mailer.enqueue(mails())
        assert len(set(ids)) == 3
        # Only a key says that a mail is the same.
        assert stored(url) == (3 if mails is keyed else 6)
        assert mails is plain or await mailer.enqueue(mails()) == ids


@in_a_loop
async def test_a_timeout_around_the_call_is_a_cancellation_like_any_other(database_url: str) -> None:
    async with mailer_at(database_url, pool_size=1) as mailer:
        await warm(mailer)
        with psycopg.connect(database_url) as locking:
            locking.execute("LOCK TABLE atum.content IN EXCLUSIVE MODE")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await mailer.enqueue(plain())
        assert stored(database_url) == 0
        await check_the_pool(mailer)


@in_a_loop
async def test_a_task_cancelled_in_the_callers_transaction_leaves_it_to_the_caller(database_url: str) -> None:
    async with (
        mailer_at(database_url) as mailer,
        await psycopg.AsyncConnection.connect(
            database_url, application_name="atum-async-mailer"
        ) as connection,
    ):
        kept = await mailer.enqueue(letters(1)[0], connection=connection)
        with psycopg.connect(database_url) as locking:
            locking.execute("LOCK TABLE atum.idempotency IN EXCLUSIVE MODE")
            task = asyncio.create_task(mailer.enqueue(keyed(), connection=connection))
            await until_waiting(database_url, "relation")
            await give_up(task)
        # The savepoint was rolled back: what came before it is still there to be committed.
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        await connection.commit()
        assert (await mailer.get(kept)).status == "queued"
        assert stored(database_url) == 1
