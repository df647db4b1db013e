"""Relay and worker drop old months by themselves, while mail goes out."""

from __future__ import annotations

from tests import aging
from tests.command_line import DEAD, SENT, Place
from tests.nodes import eventually
from tests.system import System, letters

MAILS = 400


def test_old_months_go_while_mail_is_delivered_and_what_is_not_over_stays(
    database_url: str, amqp_url: str
) -> None:
    place = Place(database_url)
    months = [aging.make(place, aging.month(back)) for back in (6, 7, 8)]
    gone = [each for old in months for each in aging.ended_in(place, old, SENT, 10)]
    dead = [each for old in months for each in aging.ended_in(place, old, DEAD, 2)]
    with System(database_url=database_url, amqp_url=amqp_url) as system:
        ids = [each for _ in range(MAILS // 100) for each in system.mailer.enqueue(letters(100))]
        assert eventually(
            lambda: not {old.partition("mail") for old in months} & aging.partitions(place), seconds=60
        )
        assert eventually(
            lambda: (
                place.sql(
                    "SELECT count(*) FROM atum.mail WHERE id = ANY(%(ids)s) AND status = 'sent'", ids=ids
                )
                == [(MAILS,)]
            ),
            seconds=60,
        )
    assert aging.counts(place, gone)["mail"] == 0
    assert aging.counts(place, dead) == {
        "mail": 6,
        "event": 12,
        "attempt": 6,
        "recipient_event": 0,
        "content": 6,
    }
    report = place.run("verify", "--format=json").json
    place.close()
    assert (report["mails"], report["lost"], report["unexplained"]) == (MAILS + 6, 0, 0)
