"""A mail full of one strange word, and the search for that word in everything that others may read."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pika
import psycopg
from psycopg import sql

from atum_schema.mail import Attachment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from atum_ops.stack.rabbit import RabbitNode

WORD: Final = "kanarienvogel"
DOMAIN: Final = f"{WORD}.example.net"
SUBJECT: Final = f"{WORD} im Betreff"
TEXT: Final = f"Der {WORD} singt."
FIELDS: Final[Mapping[str, Any]] = {
    "sender": f"{WORD} <shop@{WORD}.example.com>",
    "subject": SUBJECT,
    "text": TEXT,
    "html": f"<p>{TEXT}</p>",
    "reply_to": f"answers@{DOMAIN}",
    "headers": {"X-Letter": WORD},
}
#: What holds a mail, or names a recipient, as the design has it.
HOLDERS: Final[Mapping[str, frozenset[str]]] = {
    "mail": frozenset({"sender", "to_line", "cc_line", "bcc_line", "subject"}),
    # Its detail is the provider's own words about the recipient.
    "recipient_event": frozenset({"recipient", "detail"}),
    "suppression": frozenset({"address"}),
}
#: Queues whose messages are the mails of producers; what is not accepted yet has no other place.
WAYS_IN: Final = frozenset({"mail.intake", "mail.rejected"})


def attachment() -> Attachment:
    """Make a file whose name and content have the word."""
    return Attachment(name=f"{WORD}.txt", content=TEXT.encode(), content_type="text/plain")


def forms(word: str) -> tuple[bytes, ...]:
    """Give the word as it may be hidden: as it is, in hexadecimal digits, and in base64 at each place of three."""
    plain = word.encode()
    hidden = [
        base64.b64encode(bytes(place) + plain)[skipped:].rstrip(b"=")[:-1]
        for place, skipped in ((0, 0), (1, 2), (2, 3))
    ]
    return (plain.lower(), plain.hex().encode(), *(one.lower() for one in hidden))


def found(text: bytes, words: Iterable[str]) -> list[bytes]:
    """Give what is around each of the words in the text, in whatever form."""
    low = text.lower()
    places = [low.find(form) for word in words for form in forms(word)]
    return [text[max(0, place - 200) : place + 200] for place in places if place >= 0]


def rows(database_url: str) -> Iterator[tuple[str, bytes]]:
    """Give every row of every table of ours, without the columns that are there to hold a mail."""
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'atum'::regnamespace AND relkind IN ('r', 'p')"
            " AND NOT relispartition"
        ).fetchall()
        for (table,) in tables:
            query = sql.SQL("SELECT (to_jsonb(t) - %s::text[])::text FROM atum.{} t").format(
                sql.Identifier(table)
            )
            for (row,) in connection.execute(query, (sorted(HOLDERS.get(table, ())),)):
                # What a person orders about an address names it, and so does the audit of that order.
                if table != "audit" or '"action": "suppression.' not in row:
                    yield f"table {table}", row.encode()
        for (query,) in connection.execute(
            "SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        ):
            yield "pg_stat_activity", query.encode()


def messages(amqp_url: str, node: RabbitNode) -> Iterator[tuple[str, bytes]]:
    """Take every message out of every queue: its properties, and its body unless that is a producer's mail."""
    vhost = urlsplit(amqp_url).path.lstrip("/").replace("%2F", "/") or "/"
    names = node.rabbitmqctl("-q", "list_queues", "-p", vhost, "name", "--no-table-headers").split()
    connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
    try:
        channel = connection.channel()
        for name in names:
            while (got := channel.basic_get(name, auto_ack=True))[0] is not None:
                yield f"properties in {name}", repr(got[1]).encode()
                if name not in WAYS_IN:
                    yield f"body in {name}", got[2]
    finally:
        connection.close()
