"""Checking the way back: asks database, provider and endpoint, and lets each be judged. One that is away hides no other."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
import psycopg

from atum_ops import webhook_check, webhook_freshness, webhook_probe
from atum_ops.webhook_check import Finding, Verdict
from atum_ops.webhook_registry import Registry, refused
from atum_ops.webhook_setup import checked_url, plan, shown, wanted
from atum_schema import database
from atum_schema.errors import SettingsError
from atum_workers.postmark_api import PostmarkApi, ProviderFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from atum_ops.webhook_freshness import Freshness
    from atum_ops.webhook_probe import Answer, Probe
    from atum_ops.webhook_setup import Wanted
    from atum_schema.database import Connection
    from atum_schema.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found."""

    #: ATUM_WEBHOOK_URL, fit to be seen.
    url: str | None
    #: Where test events went; None: nowhere.
    tested: str | None
    #: None: the database does not answer.
    inbox: Freshness | None
    findings: tuple[Finding, ...]


def check(settings: Settings, *, to: str | None) -> Checked:
    """Check everything. Raises `click.UsageError` for a `to` that is no URL."""
    target = _checked_target(to)
    configured = webhook_check.configured(settings)
    inbox, database_findings = _inbox(settings)
    provider_findings = _provider(settings)
    tested: str | None = None
    test_findings: list[Finding] = []
    if configured[0].verdict is Verdict.GOOD:
        tested, test_findings = _test(settings, target)
    return Checked(
        url=shown(settings.webhook_url) if settings.webhook_url else None,
        tested=None if tested is None else shown(tested),
        inbox=inbox,
        findings=(*configured, *database_findings, *provider_findings, *test_findings),
    )


def _checked_target(to: str | None) -> str | None:
    if to is None:
        return None
    try:
        parts = urlsplit(to)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or "@" in parts.netloc:
        raise click.BadParameter(
            "must be an absolute http or https URL without credentials", param_hint="--to"
        )
    return to


def _inbox(settings: Settings) -> tuple[Freshness | None, list[Finding]]:
    found: list[Freshness] = []
    trouble = _asked(settings, lambda connection: found.append(webhook_freshness.freshness(connection)))
    if trouble is not None:
        return None, [trouble]
    return found[0], webhook_check.fresh(found[0])


def _asked(settings: Settings, ask: Callable[[Connection], None]) -> Finding | None:
    """Ask the database; give a finding where it does not answer."""
    try:
        with database.connect(settings.database_url.get_secret_value(), name="cli") as connection:
            ask(connection)
    except psycopg.errors.UndefinedTable:
        return Finding("database", Verdict.BAD, "has no schema, or an old one", "atum-mailer migrate")
    except psycopg.OperationalError as error:
        return Finding("database", Verdict.UNKNOWN, f"does not answer ({type(error).__name__})")
    return None


def _provider(settings: Settings) -> list[Finding]:
    about = "registration"
    try:
        checked_url(settings)
        want = wanted(settings, opens=None, clicks=None)
        token = settings.need_postmark_token()
    except SettingsError as error:
        # Who has own relays tell needs none of it.
        return [Finding(about, Verdict.NOTE, "not looked at", str(error))]
    with closing(PostmarkApi(base_url=settings.postmark_url, token=token)) as api:
        try:
            return _registered(Registry(api), want)
        except ProviderFailed as error:
            failure = refused(error, secrets=webhook_check.secrets(settings))
            verdict = Verdict.UNKNOWN if error.status is None else Verdict.BAD
            return [Finding(about, verdict, "the provider does not say", failure.remedy)]


def _registered(registry: Registry, want: Wanted) -> list[Finding]:
    findings = []
    for stream in registry.streams():
        planned = plan(want, stream=stream, registered=registry.registered(stream))
        statuses = {} if planned.webhook_id is None else registry.statuses(planned.webhook_id)
        findings.append(webhook_check.registered(planned, statuses))
    return findings


def _test(settings: Settings, target: str | None) -> tuple[str, list[Finding]]:
    url = target or webhook_probe.local_url(settings)
    if target is None and settings.webhook_url and not webhook_probe.listens(url):
        url = settings.webhook_url
    answers = webhook_probe.send(url, webhook_probe.probes(settings, now=time.time()))
    findings = [webhook_probe.judged(probe, answer) for probe, answer in answers]
    return url, [*findings, *_stored(settings, answers)]


def _stored(settings: Settings, answers: Sequence[tuple[Probe, Answer]]) -> list[Finding]:
    """See whether what was taken is stored here."""
    taken = [probe.identity for probe, answer in answers if probe.genuine and answer.status == 200]  # noqa: PLR2004
    if not taken:
        return []
    found: list[int] = []
    trouble = _asked(settings, lambda connection: found.append(webhook_freshness.stored(connection, taken)))
    if trouble is not None:
        return [trouble]
    says = f"{found[0]} of {len(taken)} test events that were taken"
    if found[0] < len(taken):
        remedy = "something else than the endpoint answers 200, or the endpoint has another database"
        return [Finding("stored", Verdict.BAD, says, remedy)]
    return [Finding("stored", Verdict.GOOD, says)]
