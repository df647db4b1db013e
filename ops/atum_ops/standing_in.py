"""What operators see of the SMTP relay that stands in: whether it may, whether it does, and what it has left open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from psycopg.rows import args_row

from atum_schema import fallback, flow_store, live
from atum_schema.fallback import HELD_REASON, SMTP
from atum_schema.live_merge import usable

if TYPE_CHECKING:
    from atum_schema.database import Connection
    from atum_schema.settings import Settings

WORDS: Final = {
    fallback.NOT_CONFIGURED: "ATUM_SMTP_URL is not set",
    fallback.PAUSED_BY_A_PERSON: "a person paused the lane: stop means stop",
    fallback.OFF: "fallback is off",
    fallback.ENABLED: "fallback is on",
    fallback.PRIMARY_OPEN: "the provider's window is open",
    fallback.NOT_CLOSED_FOR_LONG: "the provider's window is not closed for long enough",
    fallback.PRIMARY_CLOSED: "the provider's window is closed for long",
}
"""`Decision.why` for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """Who takes the new mail of a lane."""

    lane: str
    #: State of the provider's window, since when, and why it is not open.
    primary: str
    since: datetime
    reason: str | None
    #: State of the SMTP relay's window; None: no relay process has served it, because none has ATUM_SMTP_URL.
    smtp: str | None
    #: Whether new mail goes to SMTP, and why or why not: a stable word.
    in_use: bool
    why: str
    #: The same in words.
    explanation: str


class Left(NamedTuple):
    """Mails that the SMTP relay has left open."""

    #: Held, because nobody knows whether it took them.
    held: int
    #: The same, but not held yet.
    unknown: int
    #: Waiting for SMTP and nobody else.
    pinned: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The SMTP relay, as it stands."""

    #: `off`, `auto` or `on`, and the version of the settings that says so.
    mode: str
    version: int
    #: Seconds after which `auto` turns to it.
    after_s: float
    #: Whether the settings of this command name an SMTP relay.
    configured: bool
    lanes: list[Lane]
    left: Left


LEFT = """
SELECT (SELECT count(*) FROM atum.held h JOIN atum.mail m ON m.id = h.mail_id WHERE m.reason = %(reason)s) AS held,
       (SELECT coalesce(sum(cardinality(mail_ids)), 0)::bigint FROM atum.batch
        WHERE account = %(smtp)s AND state = 'unknown') AS unknown,
       (SELECT count(*) FROM atum.ready WHERE account IS NOT NULL AND account = %(smtp)s) AS pinned
"""


def standing(connection: Connection, settings: Settings) -> Standing:
    """Look at settings and windows. `settings` are those of the environment."""
    stored = live.read(connection)
    now = usable(settings, stored.values).settings
    rows = flow_store.read(connection)
    by_smtp = {row.lane: row.window.state for row in rows if row.account == SMTP}
    lanes = []
    for row in rows:
        if row.account != settings.account:
            continue
        window = row.window
        decision = fallback.decide(
            now.fallback,
            configured=settings.smtp_server is not None,
            after_s=now.fallback_after_s,
            primary=window,
            now=row.now,
        )
        lanes.append(
            Lane(
                lane=row.lane,
                primary=window.state,
                since=datetime.fromtimestamp(window.since, UTC),
                reason=window.reason,
                smtp=by_smtp.get(row.lane),
                in_use=decision.in_use,
                why=decision.why,
                explanation=WORDS[decision.why],
            )
        )
    with connection.cursor(row_factory=args_row(Left)) as cursor:
        left = cursor.execute(LEFT, {"reason": HELD_REASON, "smtp": SMTP}).fetchone()
    return Standing(
        mode=now.fallback,
        version=stored.version,
        after_s=now.fallback_after_s,
        configured=settings.smtp_server is not None,
        lanes=lanes,
        left=left or Left(0, 0, 0),
    )
