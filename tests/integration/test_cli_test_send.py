"""`test-send`: a mail that tries the way, and is done only when somebody beyond us has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from atum_schema import moves
from atum_schema.moves import Move
from atum_schema.status import Cause
from tests.beside import Beside
from tests.command_line import DEAD, RETRYING, SENT, UNKNOWN, Answer, Place
from tests.nodes import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FROM = ("--from", "Shop <shop@example.com>")


def send(place: Place, *arguments: str) -> Answer:
    return place.run("test-send", *FROM, *arguments)


def test_each_recipient_gets_a_mail_of_its_own_with_the_tag(place: Place) -> None:
    """H9."""
    with Beside(place):
        answer = send(
            place,
            "jane@example.org",
            "Joe <joe@example.org>",
            "JANE@example.org",
            "--by",
            "ann",
            "--format=json",
        )
    assert answer.status == 0, answer.err
    assert [(one["recipient"], one["status"], one["good"]) for one in answer.json] == [
        ("jane@example.org", "sent", True),
        ("joe@example.org", "sent", True),
    ]
    assert place.sql("SELECT to_line, tag, client, sender, cc_line FROM atum.mail ORDER BY id") == [
        ("jane@example.org", "atum-test", "test-send", "Shop <shop@example.com>", None),
        ("Joe <joe@example.org>", "atum-test", "test-send", "Shop <shop@example.com>", None),
    ]
    ((actor, action, detail),) = place.sql("SELECT actor, action, detail FROM atum.audit")
    assert (actor, action) == ("operator:ann", "mail.tested")
    assert detail == {"mails": [one["id"] for one in answer.json], "stream": "outbound"}


def test_queued_is_never_done(place: Place) -> None:
    """H7: nobody sends, so it is not done, and the words say where it is."""
    answer = send(place, "jane@example.org", "--timeout", "1s")
    assert answer.status == 1
    assert "jane@example.org: It is due since" in answer.err
    assert "No relay has served the lane transactional yet: is one running?" in answer.err


@pytest.mark.parametrize(
    ("outcome", "status", "words"),
    [
        (DEAD, "dead", "the provider refused it for good (invalid)"),
        (RETRYING, "retrying", "The provider did not take it for now (rate_limited)"),
        (UNKNOWN, "unknown", "nobody knows yet whether the provider took it"),
    ],
)
def test_what_is_not_accepted_is_told_with_where_it_is(
    place: Place, outcome: Mapping[str, Any], status: str, words: str
) -> None:
    answers: list[Answer] = []

    def is_told() -> bool:
        answers.append(send(place, "jane@example.org", "--timeout", "2s", "--format=json"))
        return bool(answers[-1].json[0]["status"] == status)

    with Beside(place, outcome):
        # Once, unless those beside were too slow for so short a time.
        assert eventually(is_told), answers
    answer = answers[-1]
    assert answer.status == 1
    (told,) = answer.json
    assert (told["status"], told["good"]) == (status, False)
    assert words in told["where"][0]


@pytest.mark.parametrize(
    ("cause", "status"),
    [(Cause.DELIVERED, "delivered"), (Cause.BOUNCED, "bounced"), (Cause.COMPLAINED, "complained")],
)
def test_with_wait_it_is_followed_until_its_recipient_has_it_or_not(
    place: Place, cause: Cause, status: str
) -> None:
    """H7."""

    class Telling(Beside):
        """A provider whose webhook tells soon after it has accepted."""

        def _post(self, steps: Place, batch: Any) -> None:
            super()._post(steps, batch)
            with steps.connection.transaction():
                moves.apply(steps.connection, [Move(self.posted[-1], "sent", cause)])

    with Telling(place):
        answer = send(place, "jane@example.org", "--wait", "--format=json")
    assert [one["status"] for one in answer.json] == [status]
    assert answer.status == (0 if status == "delivered" else 1)


def test_accepted_is_not_delivered(place: Place) -> None:
    answers: list[Answer] = []

    def is_accepted() -> bool:
        answers.append(send(place, "jane@example.org", "--wait", "--timeout", "1s"))
        return "The provider accepted it" in answers[-1].err

    with Beside(place, SENT):
        assert eventually(is_accepted), answers
    assert answers[-1].status == 1


def test_more_than_twenty_recipients_are_too_many(place: Place) -> None:
    """H9: no test is a mailing."""
    answer = send(place, *[f"r{place}@example.org" for place in range(21)])
    assert answer.status == 1
    assert "21 recipients: a test goes to 20 at most" in answer.err
    assert place.sql("SELECT 1 FROM atum.mail") == []


def test_a_bad_recipient_refuses_them_all(place: Place) -> None:
    """A13."""
    answer = send(place, "jane@example.org", "joe@")
    assert answer.status == 1
    assert "to[1]" in answer.err
    assert place.sql("SELECT 1 FROM atum.mail") == []
