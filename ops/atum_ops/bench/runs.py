"""The runs of the benchmark: each from the first enqueue to the last committed outcome."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import psycopg

from atum_ops import reading
from atum_ops.bench import plain
from atum_producers import Mailer
from atum_schema import database
from atum_schema.mail import Mail

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from atum_ops.rig import Rig

_AT_ONCE: Final = 1000
_LOOK_S: Final = 0.05
_PATIENCE_S: Final = 300.0
_PAUSE_S: Final = 0.05

# About 2 KB a mail, prose rather than repetition, so that compression does not flatter the result.
_TEXT: Final = """Dear {name},

thank you for your order {number} of 14 November. We have packed two bags of Ethiopian filter roast, a ceramic
dripper in slate grey and a box of one hundred paper filters. The parcel leaves our roastery in Linz this afternoon
and should be with you by Thursday; somebody has to sign for it, so tell the courier if a neighbour may.

  Subtotal  EUR 46.20
  Shipping  EUR  4.90
  Total     EUR 51.10 (VAT EUR 8.52)

Follow it here: https://shop.example.com/orders/{number}/parcel?key={key}

If anything is wrong, answer this mail within thirty days. A person reads it.
Kind regards, the people at the roastery
"""
_HTML: Final = """<!doctype html><html lang="en"><body style="font-family:Georgia,serif;color:#2b2622;max-width:36em">
<p>Dear {name},</p><p>thank you for your order <strong>{number}</strong> of 14 November. We have packed two bags of
Ethiopian filter roast, a ceramic dripper in slate grey and a box of one hundred paper filters.</p>
<table role="presentation" cellpadding="6"><tr><td>Subtotal</td><td align="right">&euro;&nbsp;46.20</td></tr>
<tr><td>Shipping</td><td align="right">&euro;&nbsp;4.90</td></tr>
<tr><td><b>Total</b></td><td align="right"><b>&euro;&nbsp;51.10</b></td></tr></table>
<p><a href="https://shop.example.com/orders/{number}/parcel?key={key}" style="background:#6b3f1d;color:#fff">Follow
your parcel</a></p><p>If anything is wrong, answer this mail within thirty days. A person reads it.</p></body></html>
"""


def _bodies(number: int) -> tuple[str, str]:
    words = {"name": f"Customer {number}", "number": number, "key": f"{number * 2654435761 % 2**64:016x}"}
    return _TEXT.format(**words), _HTML.format(**words)


def mail(number: int) -> Mail:
    """Make one mail of about 2 KB."""
    text, html = _bodies(number)
    return Mail(
        sender="Shop <shop@example.com>",
        to=f"Customer {number} <customer-{number}@example.org>",
        subject=f"Order {number}",
        text=text,
        html=html,
        tag="order",
        metadata={"order": str(number)},
    )


def ours(rig: Rig, number: int) -> float:
    """Deliver `number` mails through this system; give mails per second."""
    with Mailer(client="bench", settings=rig.settings()) as mailer:
        mailer.enqueue(mail(0))
        _until_idle(rig.database_url)
        started = time.monotonic()
        for first in range(0, number, _AT_ONCE):
            mailer.enqueue([mail(place) for place in range(first, min(number, first + _AT_ONCE))])
        _until_idle(rig.database_url)
    return number / (time.monotonic() - started)


def _until_idle(database_url: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    with database.connect(database_url, name="bench") as connection:
        while not reading.is_idle(connection):
            if time.monotonic() > deadline:
                raise TimeoutError("the backlog was not delivered in time")
            time.sleep(_LOOK_S)


def yardstick(rig: Rig, number: int) -> float:
    """Deliver `number` mails through the plain actor; give mails per second."""
    environment = {
        "ATUM_DATABASE_URL": rig.database_url,
        "ATUM_AMQP_URL": rig.amqp_url,
        "ATUM_POSTMARK_URL": "" if rig.simulator is None else rig.simulator.url,
        "ATUM_POSTMARK_TOKEN": rig.simulation.token,
    }
    with psycopg.connect(rig.database_url, autocommit=True) as connection:
        connection.execute(plain.TABLE)
        connection.execute("TRUNCATE plain_log")
        with _plain_workers(rig, environment), _environment(environment):
            broker, actor = plain.build()
            actor.send(_plain_mail(0))
            _until_logged(connection, 1)
            started = time.monotonic()
            for place in range(number):
                actor.send(_plain_mail(place))
            _until_logged(connection, number + 1)
            seconds = time.monotonic() - started
            broker.close()
    return number / seconds


def _plain_mail(number: int) -> dict[str, str]:
    text, html = _bodies(number)
    return {
        "From": "Shop <shop@example.com>",
        "To": f"Customer {number} <customer-{number}@example.org>",
        "Subject": f"Order {number}",
        "TextBody": text,
        "HtmlBody": html,
        "Tag": "order",
    }


def _until_logged(connection: psycopg.Connection[Any], number: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        row = connection.execute("SELECT count(*) FROM plain_log").fetchone()
        if row is not None and row[0] >= number:
            return
        if time.monotonic() > deadline:
            raise TimeoutError("the plain actor did not deliver in time")
        time.sleep(_LOOK_S)


@contextmanager
def _plain_workers(rig: Rig, environment: Mapping[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", "dramatiq", "atum_ops.bench.plain:setup"]
    command += ["--processes", str(rig.workers), "--threads", str(rig.threads)]
    log = (rig.logs / "plain.log").open("ab")
    with log, subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def latencies(rig: Rig, number: int) -> list[float]:
    """Enqueue single mails on an idle system; give the milliseconds until each POST left, sorted.

    From the call of `enqueue` to the database's time of the posting mark, which is committed just before the POST.
    Both clocks are this machine's.
    """
    sent: dict[Any, float] = {}
    with Mailer(client="bench", settings=rig.settings()) as mailer:
        for place in range(number):
            one = mail(place)
            called = time.time()
            sent[mailer.enqueue(one)] = called
            time.sleep(_PAUSE_S)
        _until_idle(rig.database_url)
    with database.connect(rig.database_url, name="bench") as connection:
        rows = connection.execute(
            "SELECT mail_id, extract(epoch FROM posting_at)::float8 FROM atum.attempt WHERE mail_id = ANY(%s)",
            (list(sent),),
        ).fetchall()
    return sorted((posted - sent[mail_id]) * 1000 for mail_id, posted in rows)


def median(values: list[float]) -> float:
    """Give the median."""
    return statistics.median(values)
