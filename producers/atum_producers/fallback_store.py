"""What an account takes while there is an SMTP relay that may stand in: `relay_store`'s statements for each `Taking`.

Nothing of this is asked where no SMTP relay is set up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, LiteralString

from atum_producers.relay_store import ISSUE, LOOK, issuing
from atum_schema.fallback import Taking

if TYPE_CHECKING:
    from collections.abc import Mapping

# An attempt whose outcome is unknown may have been accepted, whatever was decided about the mail since then. What is
# pinned to SMTP was nowhere else: if its outcome there is unknown, a person has let it go again.
LOOK_NEW: LiteralString = """
SELECT l.lane,
       EXISTS (SELECT FROM atum.ready r
               WHERE r.lane = l.lane AND r.due_at <= clock_timestamp() AND r.due_at >= l.mark
                     AND (r.account = %(smtp)s OR (r.account IS NULL AND NOT EXISTS (
                         SELECT FROM atum.attempt a WHERE a.mail_id = r.mail_id AND a.outcome = 'unknown'))))
       OR (l.place = 1 AND EXISTS (
               SELECT FROM atum.ready r
               WHERE r.lane = ANY(%(orphaned)s) AND r.due_at <= clock_timestamp()
                     AND (r.account = %(smtp)s OR (r.account IS NULL AND NOT EXISTS (
                         SELECT FROM atum.attempt a WHERE a.mail_id = r.mail_id AND a.outcome = 'unknown'))))) AS due
FROM unnest(%(lanes)s::text[], %(marks)s::timestamptz[]) WITH ORDINALITY AS l(lane, mark, place)
"""

# Lane by lane, in the order of the index: attempts are looked up for those that are taken, not for all that wait.
ISSUE_NEW: LiteralString = issuing("""picked AS (
    SELECT first.* FROM unnest(%(lanes)s::text[]) AS served(lane) CROSS JOIN LATERAL (
        SELECT mail_id, due_at, size, at_most FROM atum.ready r
        WHERE r.lane = served.lane AND due_at <= clock_timestamp() AND due_at >= %(mark)s
              AND (account = %(smtp)s OR (account IS NULL AND NOT EXISTS (
                  SELECT FROM atum.attempt a WHERE a.mail_id = r.mail_id AND a.outcome = 'unknown')))
        ORDER BY due_at
        LIMIT %(mails)s
        FOR UPDATE SKIP LOCKED) first
    ORDER BY due_at
    LIMIT %(mails)s
)""")

LOOK_PINNED: LiteralString = """
SELECT l.lane,
       EXISTS (SELECT FROM atum.ready r
               WHERE (r.lane = l.lane OR (l.place = 1 AND r.lane = ANY(%(orphaned)s))) AND l.mark IS NOT NULL
                     AND r.due_at <= clock_timestamp() AND r.account IS NOT NULL AND r.account = %(smtp)s) AS due
FROM unnest(%(lanes)s::text[], %(marks)s::timestamptz[]) WITH ORDINALITY AS l(lane, mark, place)
"""

ISSUE_PINNED: LiteralString = issuing("""picked AS (
    SELECT first.* FROM unnest(%(lanes)s::text[]) AS served(lane) CROSS JOIN LATERAL (
        SELECT mail_id, due_at, size, at_most FROM atum.ready r
        WHERE r.lane = served.lane AND due_at <= clock_timestamp() AND due_at >= %(mark)s
              AND account IS NOT NULL AND account = %(smtp)s
        ORDER BY due_at
        LIMIT %(mails)s
        FOR UPDATE SKIP LOCKED) first
    ORDER BY due_at
    LIMIT %(mails)s
)""")

# Bounded: everything else goes to SMTP, so what stays behind comes to the front by itself.
LOOK_LEFT: LiteralString = """
SELECT l.lane,
       EXISTS (SELECT FROM unnest(CASE WHEN l.place = 1 THEN l.lane || %(orphaned)s::text[] ELSE ARRAY[l.lane] END)
                           AS served(lane)
               CROSS JOIN LATERAL (
                   SELECT mail_id, account FROM atum.ready
                   WHERE lane = served.lane AND due_at <= clock_timestamp() AND l.mark IS NOT NULL
                   ORDER BY due_at LIMIT 200) r
               WHERE r.account <> %(smtp)s OR (r.account IS NULL AND EXISTS (
                   SELECT FROM atum.attempt a WHERE a.mail_id = r.mail_id AND a.outcome = 'unknown'))) AS due
FROM unnest(%(lanes)s::text[], %(marks)s::timestamptz[]) WITH ORDINALITY AS l(lane, mark, place)
"""

ISSUE_LEFT: LiteralString = issuing("""first AS MATERIALIZED (
    SELECT r.mail_id, r.account FROM unnest(%(lanes)s::text[]) AS served(lane) CROSS JOIN LATERAL (
        SELECT mail_id, account FROM atum.ready
        WHERE lane = served.lane AND due_at <= clock_timestamp() AND %(mark)s::timestamptz IS NOT NULL
        ORDER BY due_at LIMIT 200) r
), picked AS (
    SELECT r.mail_id, r.due_at, r.size, r.at_most FROM first JOIN atum.ready r USING (mail_id)
    WHERE first.account <> %(smtp)s OR (first.account IS NULL AND EXISTS (
        SELECT FROM atum.attempt a WHERE a.mail_id = first.mail_id AND a.outcome = 'unknown'))
    ORDER BY r.due_at
    LIMIT %(mails)s
    FOR UPDATE OF r SKIP LOCKED
)""")

STATEMENTS: Final[Mapping[Taking, tuple[LiteralString, LiteralString]]] = {
    Taking.ANY: (LOOK, ISSUE),
    Taking.NEW: (LOOK_NEW, ISSUE_NEW),
    Taking.PINNED: (LOOK_PINNED, ISSUE_PINNED),
    Taking.LEFT: (LOOK_LEFT, ISSUE_LEFT),
}
"""How to look for what an account may be given, and how to issue it."""
