"""An application that enqueues without end, as a child process: `python -m atum_ops.chaos.producer NAME BOOK SEED`.

Each mail carries an order number in its metadata. Half of the orders have an idempotency key, and are written down
before they are tried, so that a successor repeats what a killed producer did not finish.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from atum_ops import leash
from atum_ops.chaos import orders
from atum_ops.chaos.orders import ORDER_KEY, Book
from atum_producers import Mailer
from atum_schema.errors import EnqueueFailed, EnqueueUncertain
from atum_schema.mail import Mail

if TYPE_CHECKING:
    from collections.abc import Sequence

_PAUSE_S: Final = (0.005, 0.06)
_AWAY_S: Final = 0.2
_BATCH: Final = 40
# Many small transactions: what a commit that is not durable loses is the last fifth of a second.
_SINGLE: Final = 0.85


class Producer:
    """One application: enqueues until told to stop."""

    def __init__(self, mailer: Mailer, book: Book, *, name: str, rng: random.Random) -> None:
        self._mailer = mailer
        self._book = book
        self._name = name
        self._rng = rng
        self._made = 0
        self.stopping = False

    def run(self, unfinished: Sequence[str]) -> None:
        """Repeat what a predecessor left unfinished, then enqueue singles and batches."""
        for order in unfinished:
            self._hand_over([mail(order, keyed=True)])
        while not self.stopping:
            mails = [mail(self._next_order(), keyed=self._rng.random() < 0.5) for _ in range(self._number())]  # noqa: PLR2004
            self._book.intend([one.metadata[ORDER_KEY] for one in mails if one.idempotency_key])
            self._hand_over(mails)
            time.sleep(self._rng.uniform(*_PAUSE_S))

    def _number(self) -> int:
        return 1 if self._rng.random() < _SINGLE else self._rng.randint(2, _BATCH)

    def _next_order(self) -> str:
        self._made += 1
        return f"{self._name}-{time.time_ns()}-{self._made}"

    def _hand_over(self, mails: Sequence[Mail]) -> None:
        numbers = [one.metadata[ORDER_KEY] for one in mails]
        keys: tuple[str, ...] = ()
        while not self.stopping:
            try:
                ids = self._mailer.enqueue(mails, keys=keys)
            except EnqueueFailed:
                self._book.fail(len(mails))
                # Nothing was stored by this call; an uncertain one before it, or a key, asks for another.
                if not keys and not all(one.idempotency_key for one in mails):
                    return
                time.sleep(_AWAY_S)
            except EnqueueUncertain as error:
                self._book.doubt(len(mails))
                keys = error.keys
            else:
                self._book.acknowledge(ids, numbers)
                return


def mail(order: str, *, keyed: bool) -> Mail:
    """Make the mail of an order; the same order always gives the same mail."""
    rng = random.Random(order)  # noqa: S311 - no secret
    return Mail(
        sender="Shop <shop@example.com>",
        to=f"{order}@example.net",
        subject=f"Order {order}",
        text="Thank you. " * rng.randint(1, 60),
        metadata={ORDER_KEY: order},
        # What is not settled there is held: the other policy of an unknown outcome.
        stream="broadcast" if rng.random() < 0.15 else "outbound",  # noqa: PLR2004
        idempotency_key=order if keyed else None,
    )


def main(arguments: Sequence[str]) -> None:
    """Run one producer until SIGTERM."""
    name, path, seed = arguments
    unfinished = list(orders.read([Path(path)]).open)
    with Mailer(client=name, pool_size=1) as mailer, Book(Path(path)) as book:
        producer = Producer(mailer, book, name=name, rng=random.Random(seed))  # noqa: S311 - no secret

        def stop(signum: int, frame: Any) -> None:
            del signum, frame
            producer.stopping = True

        signal.signal(signal.SIGTERM, stop)
        leash.hold()
        print("serving", file=sys.stderr, flush=True)
        producer.run(unfinished)


if __name__ == "__main__":
    main(sys.argv[1:])
