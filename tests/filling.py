"""A log with many mails, made by the database itself: seconds instead of hours."""

from __future__ import annotations

from typing import Final

import psycopg

FILL: Final = """
WITH numbered AS (
    SELECT n, (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - %(number)s + n), 12, '0') || '7000' || '8000'
               || lpad(to_hex(n), 12, '0'))::uuid AS id
    FROM generate_series(1, %(number)s::bigint) AS n
), mails AS (
    INSERT INTO atum.mail (id, client, lane, stream, status, attempts, tries, sender, to_line, cc_line, subject, tag,
                           size, finished_at, reason, provider_message_id)
    SELECT id, 'shop', 'transactional', 'outbound', CASE WHEN n %% 50 = 0 THEN 'bounced' ELSE 'delivered' END, 1, 1,
           'Shop <shop@example.com>', 'Jane Doe ' || n || ' <jane' || n || '@example.org>',
           CASE WHEN n %% 10 = 0 THEN 'bob@example.org, joe@example.org' END, 'Your order ' || n, 'order', 2000, now(),
           CASE WHEN n %% 50 = 0 THEN 'hard_bounce' END, id::text
    FROM numbered RETURNING id
)
INSERT INTO atum.attempt (mail_id, batch_id, token, outcome, charged, issued_at, posting_at, http_status, code)
SELECT id, gen_random_uuid(), gen_random_uuid(), 'accepted', false, now(), now(), 200, 0 FROM mails
"""


PILE: Final = """
INSERT INTO atum.ready (mail_id, lane, due_at, size)
SELECT gen_random_uuid(), %(lane)s, now() - make_interval(secs => %(since_s)s) + make_interval(secs => 0.001 * n), 2000
FROM generate_series(1, %(number)s::bigint) AS n
"""


def pile_up(url: str, number: int, *, lane: str, since_s: float) -> None:
    """Let so many mails wait in a lane, one per millisecond from so long ago on; only their owners' rows are made."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(PILE, {"number": number, "lane": lane, "since_s": since_s})


def fill(url: str, number: int) -> None:
    """Put so many mails that have gone into the log, one per millisecond up to now."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FILL, {"number": number})
        connection.execute("ANALYZE atum.mail")
