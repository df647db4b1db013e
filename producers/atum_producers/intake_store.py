"""What the intake does in Postgres: jobs into the log, and counts of what became of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from atum_schema.accept import Accepted, Answer, accepting
from atum_schema.script import run
from atum_schema.tally import counting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_schema.acceptance import Offer
    from atum_schema.database import Connection
    from atum_schema.script import Script

ACCEPTED: Final = "intake_accepted"
"""Name in atum.tally of the jobs that became mails; one that was known already is not counted again."""

REJECTED: Final = "intake_rejected"
"""Name in atum.tally of the jobs in `mail.rejected`; the reason is the field."""


def store(
    connection: Connection, offers: Sequence[Offer], *, key_id: str, rejected: Counter[str]
) -> list[Answer]:
    """Store jobs, and count them and the rejected ones, in one transaction; give the answer to each.

    Durable when this returns. An error of Postgres means that nothing was stored, or nobody knows.
    """
    with connection.transaction():
        return run(connection, _storing(offers, key_id, rejected))


def _storing(offers: Sequence[Offer], key_id: str, rejected: Counter[str]) -> Script[list[Answer]]:
    answers: list[Answer] = []
    if offers:
        answers = yield from accepting(offers, key_id=key_id)
    counts = Counter({(REJECTED, reason): number for reason, number in rejected.items()})
    counts[ACCEPTED, ""] = sum(isinstance(each, Accepted) and not each.replayed for each in answers)
    yield from counting(counts)
    return answers


REJECTED_JOBS: Final = """
SELECT reason, number FROM atum.tally WHERE name = %(name)s ORDER BY number DESC, reason
"""


def rejected_jobs(connection: Connection) -> dict[str, int]:
    """Count the jobs that were ever rejected, by the field that was wrong, the most frequent first."""
    return dict(connection.execute(REJECTED_JOBS, {"name": REJECTED}).fetchall())
