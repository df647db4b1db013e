"""A database that was restarted and serves again is no reason for an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atum_producers import Mailer
from atum_schema import settings
from atum_schema.encryption import new_key
from atum_schema.migrate import migrate
from tests.system import letters

if TYPE_CHECKING:
    from atum_ops.stack.postgres import PostgresNode


def test_the_first_calls_after_a_restart_of_the_database_succeed(own_postgres: PostgresNode) -> None:
    migrate(own_postgres.url)
    with Mailer(settings=settings.load(database_url=own_postgres.url, content_keys=new_key("t"))) as mailer:
        first = mailer.enqueue(letters(1)[0])
        own_postgres.restart()
        assert mailer.get(first).status == "queued"
        own_postgres.restart()
        second = mailer.enqueue(letters(1)[0])
        assert mailer.get(second).status == "queued"
