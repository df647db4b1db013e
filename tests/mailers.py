"""Every implementation of the mailer, behind one blocking face, for the tests that all of them have to pass."""

from __future__ import annotations

import asyncio
import functools
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, Self, TypeVar, overload

from atum_producers import AsyncMailer, Mailer
from atum_producers.broker_mailer import BrokerMailer
from atum_producers.testing import InMemoryMailer
from atum_schema import settings
from atum_schema.encryption import new_key
from tests.command_line import SENT, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence
    from contextlib import AbstractContextManager
    from uuid import UUID

    import pytest

    from atum_producers import MailState
    from atum_schema.mail import Mail
    from atum_schema.settings import Settings
    from tests.nodes import Databases, VirtualHosts

KEYS = new_key("test")
_P = ParamSpec("_P")


class Handing(Protocol):
    """What every way in has in common, with or without a log that can be asked."""

    @overload
    def enqueue(self, mail: Mail, *, keys: Sequence[str] = ()) -> UUID: ...
    @overload
    def enqueue(self, mail: Sequence[Mail], *, keys: Sequence[str] = ()) -> list[UUID]: ...

    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...


class Asking(Handing, Protocol):
    """A mailer that also tells what became of a mail."""

    def get(self, mail_id: UUID) -> MailState: ...
    def cancel(self, mail_id: UUID) -> MailState: ...
    def wait(self, mail_id: UUID, *, timeout: float) -> MailState: ...


_M_co = TypeVar("_M_co", bound=Handing, covariant=True)


@dataclass(frozen=True, kw_only=True)
class Bench(Generic[_M_co]):
    """An implementation on servers of its own."""

    #: Make a mailer of this client; the bench closes it.
    mailer: Callable[[str], _M_co]
    #: Deliver everything that is due.
    deliver: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Implementation(Generic[_M_co]):
    """One of the mailers, and how to set it up with the fixtures of a test."""

    name: str
    opened: Callable[[pytest.FixtureRequest], AbstractContextManager[Bench[_M_co]]]


@dataclass(kw_only=True)
class Blocking:
    """An asyncio mailer, each call driven to its end in one event loop."""

    mailer: Any
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)

    def enqueue(self, mail: Any, *, keys: Sequence[str] = ()) -> Any:
        return self.runner.run(self.mailer.enqueue(mail, keys=keys))

    def get(self, mail_id: UUID) -> MailState:
        return self._run(self.mailer.get(mail_id))

    def cancel(self, mail_id: UUID) -> MailState:
        return self._run(self.mailer.cancel(mail_id))

    def wait(self, mail_id: UUID, *, timeout: float) -> MailState:
        return self._run(self.mailer.wait(mail_id, timeout=timeout))

    def close(self) -> None:
        self.runner.run(self.mailer.close())

    def __enter__(self) -> Self:
        assert self.runner.run(self.mailer.__aenter__()) is self.mailer
        return self

    def __exit__(self, *exc: object) -> None:
        self.runner.run(self.mailer.__aexit__(*exc))

    def _run(self, call: Coroutine[Any, Any, MailState]) -> MailState:
        return self.runner.run(call)


@contextmanager
def _on_postgres(
    request: pytest.FixtureRequest, make: Callable[[ExitStack, str, Settings], Asking]
) -> Iterator[Bench[Asking]]:
    databases: Databases = request.getfixturevalue("databases")
    with databases.fresh() as url, ExitStack() as undo:
        place = Place(url)
        undo.callback(place.close)
        loaded = settings.load(database_url=url, content_keys=KEYS)

        def deliver() -> None:
            # The window admits only so many batches at a time.
            while batches := place.issue():
                for batch in batches:
                    place.end(batch, **SENT)

        yield Bench(mailer=lambda client: make(undo, client, loaded), deliver=deliver)


def _blocking(undo: ExitStack, client: str, loaded: Settings) -> Asking:
    mailer = Mailer(client=client, settings=loaded)
    undo.callback(mailer.close)
    return mailer


def _asyncio(undo: ExitStack, client: str, loaded: Settings) -> Asking:
    mailer = Blocking(mailer=AsyncMailer(client=client, settings=loaded))
    undo.callback(mailer.runner.close)
    undo.callback(mailer.close)
    return mailer


@contextmanager
def _in_memory(_request: pytest.FixtureRequest) -> Iterator[Bench[Asking]]:
    first = InMemoryMailer()
    yield Bench(mailer=first.with_client, deliver=lambda: void(first.drain()))


@contextmanager
def _in_memory_asyncio(_request: pytest.FixtureRequest) -> Iterator[Bench[Asking]]:
    first = InMemoryMailer()
    with ExitStack() as undo:

        def make(client: str) -> Asking:
            mailer = Blocking(mailer=first.with_client(client).asynchronous)
            undo.callback(mailer.runner.close)
            return mailer

        yield Bench(mailer=make, deliver=lambda: void(first.drain()))


@contextmanager
def _on_rabbit(request: pytest.FixtureRequest) -> Iterator[Bench[Handing]]:
    virtual_hosts: VirtualHosts = request.getfixturevalue("virtual_hosts")
    url = virtual_hosts.fresh()
    with ExitStack() as undo:

        def make(client: str) -> Handing:
            return undo.enter_context(BrokerMailer(url, client=client, timeout=60))

        yield Bench(mailer=make, deliver=lambda: None)


def void(_result: object) -> None:
    """Take a result that nobody needs."""


ASKING: tuple[Implementation[Asking], ...] = (
    Implementation(name="Mailer", opened=functools.partial(_on_postgres, make=_blocking)),
    Implementation(name="AsyncMailer", opened=functools.partial(_on_postgres, make=_asyncio)),
    Implementation(name="InMemoryMailer", opened=_in_memory),
    Implementation(name="InMemoryAsyncMailer", opened=_in_memory_asyncio),
)
"""Those with a log: they know keys and lanes, and tell what became of a mail."""

ALL: tuple[Implementation[Handing], ...] = (
    *ASKING,
    Implementation(name="BrokerMailer", opened=_on_rabbit),
)
"""Every way in, also those that only hand over."""


def in_a_loop(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, None]:
    """Run a test that is a coroutine in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run
