"""The `revive` actor: replays the cycle that a dead letter names, where it was moved with RabbitMQ's own tools.

The same verdict decides as in `dead replay`. An old copy, or a second one, revives nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg_pool import PoolTimeout

from atum_schema import audit, database, log_context, replaying_store, traces
from atum_schema.replaying import Verdict
from atum_schema.replaying_store import Wanted
from atum_schema.seldom import Seldom
from atum_workers.sweep_dead import pair_of_args

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from psycopg_pool import ConnectionPool

    from atum_schema.database import Connection
    from atum_schema.replaying import Judged

log = logging.getLogger(__name__)

ACTOR: Final = "system:revive"
REVIVED: Final = "dead.revived"
REFUSED: Final = "dead.not_revived"
# What a copy comes to whose mail has moved on: nobody needs to know.
_OLD: Final = frozenset({Verdict.SUPERSEDED, Verdict.UNDER_WAY, Verdict.ALREADY_DELIVERED, Verdict.NOT_DEAD})


@dataclass(frozen=True, slots=True, kw_only=True)
class Revival:
    """Replays single mails. `wait` pauses for some seconds, and is true when the worker is to stop."""

    pool: ConnectionPool[Connection]
    wait: Callable[[float], bool]
    pause_s: float = 1.0
    complaints: Seldom = field(default_factory=Seldom)

    def revive(self, *args: Any) -> None:
        """Replay the cycle of the mail that the arguments name, if it would be sent.

        While the database is away the order waits here. When the worker stops meanwhile it is given up: the mail stays
        dead, and the next sweep puts its message back into `mail.dead`.
        """
        pair = pair_of_args(args)
        if pair is None:
            log.error("revive: a message that is no dead letter of ours is dropped")
            return
        with log_context.work(mail=pair[0], cycle=pair[1]):
            self._insist(pair)

    def _insist(self, pair: tuple[UUID, int]) -> None:
        while True:
            try:
                self._revive(*pair)
            except (psycopg.Error, PoolTimeout) as error:
                if isinstance(error, psycopg.Error) and not database.is_transient(error):
                    raise
                if self.complaints.due():
                    log.warning("revive: the database is away; the order waits", extra=traces.kind(error))
                if self.wait(self.pause_s):
                    log.warning("revive: a mail stays dead, the worker stops")
                    return
            else:
                return

    def _revive(self, mail_id: UUID, cycle: int) -> None:
        with self.pool.connection() as connection, connection.transaction():
            wanted = Wanted(mail_id, cycle, letter=True)
            (outcome,) = replaying_store.replay(connection, [wanted], detail=f"ordered by {ACTOR}")
            judged = outcome.judged
            if judged.verdict is Verdict.WOULD_SEND:
                audit.record(connection, ACTOR, REVIVED, {"mail": str(mail_id), "cycle": cycle})
            elif judged.verdict not in _OLD and outcome.cycle is not None:
                audit.record(connection, ACTOR, REFUSED, _refusal(mail_id, cycle, judged))
        _say(judged)


def _refusal(mail_id: UUID, cycle: int, judged: Judged) -> dict[str, Any]:
    return {
        "mail": str(mail_id),
        "cycle": cycle,
        "verdict": judged.verdict.value,
        "reason": judged.detail,
    }


def _say(judged: Judged) -> None:
    if judged.verdict is Verdict.WOULD_SEND:
        log.info("revive: a mail is replayed")
    elif judged.verdict in _OLD:
        log.debug("revive: an old order", extra={"detail": judged.detail})
    else:
        log.warning("revive: a mail is not replayed", extra={"detail": judged.detail})
