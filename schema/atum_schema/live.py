"""Settings that operators change while the system runs: in Postgres, with history, and before the environment.

Each change is one version. Who changes something says which version it has seen, so that two people never undo each
other's work unawares. Never a secret: only fields that are marked `live` can be stored (`atum_schema.settings_operating`).
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg
from psycopg.types.json import Jsonb
from pydantic import ValidationError

from atum_schema import audit, traces
from atum_schema.database import is_transient
from atum_schema.errors import SettingsError
from atum_schema.live_merge import checked, merged, usable
from atum_schema.script import Statement, blocking
from atum_schema.seldom import Seldom
from atum_schema.settings import problems
from atum_schema.settings_fields import LIVE_NAMES, is_secret, variable
from atum_schema.settings_fields import NAMES as ALL

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from atum_schema.database import Connection
    from atum_schema.script import Script
    from atum_schema.settings import Settings

log = logging.getLogger(__name__)

NAMES: Final = LIVE_NAMES
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


class Planned(NamedTuple):
    """What a change would come to."""

    #: The version that it is made on; once it is made, that which it has made.
    version: int
    #: What was stored before, and is afterwards.
    before: dict[str, str]
    values: dict[str, str]
    #: Of each setting that changes, what is stored before and after; None: what the environment says.
    different: dict[str, tuple[str | None, str | None]]


def planned(
    base: Settings, before: Stored, changes: Mapping[str, str | None], *, expected: int | None = None
) -> Planned:
    """Plan a change on what is stored; None removes a setting. Pure; raises as `changing` does."""
    for name in changes:
        _refuse_others(name)
    if expected is not None and expected != before.version:
        raise SettingsError(
            f"version {expected} is not the last one: settings are at version {before.version}; look again, and repeat"
        )
    kept = {name: value for name, value in before.values.items() if name not in changes}
    given = {name: value for name, value in changes.items() if value is not None}
    after = {**kept, **checked(base, kept, given)}
    different = {
        name: (before.values.get(name), after.get(name))
        for name in changes
        if before.values.get(name) != after.get(name)
    }
    return Planned(before.version, before.values, after, different)


def changing(
    base: Settings,
    changes: Mapping[str, str | None],
    *,
    actor: str,
    reason: str | None = None,
    expected: int | None = None,
) -> Script[Planned]:
    """Change settings, in the caller's transaction, as one version; None removes one. All others stay as they are.

    `base` are the settings of the environment, `expected` the version that the actor has seen. Nothing is changed that is
    the same already, and then there is no new version. Raises `SettingsError` for a name that cannot be stored, a value
    out of its range, and where `expected` is not the version any more.
    """
    yield Statement(LOCK, {})
    before = yield from reading()
    plan = planned(base, before, changes, expected=expected)
    if not plan.different:
        return plan
    version = before.version + 1
    values = {
        "version": version,
        "actor": actor,
        "reason": reason,
        "changes": Jsonb(plan.different),
    }
    yield Statement(CHANGE, values)
    stored = {name: now for name, (_, now) in plan.different.items() if now is not None}
    yield Statement(STORE, {"version": version, "names": list(stored), "values": list(stored.values())})
    yield Statement(REMOVE, {"names": [name for name in plan.different if name not in stored]})
    yield from audit.recording(
        actor, "settings.changed", {"version": version, "changes": plan.different, "reason": reason}
    )
    return plan._replace(version=version)


class Change(NamedTuple):
    """A version, and what it changed."""

    version: int
    at: datetime
    actor: str
    reason: str | None
    #: Of each setting, what was stored before and after; None: what the environment says.
    changes: dict[str, tuple[str | None, str | None]]


HISTORY: Final = """
SELECT version, at, actor, reason, changes FROM atum.setting_change
WHERE %(name)s::text IS NULL OR changes ? %(name)s
ORDER BY version DESC LIMIT %(limit)s
"""


def remembering(*, name: str | None = None, limit: int) -> Script[list[Change]]:
    """Give the last changes, the newest first; of one setting, or of all."""
    rows: list[Change] = yield Statement(HISTORY, {"name": name, "limit": limit}, Change)
    return [
        row._replace(changes={each: (was, now) for each, (was, now) in row.changes.items()}) for row in rows
    ]


VERSIONS: Final = "SELECT name, version FROM atum.setting"


def knowing_versions() -> Script[dict[str, int]]:
    """Give the version in which each stored setting was last changed."""
    rows = yield Statement(VERSIONS, {})
    return dict(rows)


read = blocking(reading)
change = blocking(changing)
history = blocking(remembering)
versions = blocking(knowing_versions)


def current(connection: Connection, base: Settings) -> Settings:
    """Give the settings as they are now, for a command; a stored value that is not valid is left out."""
    return usable(base, read(connection).values).settings


def valid(connection: Connection, base: Settings) -> Settings:
    """Give the settings as they are now, for what cannot be undone. Raises `SettingsError` where a stored one is not valid."""
    found = usable(base, read(connection).values)
    if found.wrong:
        raise SettingsError(f"what is stored is not valid: {'; '.join(found.wrong.values())}")
    return found.settings


class Live:
    """The settings of a process that runs, as they are now. Thread-safe.

    What cannot be read, or makes no valid settings, changes nothing: the last good ones stay. A process that has never
    read them goes by those stored ones that are valid, each by itself, and says which are not.
    """

    def __init__(self, base: Settings) -> None:
        self._base = base
        self._lock = threading.Lock()
        self._seen: dict[str, str] | None = {}
        self._was_read = False
        self._next = float("-inf")
        self._complaints = Seldom()
        self._now = base

    @property
    def now(self) -> Settings:
        """The settings as they were read last; those of the environment before that."""
        return self._now

    def refresh(self, connection: Connection, *, every_s: float = REFRESH_S) -> bool:
        """Read them again, if that is due; whether they have changed.

        Raises what the database raises while they were never read: nobody should begin by settings that operators have
        changed. Afterwards it never does.
        """
        with self._lock:
            if time.monotonic() < self._next:
                return False
            self._next = time.monotonic() + every_s
        try:
            stored = read(connection)
        except psycopg.Error as error:
            if not self._was_read:
                self._next = float("-inf")
                raise
            if not is_transient(error):
                self._complain(type(error).__name__)
            elif self._complaints.due():
                log.warning(
                    "settings: the database is away; those that were good before stay",
                    extra=traces.kind(error),
                )
            return False
        if stored.values == self._seen:
            self._was_read = True
            return False
        return self._take(stored)

    def _take(self, stored: Stored) -> bool:
        first, self._was_read = not self._was_read, True
        try:
            self._now = merged(self._base, stored.values)
        except ValidationError as error:
            self._complain(problems(error))
            # What was good before may come back, and is not known then.
            self._seen = None
            if not first:
                return False
            self._now = usable(self._base, stored.values).settings
            return True
        self._seen = stored.values
        log.info("settings: a new version is in use", extra={"settings_version": stored.version})
        return True

    def _complain(self, words: str) -> None:
        if self._complaints.due():
            log.error(
                "settings: what is stored is not taken; those that were good before stay",
                extra={"detail": words},
            )


def _refuse_others(name: str) -> None:
    """Raise `SettingsError` for a name that cannot be stored."""
    if name in NAMES:
        return
    if name not in ALL:
        why = f"no setting {name}"
    elif is_secret(name):
        why = f"{variable(name)} is a secret, which is never stored in the database"
    else:
        why = f"{variable(name)} belongs to the environment of each part, and changes with its restart"
    raise SettingsError(f"{why}; while it runs, there can be set: {', '.join(NAMES)}")
