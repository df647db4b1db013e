"""What an application's key promises, and what is kept at rest."""

from __future__ import annotations

import subprocess
import sys
import uuid
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from atum_producers import Mailer
from atum_schema import settings
from atum_schema.encryption import new_key
from atum_schema.errors import IdempotencyConflict, MailNotFound
from tests.system import letters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_schema.mail import Mail
    from tests.nodes import Databases

KEYS = new_key("test")


@pytest.fixture(scope="module")
def url(databases: Databases) -> Iterator[str]:
    with databases.fresh() as url:
        yield url


@pytest.fixture(scope="module")
def mailer(url: str) -> Iterator[Mailer]:
    with Mailer(settings=settings.load(database_url=url, content_keys=KEYS)) as mailer:
        yield mailer


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM atum.mail) + (SELECT count(*) FROM atum.idempotency)"
        ).fetchone()
    assert row is not None
    return int(row[0])


def letter(key: str, **fields: Any) -> Mail:
    return letters(1, idempotency_key=key, **fields)[0]


def test_the_same_key_with_the_same_content_is_the_first_mail(url: str, mailer: Mailer) -> None:
    first = mailer.enqueue(letter("same"))
    before = count(url)
    assert mailer.enqueue(letter("same")) == first
    fresh, known = mailer.enqueue([letters(1)[0], letter("same")])
    assert known == first
    assert fresh != first
    assert count(url) == before + 1


@pytest.mark.parametrize(
    "change", [{"text": "Other"}, {"subject": "Other"}, {"to": "other@example.net"}, {"lane": "broadcast"}]
)
def test_the_same_key_with_other_content_is_refused_and_stores_nothing(
    url: str, mailer: Mailer, change: dict[str, str]
) -> None:
    key = f"other-{next(iter(change))}"
    mailer.enqueue(letter(key))
    before = count(url)
    for attempt in (letter(key, **change), [*letters(2), letter(key, **change)]):
        with pytest.raises(IdempotencyConflict) as conflict:
            mailer.enqueue(attempt)
        assert conflict.value.key == key
    assert count(url) == before


def test_the_same_key_of_another_client_is_another_mail(url: str, mailer: Mailer) -> None:
    first = mailer.enqueue(letter("shared"))
    with Mailer(client="shop", settings=settings.load(database_url=url, content_keys=KEYS)) as shop:
        second = shop.enqueue(letter("shared", text="Other"))
        assert second != first
        assert shop.enqueue(letter("shared", text="Other")) == second


def test_mails_without_a_key_are_never_taken_for_each_other(mailer: Mailer) -> None:
    same = letters(1) * 4
    assert len(set(mailer.enqueue(same))) == 4


def test_an_id_that_nobody_has_is_not_found(mailer: Mailer) -> None:
    for ask in (mailer.get, mailer.cancel, lambda mail_id: mailer.wait(mail_id, timeout=0)):
        with pytest.raises(MailNotFound):
            ask(uuid.uuid4())


def test_waiting_ends_with_the_last_state_when_time_is_over(mailer: Mailer) -> None:
    mail_id = mailer.enqueue(letters(1)[0])
    assert mailer.wait(mail_id, timeout=0.2).status == "queued"


def test_nothing_at_rest_holds_a_body_in_clear_nor_the_content_a_subject(url: str, mailer: Mailer) -> None:
    body, subject = "the-secret-of-the-body", "the-words-of-the-subject"
    mail_id = mailer.enqueue(letters(1, text=body, html=f"<p>{body}</p>", subject=subject)[0])
    with psycopg.connect(url) as connection:
        (content,) = connection.execute(
            "SELECT body FROM atum.content WHERE mail_id = %s", [mail_id]
        ).fetchone() or (b"",)
        everything = connection.execute(
            "SELECT m::text || e::text || r::text || encode(c.body, 'escape') FROM atum.mail m"
            " JOIN atum.event e ON e.mail_id = m.id JOIN atum.ready r ON r.mail_id = m.id"
            " JOIN atum.content c ON c.mail_id = m.id WHERE m.id = %s",
            [mail_id],
        ).fetchone()
    assert len(content) > len(body) + len(subject)
    assert body.encode() not in content
    assert subject.encode() not in content
    assert everything is not None
    assert subject in everything[0]
    assert body not in everything[0]


def test_an_application_that_only_enqueues_loads_no_server_and_no_broker() -> None:
    code = "import sys, atum_producers; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    roots = {name.partition(".")[0] for name in loaded.split()}
    assert "psycopg" in roots
    assert not roots & {
        "starlette",
        "uvicorn",
        "dramatiq",
        "pika",
        "httpx",
        "click",
        "atum_workers",
        "atum_ops",
    }
