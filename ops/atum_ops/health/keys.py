"""`keys`: whatever is stored encrypted can be read with the keys that are set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atum_ops.health import database_store
from atum_ops.health.findings import Finding, bad, good, unknown

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from atum_ops.health.surroundings import Surroundings

NAME: Final = "keys"
_LOOKED_AT: Final = 1000


def look(surroundings: Surroundings) -> list[Finding]:
    """Compare the keys of the oldest and newest content with those that are set."""
    if not surroundings.has_keys:
        return [unknown(NAME, "ATUM_CONTENT_KEYS is not set here", "set it as for the workers")]
    used = database_store.keys(surroundings.connection, limit=_LOOKED_AT)
    keyring = surroundings.settings.keyring()
    return judge(used, known=keyring.ids, active=keyring.active)


def judge(used: Sequence[str], *, known: Collection[str], active: str) -> list[Finding]:
    """Say which keys are missing."""
    missing = [key_id for key_id in used if key_id not in known]
    if missing:
        text = f"content was encrypted with {', '.join(missing)}, which is not set: it cannot be sent"
        return [
            bad(
                NAME,
                text,
                "put the missing key behind the others in ATUM_CONTENT_KEYS, and restart the parts",
            )
        ]
    old = [key_id for key_id in used if key_id != active]
    more = f"; still in use: {', '.join(old)}" if old else ""
    return [good(NAME, f"{active} encrypts, and all content can be read{more}")]
