"""Commands as a person runs them, and mails in every state to run them on."""

from __future__ import annotations

import io
import os
import uuid
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, LiteralString
from unittest.mock import patch

import orjson
import psycopg
from pydantic import SecretStr

from atum_ops.cli import main
from atum_producers import Mailer, relay_store
from atum_schema import database, flow_store, settings
from atum_schema.encryption import new_key
from atum_schema.flow import Policy
from atum_workers import store
from tests.logged import as_before
from tests.system import letters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from atum_schema.mail import Mail

_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)
# A URL that says too little falls back to these, and then finds nobody rather than somebody's server.
_NOBODY = {"PGHOST": "127.0.0.1", "PGPORT": "1", "COLUMNS": "250", "NO_COLOR": "1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command has said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one line of JSON and nothing else."""
        assert self.out.count("\n") == 1, self
        return orjson.loads(self.out)


def without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """Give the environment without any setting of ours or of libpq."""
    return {name: value for name, value in environment.items() if not name.startswith(("ATUM_", "PG"))}


def run(*arguments: object, **environment: str) -> Answer:
    """Run `atum-mailer` in this process, with these settings and no others."""
    out, err = io.StringIO(), io.StringIO()
    status: object = 0
    with (
        patch.dict(os.environ, {**without_ours(os.environ), **_NOBODY, **environment}, clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
        as_before(),
    ):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code or 0
    assert isinstance(status, int)
    return Answer(status=status, out=out.getvalue(), err=err.getvalue())


class Place:
    """A migrated database, a mailer, and the steps of relay and worker by hand. Close with `close`."""

    def __init__(self, url: str) -> None:
        self.environment = {"ATUM_DATABASE_URL": url, "ATUM_CONTENT_KEYS": new_key("test")}
        loaded = settings.load(
            database_url=SecretStr(url), content_keys=SecretStr(self.environment["ATUM_CONTENT_KEYS"])
        )
        self.mailer = Mailer(client="tests", settings=loaded)
        #: A connection as relays and workers have it.
        self.connection = database.connect(url, name="tests")
        self.url = url

    def close(self) -> None:
        self.mailer.close()
        self.connection.close()

    def run(self, *arguments: object) -> Answer:
        """Run a command on this database."""
        return run(*arguments, **self.environment)

    def sql(self, statement: LiteralString, **values: Any) -> list[tuple[Any, ...]]:
        """Run one statement over a connection of its own; give its rows, if it has any."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def enqueue(self, number: int = 1, **fields: Any) -> list[UUID]:
        """Enqueue so many mails."""
        return self.mailer.enqueue(letters(number, **fields))

    def issue(self, *, lane: str = "transactional", mails: int = 200, window: int = 32) -> list[UUID]:
        """Do the relay's part: put due mail into batches."""
        flow_store.ensure(self.connection, lane=lane, account="default", ceiling=window, rate=None)
        issued = relay_store.issue(
            self.connection,
            lane=lane,
            lanes=[lane],
            account="default",
            mark=_ALWAYS,
            batch_mails=mails,
            batch_bytes=1_000_000,
            publish_timeout_s=5,
            policy=Policy(),
        )
        return list(issued.batches)

    def post(self, batch: UUID) -> UUID:
        """Do the worker's part up to the posting mark; give its token."""
        token = uuid.uuid4()
        claimed = store.claim(self.connection, batch=batch, token=token, worker="tests/1", lease_s=60)
        assert claimed
        assert store.mark_posting(self.connection, batch=batch, token=token, lease_s=60)
        return token

    def end(self, batch: UUID, **outcome: Any) -> None:
        """Do the worker's part to its end: the same outcome for all mails of an issued batch."""
        self.record(batch, self.post(batch), outcome)

    def record(self, batch: UUID, token: UUID, outcome: Mapping[str, Any]) -> None:
        """Do the worker's part after the POST: the same outcome for all mails of a posting batch."""
        ((mail_ids,),) = self.sql("SELECT mail_ids FROM atum.batch WHERE id = %(id)s", id=batch)
        results = [_result(mail_id, outcome) for mail_id in mail_ids]
        assert store.record(self.connection, batch=batch, token=token, results=results, recording=RECORDING)

    def ended(self, outcome: Mapping[str, Any], number: int = 1, **fields: Any) -> list[UUID]:
        """Enqueue so many mails and take them all the way to this outcome."""
        ids = self.enqueue(number, **fields)
        for batch in self.issue():
            self.end(batch, **outcome)
        return ids


RECORDING = store.Recording(drop_content=True, patience_s=60.0, settle_s=30.0)
SENT: Mapping[str, Any] = {
    "status": "sent",
    "cause": "provider_accepted",
    "outcome": "accepted",
    "charged": True,
    "http_status": 200,
    "code": 0,
    "provider_message_id": "0a129aee-e1cd-480d-b08d-4f48548ff48d",
}
DEAD: Mapping[str, Any] = {
    "status": "dead",
    "cause": "provider_rejected",
    "outcome": "rejected",
    "charged": True,
    "http_status": 200,
    "code": 300,
    "reason": "invalid",
    "detail": "the provider calls it invalid",
}
RETRYING: Mapping[str, Any] = {
    "status": "retrying",
    "cause": "retry_scheduled",
    "outcome": "deferred",
    "charged": True,
    "retry_s": 600.0,
    "http_status": 429,
    "reason": "rate_limited",
}
UNKNOWN: Mapping[str, Any] = {
    "status": "unknown",
    "cause": "outcome_unknown",
    "outcome": "unknown",
    "charged": False,
    "reason": "read_timeout",
}


def _result(mail_id: UUID, outcome: Mapping[str, Any]) -> store.Result:
    nothing = dict.fromkeys(store.Result._fields)
    return store.Result(**{**nothing, "mail_id": mail_id, "was": "queued", **outcome})


def documents(mails: Sequence[Mail]) -> bytes:
    """Write mails as JSON lines."""
    from atum_schema.document import encode

    return b"".join(encode(mail) + b"\n" for mail in mails)
