"""Settings that operators change while the system runs: in Postgres, with history, and before the environment.

Each change is one version. Who changes something says which version it has seen, so that two people never undo each
other's work unawares. Never a secret: only fields that are marked `live` can be stored (`atum_schema.settings_operating`).
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg
from psycopg.types.json import Jsonb
from pydantic import ValidationError

from atum_schema import audit
from atum_schema.errors import SettingsError
from atum_schema.script import Statement, blocking
from atum_schema.seldom import Seldom
from atum_schema.settings import Settings, problems

if TYPE_CHECKING:
    from collections.abc import Mapping

    from atum_schema.database import Connection
    from atum_schema.script import Script

log = logging.getLogger(__name__)

NAMES: Final = tuple(
    name
    for name, field in Settings.model_fields.items()
    if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("live")
)
"""The settings that may be stored, in order."""

REFRESH_S: Final = 5.0
"""How old a process's view of the stored settings may be."""


class Stored(NamedTuple):
    """What is stored, and the version of the last change; 0: there never was one."""

    version: int
    #: As text, in the form that the environment has.
    values: dict[str, str]


READ: Final = """
SELECT coalesce((SELECT max(version) FROM atum.setting_change), 0),
       coalesce((SELECT jsonb_object_agg(name, value) FROM atum.setting), '{}')
"""


def reading() -> Script[Stored]:
    """Read what is stored."""
    ((version, values),) = yield Statement(READ, {})
    return Stored(version, values)


def merged(base: Settings, values: Mapping[str, str]) -> Settings:
    """Give the settings of the environment with stored ones before them. Raises `SettingsError`, which names them.

    A name that this version does not know, or does not take from Postgres, is left out.
    """
    try:
        return Settings(**{**dict(base), **{name: values[name] for name in NAMES if name in values}})
    except ValidationError as error:
        raise SettingsError(problems(error)) from None


LOCK: Final = "LOCK TABLE atum.setting IN SHARE ROW EXCLUSIVE MODE"

CHANGE: Final = """
INSERT INTO atum.setting_change (version, actor, reason, changes) VALUES (%(version)s, %(actor)s, %(reason)s, %(changes)s)
"""

STORE: Final = """
INSERT INTO atum.setting (name, value, version)
SELECT name, value, %(version)s FROM unnest(%(names)s::text[], %(values)s::text[]) AS t(name, value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, version = excluded.version, changed_at = clock_timestamp()
"""

REMOVE: Final = "DELETE FROM atum.setting WHERE name = ANY(%(names)s)"


def changing(
    base: Settings,
    changes: Mapping[str, str | None],
    *,
    actor: str,
    reason: str | None = None,
    expected: int | None = None,
) -> Script[Stored]:
    """Change settings, in the caller's transaction; None removes one. All others stay as they are.

    `base` are the settings of the environment, `expected` the version that the actor has seen. Nothing is changed that is
    the same already, and then there is no new version. Raises `SettingsError` for a name that cannot be stored, a value
    out of its range, and where `expected` is not the version any more.
    """
    for name in changes:
        if name not in NAMES:
            raise SettingsError(f"{name}: cannot be set while it runs; there are: {', '.join(NAMES)}")
    yield Statement(LOCK, {})
    before = yield from reading()
    if expected is not None and expected != before.version:
        raise SettingsError(
            f"version {expected} is not the last one: settings are at version {before.version}; look again, and repeat"
        )
    after = {**before.values, **{name: value for name, value in changes.items() if value is not None}}
    for name, value in changes.items():
        if value is None:
            after.pop(name, None)
    merged(base, after)
    different = [name for name in changes if before.values.get(name) != after.get(name)]
    if not different:
        return before
    version = before.version + 1
    pairs = {name: [before.values.get(name), after.get(name)] for name in different}
    yield Statement(CHANGE, {"version": version, "actor": actor, "reason": reason, "changes": Jsonb(pairs)})
    stored = [name for name in different if name in after]
    yield Statement(STORE, {"version": version, "names": stored, "values": [after[name] for name in stored]})
    yield Statement(REMOVE, {"names": [name for name in different if name not in after]})
    yield from audit.recording(
        actor, "settings.changed", {"version": version, "changes": pairs, "reason": reason}
    )
    return Stored(version, after)


read = blocking(reading)
change = blocking(changing)


class Live:
    """The settings of a process that runs, as they are now. Thread-safe.

    What cannot be read, or makes no valid settings, changes nothing: the last good ones stay.
    """

    def __init__(self, base: Settings) -> None:
        self._base = base
        self._lock = threading.Lock()
        self._seen: dict[str, str] = {}
        self._next = float("-inf")
        self._complaints = Seldom()
        self._now = base

    @property
    def now(self) -> Settings:
        """The settings as they were read last."""
        return self._now

    def refresh(self, connection: Connection, *, every_s: float = REFRESH_S) -> bool:
        """Read them again, if that is due; whether they have changed. Never raises for what the database does."""
        with self._lock:
            if time.monotonic() < self._next:
                return False
            self._next = time.monotonic() + every_s
        try:
            stored = read(connection)
            if stored.values == self._seen:
                return False
            self._now = merged(self._base, stored.values)
        except (psycopg.Error, SettingsError) as error:
            if self._complaints.due():
                log.warning("settings: %s; those that were read before stay", _words(error))
            return False
        self._seen = stored.values
        log.info("settings: version %d", stored.version)
        return True


def _words(error: Exception) -> Any:
    return error if isinstance(error, SettingsError) else type(error).__name__
