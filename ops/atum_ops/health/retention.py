"""`retention`: the log is kept as long as is set and no longer, its partitions are there, and no clock of a producer is ahead."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from atum_ops import retaining
from atum_ops.health import database_store
from atum_ops.health.findings import Finding, bad, good, warning
from atum_schema.ids import first_mail_id

if TYPE_CHECKING:
    from atum_ops.health.surroundings import Surroundings
    from atum_ops.retaining import Picture

NAME: Final = "retention"
_AHEAD: Final = timedelta(days=1)


def look(surroundings: Surroundings) -> list[Finding]:
    """Look at the settings and at what there is."""
    connection = surroundings.connection
    picture = retaining.look(connection, surroundings.settings)
    tomorrow = first_mail_id(picture.now + _AHEAD)
    return judge(picture, strays=database_store.has_strays(connection, after=tomorrow))


def judge(picture: Picture, *, strays: bool) -> list[Finding]:
    """Say whether the log is kept as long as is set, and no longer; `strays` are mails of the future."""
    found = []
    if picture.missing:
        text = f"partitions are missing: {', '.join(picture.missing)}"
        found.append(bad(NAME, text, "start a relay, which makes them; or: SELECT atum.ensure_partitions()"))
    found += [
        warning(NAME, text, "atum-mailer retention status")
        for text in replace(picture, missing=()).attention()
    ]
    if strays:
        text = "mails have ids of tomorrow or later: the clock of a producer was wrong"
        found.append(warning(NAME, text, "see the check clock on the machines of the producers"))
    since = (
        "the log is empty"
        if picture.oldest_mail is None
        else f"the oldest mail is {(picture.now - picture.oldest_mail).days} days old"
    )
    return found or [good(NAME, f"{since}; {picture.retention_days} days are kept")]
