"""What checks look at: settings, a database, a provider; each opened when it is first needed, and closed at the end."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Self

import psycopg

from atum_schema import database
from atum_schema import settings as settings_module
from atum_schema.errors import SettingsError
from atum_workers.deadline import Deadline
from atum_workers.postmark_api import PostmarkApi

if TYPE_CHECKING:
    from types import TracebackType

    from atum_schema.database import Connection
    from atum_schema.settings import Settings

ASKING_S: Final = 15.0
"""Seconds that a server has for each answer."""


class NotSet(Exception):
    """A setting that a check needs is not set; the text names it."""


class Surroundings:
    """Context manager. `offline` says that nobody outside is asked, `has_keys` whether content keys are set. Raises `SettingsError` when a setting is wrong."""

    def __init__(self, *, offline: bool = False) -> None:
        self.offline = offline
        self.settings, self.has_keys = _load()
        self.away: psycopg.OperationalError | None = None
        self._stack = ExitStack()
        self._connection: Connection | None = None
        self._api: PostmarkApi | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def connect(self) -> None:
        """Connect to the database; `away` says afterwards why it does not answer, if it does not."""
        url = self.settings.database_url.get_secret_value()
        try:
            self._connection = self._stack.enter_context(database.connect(url, name="health"))
            # A look at a large log must not become a walk that nobody waits for.
            self._connection.execute("SET statement_timeout = '10s'")
        except psycopg.OperationalError as error:
            self.away = error

    @property
    def connection(self) -> Connection:
        """The connection. Raises `psycopg.OperationalError` when there is none."""
        if self._connection is None:
            raise psycopg.OperationalError("the database does not answer")
        return self._connection

    @property
    def api(self) -> PostmarkApi:
        """The provider's server API. Raises `NotSet` without a token."""
        token = self.settings.postmark_token
        if token is None or not token.get_secret_value():
            raise NotSet("ATUM_POSTMARK_TOKEN is not set")
        if self._api is None:
            self._api = PostmarkApi(base_url=self.settings.postmark_url, token=token.get_secret_value())
            self._stack.callback(self._api.close)
        return self._api


def deadline() -> Deadline:
    """Start the time that a server has for an answer."""
    return Deadline.start(ASKING_S)


def _load() -> tuple[Settings, bool]:
    """Load the settings; without content keys most can still be looked at."""
    try:
        return settings_module.load(), True
    except SettingsError as error:
        if "CONTENT_KEYS" not in str(error):
            raise
        return settings_module.load_without_keys(), False
