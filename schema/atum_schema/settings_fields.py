"""What is known of each setting without reading it: its name as people write it, its range, whether it is a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from atum_schema.errors import SettingsError
from atum_schema.settings import Settings
from atum_schema.settings_files import PREFIX
from atum_schema.settings_operating import FALLBACK_MODES
from atum_schema.settings_problems import bounds

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMES: Final = tuple(Settings.model_fields)
"""All settings, in order."""

LIVE_NAMES: Final = tuple(
    name
    for name, field in Settings.model_fields.items()
    if isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("live")
)
"""Those that operators may change while the system runs, in order."""

# What numbers do not say.
_WORDS: Final = {
    "fallback": ", ".join(FALLBACK_MODES),
    "rates": "lane=rate[,…], 0.01 to 1000000",
    "resend_lanes": "lane[,lane…]",
}


def variable(name: str) -> str:
    """Give a setting's name in the environment."""
    return f"{PREFIX}{name.upper()}"


def name_of(text: str) -> str:
    """Give the name of a setting, however it is written: `window`, `WINDOW`, `ATUM_WINDOW`."""
    return text.strip().lower().removeprefix(PREFIX.lower())


def known(texts: Iterable[str]) -> tuple[str, ...]:
    """Give the names of settings. Raises `SettingsError` for those that nobody knows, and says which there are."""
    names = tuple(map(name_of, texts))
    strange = [name for name in names if name not in NAMES]
    if strange:
        raise SettingsError(f"no setting {', '.join(strange)}; there are: {', '.join(NAMES)}")
    return names


def is_secret(name: str) -> bool:
    """Whether a setting's value must not be shown."""
    annotation = Settings.model_fields[name].annotation
    return SecretStr in (annotation, *getattr(annotation, "__args__", ()))


def limits(name: str) -> str:
    """Say what a setting's value must be, in words; empty where it has no limits."""
    return bounds(Settings.model_fields[name]) or _WORDS.get(name, "")
