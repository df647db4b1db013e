"""What operators see of settings: what each is now, where that comes from, and what it may be. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pydantic import SecretStr

from atum_schema.live_merge import usable
from atum_schema.settings_fields import LIVE_NAMES, NAMES, is_secret, limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from atum_schema.settings import Settings

DEFAULT: Final = "default"
ENVIRONMENT: Final = "environment"
POSTGRES: Final = "postgres"
SET: Final = "set"
NOT_SET: Final = "not set"


class SettingRow(NamedTuple):
    """A setting, as it is now. Its fields are the columns of the table."""

    name: str
    #: The value; of a secret only whether it is set.
    value: Any
    #: `default`, `environment` or `postgres`.
    source: str
    #: What it may be, in words.
    range: str
    #: Whether it can be set while the system runs.
    live: bool
    #: The version in which it was last set; None: it is not stored.
    version: int | None
    #: Why what is stored is not used; None: it is used, or there is nothing.
    problem: str | None


def rows(
    base: Settings, values: Mapping[str, str], versions: Mapping[str, int], *, given: Iterable[str]
) -> list[SettingRow]:
    """Give all settings. `given` are the names that the environment sets, `values` and `versions` what is stored."""
    used = usable(base, values)
    known = frozenset(given)

    def source(name: str) -> str:
        if name in LIVE_NAMES and name in values and name not in used.wrong:
            return POSTGRES
        return ENVIRONMENT if name in known else DEFAULT

    return [
        SettingRow(
            name=name,
            value=_shown(name, used.settings, given=name in known),
            source=source(name),
            range=limits(name),
            live=name in LIVE_NAMES,
            version=versions.get(name) if name in LIVE_NAMES else None,
            problem=used.wrong.get(name),
        )
        for name in NAMES
    ]


class Difference(NamedTuple):
    """What a change does to a setting; both values are those that hold."""

    name: str
    before: Any
    before_source: str
    after: Any
    after_source: str


def differences(
    before: Sequence[SettingRow], after: Sequence[SettingRow], changed: Iterable[str]
) -> list[Difference]:
    """Compare what holds before and after a change of these settings, in their order."""
    names = frozenset(changed)
    return [
        Difference(was.name, was.value, was.source, now.value, now.source)
        for was, now in zip(before, after, strict=True)
        if was.name in names
    ]


def cells(one: SettingRow) -> tuple[Any, ...]:
    """Give the row of the table."""
    return (
        one.name,
        words(one.value),
        one.source,
        one.range,
        "yes" if one.live else "",
        words(one.version),
    )


def words(value: Any) -> str:
    """Give a value for people, as it is written."""
    return "–" if value is None else str(value)


def _shown(name: str, settings: Settings, *, given: bool) -> Any:
    value = getattr(settings, name)
    if is_secret(name) or isinstance(value, SecretStr):
        return SET if given else NOT_SET
    return value
