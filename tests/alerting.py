"""Alerts for tests: a watcher whose clock can be put forward, receivers that keep what they are told, and broken systems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from atum_ops.alerts.receivers.receiver import NotTaken, Receiver
from atum_ops.alerts.watch import Watch
from atum_schema import settings as settings_module
from atum_schema.encryption import new_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.alerts.breach import Breach
    from atum_ops.alerts.watch import Round
    from atum_schema.settings import Settings
    from tests.command_line import Place

EVERY_S = 30.0
BEGAN_AT = 1_800_000_000.0


def load(url: str, **fields: Any) -> Settings:
    """Settings of a watcher on this database."""
    return settings_module.load(
        database_url=SecretStr(url), content_keys=SecretStr(new_key("test")), **fields
    )


class Ear:
    """A receiver that keeps what it takes, and takes nothing while `failure` is set."""

    def __init__(self, name: str = "ear") -> None:
        self.heard: list[Breach] = []
        self.tried = 0
        self.failure: str | None = None
        self.receiver = Receiver(name, self._tell)

    def _tell(self, told: Breach) -> None:
        self.tried += 1
        if self.failure is not None:
            raise NotTaken(self.failure)
        self.heard.append(told)

    def about(self, *names: str) -> list[tuple[str, str]]:
        """Alert and kind of what it took; of some alerts or of all."""
        return [(one.alert, one.kind.value) for one in self.heard if not names or one.alert in names]


class Watcher:
    """A watcher whose rounds are made by hand, `EVERY_S` apart by its clock."""

    def __init__(self, settings: Settings, receivers: Sequence[Receiver]) -> None:
        self.passed_s = 0.0
        self.watch = Watch(settings, receivers, every_s=EVERY_S, clock=lambda _: BEGAN_AT + self.passed_s)

    def round(self) -> Round:
        """Look once, at the next moment."""
        self.passed_s += EVERY_S
        return self.watch.round()

    def rounds(self, seconds: float) -> Round:
        """Look for so long, and once at least."""
        last = self.round()
        for _ in range(int(seconds / EVERY_S) - 1):
            last = self.round()
        return last

    def close(self) -> None:
        self.watch.close()


def at_work(place: Place) -> None:
    """Make the system one in which all parts run, and go on doing so."""
    place.sql(
        "INSERT INTO atum.part (id, kind, name, version, seen_at, worked_at)"
        " SELECT gen_random_uuid(), kind, 'here', '0', now() + interval '1 day', now() + interval '1 day'"
        " FROM unnest(ARRAY['relay', 'worker']) AS kind"
    )


def vanished(place: Place) -> None:
    """Let a process be gone without a good-bye: an alert that waits for nothing."""
    place.sql(
        "INSERT INTO atum.part (id, kind, name, version, seen_at)"
        " VALUES (gen_random_uuid(), 'intake', 'here', '0', now() - interval '1 minute')"
    )


def came_back(place: Place) -> None:
    """Forget the process that was gone."""
    place.sql("DELETE FROM atum.part WHERE kind = 'intake'")
