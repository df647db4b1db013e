"""Stored settings before those of the environment: checked together, as if all came from one place. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from atum_schema.errors import SettingsError
from atum_schema.settings import FIRST_BOUNDS, Settings, problems
from atum_schema.settings_alerts import LESS
from atum_schema.settings_fields import LIVE_NAMES, variable
from atum_schema.settings_text import listed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_settings import BaseSettings, PydanticBaseSettingsSource


class _Merged(Settings):
    """Settings of nothing but what is given: the environment and its files were read when the process began."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)


def merged(base: Settings, values: Mapping[str, str]) -> Settings:
    """Give the settings of the environment with stored ones before them. Raises pydantic's `ValidationError`.

    A name that this version does not know, or does not take from Postgres, is left out; so are the rates of lanes that
    this process does not have.
    """
    stored = {name: values[name] for name in LIVE_NAMES if name in values}
    if "rates" in stored:
        stored["rates"] = _of_lanes(stored["rates"], base.lane_names)
    return _Merged(**{**dict(base), **stored})


class Usable(NamedTuple):
    """What can be used of stored settings."""

    settings: Settings
    #: Those that cannot, by name, and what is wrong.
    wrong: dict[str, str]


def usable(base: Settings, values: Mapping[str, str]) -> Usable:
    """Give the settings with those stored ones before them that are valid, each by itself. Total."""
    kept = {name: values[name] for name in LIVE_NAMES if name in values}
    wrong: dict[str, str] = {}
    while True:
        try:
            return Usable(merged(base, kept), wrong)
        except ValidationError as error:
            blamed = {str(each["loc"][0]) for each in error.errors(include_input=False)}
            # An upper bound of the environment is blamed where the stored lower one is above it.
            blamed |= {{**FIRST_BOUNDS, **LESS}.get(name, name) for name in blamed - kept.keys()}
            for name in blamed & kept.keys() or set(kept):
                del kept[name]
                wrong[name] = problems(error)


def checked(base: Settings, kept: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Give new values as they are stored, when all are valid together with those that are kept.

    Raises `SettingsError` that names each, its limits and the value.
    """
    strange = sorted(set(listed(given.get("resend_lanes", ""))) - set(base.lane_names))
    if strange:
        raise SettingsError(
            f"{variable('resend_lanes')}: {', '.join(strange)} is no lane of ATUM_LANES ({', '.join(base.lane_names)})"
        )
    live_kept = {name: kept[name] for name in LIVE_NAMES if name in kept}
    try:
        settings = _Merged(**{**dict(base), **live_kept, **given})
    except ValidationError as error:
        raise SettingsError(problems(error)) from None
    return {name: str(getattr(settings, name)) for name in given}


def _of_lanes(rates: str, lanes: tuple[str, ...]) -> str:
    """Leave out the rates of lanes that are not there."""
    return ",".join(pair for pair in listed(rates) if pair.partition("=")[0].strip() in lanes)
