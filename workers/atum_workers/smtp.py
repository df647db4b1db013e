"""The SMTP relay as a provider: one transaction per mail, over connections that are kept, by a total deadline.

Nothing is repeated that may have been sent. A connection that is found dead before a transaction is opened anew; what
certainly was not sent is asked again by whoever asks for retries of every provider.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from atum_schema.errors import AtumError, SettingsError
from atum_schema.steps import Reached, Step, go_on
from atum_workers import smtp_message, smtp_outcome
from atum_workers.deadline import Deadline, DeadlineExceeded
from atum_workers.outcome import Deferred
from atum_workers.smtp_outcome import FOR_A_PERSON, Stage
from atum_workers.smtp_session import Refused, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atum_schema.settings import Settings
    from atum_schema.settings_smtp import SmtpServer
    from atum_workers.outcome import Outcome
    from atum_workers.smtp_message import Parcel

# Servers close what is idle after five minutes at the soonest (RFC 5321 §4.5.3.2.7); many after less.
_IDLE_S: Final = 60.0
_FRESH_S: Final = 1.0
_QUIT_S: Final = 1.0


def build(settings: Settings, *, reached: Reached = go_on) -> Smtp | None:
    """Make the provider of the settings; None where they name no SMTP relay. Raises `SettingsError`."""
    server = settings.smtp_server
    if server is None:
        return None
    try:
        tls = ssl.create_default_context(cadata=settings.smtp_ca)
    except (OSError, ValueError, TypeError):
        raise SettingsError("ATUM_SMTP_CA: holds no certificates in PEM form") from None
    password = settings.smtp_password
    return Smtp(
        server=server,
        tls=tls,
        username=settings.smtp_username,
        password=None if password is None else password.get_secret_value(),
        connections=settings.smtp_connections,
        reached=reached,
    )


class Smtp:
    """Sends mails one by one. Thread-safe. The password is only ever in what logs in."""

    def __init__(
        self,
        *,
        server: SmtpServer,
        tls: ssl.SSLContext,
        username: str | None = None,
        password: str | None = None,
        connections: int = 4,
        reached: Reached = go_on,
    ) -> None:
        self._pool = Pool(
            lambda: Session(server, tls, socket.gethostname()),
            lambda session, deadline: session.begin(deadline, username, password),
            connections,
        )
        self._begun = partial(reached, Step.BODY_BEGUN)
        self._sent = partial(reached, Step.BODY_SENT)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def post(self, items: Sequence[dict[str, Any]], deadline: Deadline) -> list[Outcome]:
        """Send the items one after the other; give the outcome of each, in order.

        Never raises for what the network or the server does. What did not get out before the deadline is `Deferred`;
        only a mail whose last byte may have been written without a clear reply is `Unclear`.
        """
        outcomes: list[Outcome] = []
        for item in items:
            outcome, go_further = self._post(item, deadline)
            outcomes.append(outcome)
            if not go_further:
                # The server is away, or the time is over: what holds for this mail holds for the others.
                outcomes += [outcome] * (len(items) - len(outcomes))
                break
        return outcomes

    def _post(self, item: dict[str, Any], deadline: Deadline) -> tuple[Outcome, bool]:
        """Send one item; give its outcome, and whether the next one may be tried."""
        try:
            parcel = smtp_message.parcel(item)
        except (AtumError, ValueError, LookupError) as error:
            return smtp_outcome.unsayable(str(error)), True
        while True:
            try:
                session = self._pool.take(deadline)
            except Refused as refused:
                return refused.outcome, False
            try:
                outcome = self._transact(session, parcel, deadline)
            finally:
                self._pool.give(session)
            if not _was_stale(session, outcome):
                return outcome, not (isinstance(outcome, Deferred) and outcome.reason in FOR_A_PERSON)

    def _transact(self, session: Session, parcel: Parcel, deadline: Deadline) -> Outcome:
        try:
            return session.send_parcel(parcel, deadline, self._begun, self._sent)
        except Refused as refused:
            return refused.outcome


def _was_stale(session: Session, outcome: Outcome) -> bool:
    """Whether a kept connection was found closed before the mail was begun, as a new one may not be."""
    gone = isinstance(outcome, Deferred) and not outcome.charged and not outcome.slow
    return gone and session.used and session.stage is Stage.MAIL and not session.usable


class Pool:
    """Sessions that are kept open between transactions, so many at most. Thread-safe."""

    def __init__(
        self, make: Callable[[], Session], begin: Callable[[Session, Deadline], None], size: int
    ) -> None:
        self._make = make
        self._begin = begin
        self._room = threading.Condition()
        self._left = size
        #: Idle ones with the time since when, the latest at the end.
        self._idle: list[tuple[Session, float]] = []
        self._closed = False

    def take(self, deadline: Deadline) -> Session:
        """Give a session that may be used now, an idle one or a new one. Raises `Refused`."""
        self._await_room(deadline)
        try:
            session = self._kept(deadline)
            if session is None:
                session = self._make()
                try:
                    self._begin(session, deadline)
                except Refused:
                    session.close()
                    raise
        except BaseException:
            self._make_room()
            raise
        return session

    def give(self, session: Session) -> None:
        """Take a session back; one that cannot be used again is closed."""
        if session.usable and not self._closed:
            with self._room:
                self._idle.append((session, time.monotonic()))
        else:
            session.close()
        self._make_room()

    def close(self) -> None:
        """Say good-bye to the server; what is in use is closed when it comes back."""
        with self._room:
            self._closed = True
            idle, self._idle = self._idle, []
        for session, _ in idle:
            _quit(session)

    def _kept(self, deadline: Deadline) -> Session | None:
        while True:
            with self._room:
                if not self._idle:
                    return None
                session, since = self._idle.pop()
            idle_s = time.monotonic() - since
            if idle_s < _FRESH_S or (idle_s < _IDLE_S and session.renew(deadline)):
                return session
            session.close()

    def _await_room(self, deadline: Deadline) -> None:
        with self._room:
            while self._left == 0:
                left = deadline.remaining()
                if left <= 0:
                    raise Refused(smtp_outcome.broke(Stage.CONNECT, "no connection was free", slow=True))
                self._room.wait(left)
            self._left -= 1

    def _make_room(self) -> None:
        with self._room:
            self._left += 1
            self._room.notify()


def _quit(session: Session) -> None:
    session.deadline = Deadline.start(_QUIT_S)
    with suppress(OSError, smtplib.SMTPException, ValueError, DeadlineExceeded):
        session.quit()
    session.close()
