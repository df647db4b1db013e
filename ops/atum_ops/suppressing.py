"""What the commands about suppressions do: read addresses, give orders, walk the list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg

from atum_schema import suppression_list
from atum_schema import suppression_orders as orders
from atum_schema.addresses import Address, folded
from atum_schema.errors import AtumError, MailRejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from atum_schema.database import Connection
    from atum_schema.suppression_list import Wanted
    from atum_schema.suppression_orders import Answer, Known

    Order = Callable[[Sequence[str]], dict[str, Answer]]

AT_ONCE: Final = 1000
_PATIENCE: Final = 6


def addresses(lines: Iterable[str]) -> list[str]:
    """Read one address per line, each once; empty lines and those that begin with # are skipped. Raises `AtumError`."""
    read: dict[str, None] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text and not text.startswith("#"):
            try:
                read[folded(Address("", text).email)] = None
            except MailRejected as error:
                raise AtumError(f"line {number}: the address {error.reason}; nothing was done") from None
    return list(read)


def add(
    connection: Connection, stream: str, wanted: Sequence[str], *, by: str, note: str | None
) -> dict[str, Answer]:
    """Suppress addresses, so many at once; when this returns, no later POST goes to them."""
    return _ordered(
        connection,
        wanted,
        lambda part: orders.suppress(
            connection, stream, part, actor=f"operator:{by}", source="operator", note=note
        ),
    )


def remove(
    connection: Connection, stream: str, wanted: Sequence[str], *, by: str, note: str | None
) -> dict[str, Answer]:
    """Order that suppressions be lifted, so many at once."""
    return _ordered(
        connection,
        wanted,
        lambda part: orders.lift(connection, stream, part, actor=f"operator:{by}", note=note),
    )


def _ordered(connection: Connection, wanted: Sequence[str], order: Order) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    for start in range(0, len(wanted), AT_ONCE):
        answers |= _patiently(connection, wanted[start : start + AT_ONCE], order)
    return answers


def _patiently(connection: Connection, part: Sequence[str], order: Order) -> dict[str, Answer]:
    """Repeat an order whose locks were in the way of others, or theirs in its."""
    for _ in range(_PATIENCE):
        try:
            with connection.transaction():
                return order(part)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            continue
    raise AtumError("somebody locks the batches for too long; nothing of these addresses was changed")


def walk(connection: Connection, wanted: Wanted, *, limit: int) -> Iterator[Known]:
    """Give suppressions by stream and address, read a page at a time."""
    after: tuple[str, str] | None = None
    while limit > 0:
        page = suppression_list.list_page(connection, wanted, limit=min(limit, AT_ONCE), after=after)
        yield from page
        if len(page) < min(limit, AT_ONCE):
            return
        limit -= len(page)
        after = page[-1].stream, page[-1].address
