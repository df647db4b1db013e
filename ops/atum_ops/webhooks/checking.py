"""Checking the whole way back: what is demanded, what has come, what is registered, and a test of the endpoint."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import psycopg

from atum_ops.webhooks import findings, probing, registering
from atum_ops.webhooks.findings import Finding, Level
from atum_ops.webhooks.freshness import freshness, stored
from atum_ops.webhooks.live import safe_url
from atum_schema import database
from atum_workers import postmark_webhooks
from atum_workers.catch_up import remedy
from atum_workers.deadline import Deadline
from atum_workers.postmark_api import PostmarkApi, ProviderFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.webhooks.live import Live
    from atum_schema.settings import Settings

_ASKING_S: Final = 20.0


def of_inbox(settings: Settings) -> list[Finding]:
    """Look at what has come."""
    try:
        with database.connect(settings.database_url.get_secret_value(), name="cli") as connection:
            return findings.of_inbox(freshness(connection))
    except psycopg.errors.UndefinedTable:
        return [Finding("inbox", Level.BAD, "the database has no inbox yet", "atum-mailer migrate")]
    except psycopg.OperationalError:
        return [Finding("inbox", Level.AWAY, "the database does not answer")]


def of_provider(settings: Settings, live: Live) -> list[Finding]:
    """Look at what is registered."""
    if settings.postmark_token is None:
        return [Finding("registration", Level.NOTE, "not looked at: ATUM_POSTMARK_TOKEN is not set")]
    if settings.webhook_url is None:
        return [Finding("registration", Level.NOTE, "not looked at: ATUM_WEBHOOK_URL is not set")]
    api = PostmarkApi(base_url=settings.postmark_url, token=settings.postmark_token.get_secret_value())
    try:
        return _registered(api, settings.webhook_url, live)
    except ProviderFailed as error:
        level = Level.AWAY if error.status is None else Level.BAD
        text = f"the provider does not answer: {error}"
        return [Finding("registration", level, text, remedy(error).strip("; ") or None)]
    finally:
        api.close()


def _registered(api: PostmarkApi, url: str, live: Live) -> list[Finding]:
    found = []
    if postmark_webhooks.delivery_type(api, Deadline.start(_ASKING_S)) == "Sandbox":
        found.append(Finding("server", Level.NOTE, "a sandbox: nothing is delivered"))
    known = registering.registered(api)
    statuses = {
        each.id: postmark_webhooks.webhook_statistics(api, each.id, Deadline.start(_ASKING_S))
        for each in known
        if each.url == url
    }
    for stream in registering.streams(api, ()):
        found += findings.of_registration(stream, url, known, live, statuses)
    return found


def target(settings: Settings, to: str | None) -> str:
    """Say where the test events go: where it is asked, else here if anybody listens, else to the public URL."""
    if to is not None:
        return safe_url(to, "--to")
    here = probing.here(settings)
    if settings.webhook_url is None or probing.is_alive(here):
        return here
    return safe_url(settings.webhook_url, "ATUM_WEBHOOK_URL")


def of_endpoint(settings: Settings, live: Live, url: str) -> list[Finding]:
    """Send the test events, and see that those that were taken are stored."""
    answers = list(probing.send(url, probing.probes(live, now=time.time())))
    taken = [each for each in answers if each.probe.genuine and each.status]
    dedupes = {each.probe.name: each.probe.dedupe(settings.keyring()) for each in taken}
    found = _stored(settings, list(dedupes.values()))
    return [
        probing.judge(each, stored=None if found is None else dedupes.get(each.probe.name) in found)
        for each in answers
    ]


def _stored(settings: Settings, dedupes: Sequence[bytes]) -> set[bytes] | None:
    try:
        with database.connect(settings.database_url.get_secret_value(), name="cli") as connection:
            return stored(connection, dedupes)
    except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
        return None
