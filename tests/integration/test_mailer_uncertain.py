"""The connection dies at the worst moment: what the caller is told is true, and repeating is safe."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from atum_ops.stack.ports import free_port
from atum_producers import Mailer
from atum_schema import settings
from atum_schema.encryption import new_key
from atum_schema.errors import EnqueueFailed, EnqueueUncertain
from tests.system import letters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from atum_schema.mail import Mail

KEYS = new_key("test")
# ReadyForQuery, idle or in a transaction (PostgreSQL 15 manual, §55.7).
_READY_FOR_QUERY = (b"Z\x00\x00\x00\x05I", b"Z\x00\x00\x00\x05T")
_SIZE = 1 << 16


class CuttingProxy:
    """Stands between a client and Postgres, and cuts the connection when it sees the client say `words`.

    `reaches` says whether the words get through: if so, the server's answer is awaited and kept back.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        place = parts.netloc.rpartition("@")[0] + f"@127.0.0.1:{port}"
        self.url = urlunsplit(parts._replace(netloc=place))
        self._words: bytes | None = None
        self._reaches = False
        self._then: Callable[[], object] = lambda: None
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, words: bytes, *, reaches: bool, then: Callable[[], object] = lambda: None) -> None:
        """Cut at the next `words`; `then` is called between what reaches the server and the cut."""
        self._words, self._reaches, self._then = words, reaches, then

    def close(self) -> None:
        # Closing alone would leave the accept in its system call.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            line = _Line(client, server)
            back = threading.Thread(target=line.pump_back, daemon=True)
            back.start()
            while data := _receive(client):
                words = self._words
                if words is not None and words in data:
                    self._words = None
                    if self._reaches:
                        line.keep_back_the_answer_to(data)
                    self._then()
                    self.cuts += 1
                    break
                _send(server, data)
            line.shut()
            back.join()


class _Line:
    """One connection through the proxy; others may be opened while it is being cut."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._client = client
        self._server = server
        self._cutting = threading.Event()
        self._answered = threading.Event()

    def keep_back_the_answer_to(self, data: bytes) -> None:
        self._cutting.set()
        self._server.sendall(data)
        assert self._answered.wait(60)

    def pump_back(self) -> None:
        while data := _receive(self._server):
            if not self._cutting.is_set():
                _send(self._client, data)
            elif data.endswith(_READY_FOR_QUERY):
                self._answered.set()
                return
        self.shut()

    def shut(self) -> None:
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _send(to: socket.socket, data: bytes) -> None:
    # Whoever has gone meanwhile is noticed by the next read.
    with suppress(OSError):
        to.sendall(data)


def _receive(source: socket.socket) -> bytes:
    try:
        return source.recv(_SIZE)
    except OSError:
        return b""


@contextmanager
def through(proxy: CuttingProxy) -> Iterator[Mailer]:
    """Give a mailer that goes through the proxy, with its connection open already."""
    with Mailer(settings=settings.load(database_url=proxy.url, content_keys=KEYS)) as mailer:
        mailer.enqueue(letters(1, name="warm")[0])
        yield mailer


@pytest.fixture
def proxy(database_url: str) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(database_url)
    yield proxy
    proxy.close()


def stored(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM atum.mail m JOIN atum.ready r ON r.mail_id = m.id"
            " JOIN atum.content c ON c.mail_id = m.id WHERE to_line LIKE 'r%'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def plain() -> list[Mail]:
    return letters(3)


def keyed() -> list[Mail]:
    return [mail for n in range(3) for mail in letters(1, name=f"r{n}", idempotency_key=f"order-{n}")]


# Statements are prepared, so what is seen on the wire are their parameters: the first key, the first recipient.
REMEMBERING = b"order-0"
INSERTING = b"r00@example.net"


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "not committed"])
@pytest.mark.parametrize(
    ("mails", "words"), [(plain, b"r0@example.net"), (keyed, b"COMMIT")], ids=["plain", "keyed"]
)
def test_a_connection_lost_during_commit_is_uncertain_and_repeating_stores_each_mail_once(
    database_url: str, proxy: CuttingProxy, mails: Callable[[], list[Mail]], words: bytes, committed: bool
) -> None:
    with through(proxy) as mailer:
        proxy.arm(words, reaches=committed)
        with pytest.raises(EnqueueUncertain) as uncertain:
            mailer.enqueue(mails())
        assert proxy.cuts == 1
        assert stored(database_url) == (3 if committed else 0)
        ids = mailer.enqueue(mails(), keys=uncertain.value.keys)
        assert stored(database_url) == 3
        assert [mailer.get(one).id for one in ids] == ids
        assert mailer.enqueue(mails(), keys=uncertain.value.keys) == ids
        assert stored(database_url) == 3


@pytest.mark.parametrize("reaches", [True, False])
@pytest.mark.parametrize("words", [REMEMBERING, INSERTING])
def test_a_connection_lost_before_the_commit_of_a_transaction_is_a_certain_failure(
    database_url: str, proxy: CuttingProxy, words: bytes, reaches: bool
) -> None:
    with through(proxy) as mailer:
        proxy.arm(words, reaches=reaches)
        with pytest.raises(EnqueueFailed):
            mailer.enqueue(keyed())
        assert proxy.cuts == 1
        assert stored(database_url) == 0
        ids = mailer.enqueue(keyed())
        assert stored(database_url) == 3
        assert mailer.enqueue(keyed()) == ids


def test_a_database_that_is_down_is_a_certain_failure() -> None:
    url = f"postgresql://atum@127.0.0.1:{free_port()}/none"
    with Mailer(settings=settings.load(database_url=url, content_keys=KEYS)) as mailer:
        mailer._pool.timeout = 0.3
        with pytest.raises(EnqueueFailed):
            mailer.enqueue(letters(1)[0])


def test_threads_with_one_key_store_one_mail(database_url: str) -> None:
    answers: list[object] = []
    barrier = threading.Barrier(8)

    def enqueue(mailer: Mailer) -> None:
        barrier.wait()
        answers.append(mailer.enqueue(letters(1, idempotency_key="order-7")[0]))

    with Mailer(settings=settings.load(database_url=database_url, content_keys=KEYS), pool_size=8) as mailer:
        threads = [threading.Thread(target=enqueue, args=(mailer,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1
    assert stored(database_url) == 1
