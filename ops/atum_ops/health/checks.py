"""The checks, in the order in which people read them; docs/health.md has a section for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import psycopg

from atum_ops.health import (
    broker,
    clock,
    database,
    domains,
    failures,
    keys,
    lanes,
    parts,
    provider,
    queues,
    retention,
    schema,
    webhooks,
)
from atum_ops.health.findings import Finding, bad, unknown
from atum_schema import away
from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from atum_ops.health.surroundings import Surroundings


class Check(NamedTuple):
    """One thing that is looked at."""

    name: str
    look: Callable[[Surroundings], list[Finding]]
    #: Whether it asks somebody outside: the provider, or DNS.
    outside: bool = False
    #: Whether it asks the database.
    inside: bool = True


CHECKS: Final = (
    Check(database.NAME, database.look),
    Check(schema.NAME, schema.look),
    Check(clock.NAME, clock.look),
    Check(retention.NAME, retention.look),
    Check(keys.NAME, keys.look),
    Check(broker.NAME, broker.look, inside=False),
    Check(queues.NAME, queues.look, inside=False),
    Check(parts.RELAYS, parts.relays),
    Check(parts.WORKERS, parts.workers),
    Check(parts.NAME, parts.others),
    Check(lanes.NAME, lanes.look),
    Check(lanes.BACKLOG, lanes.backlog),
    Check(lanes.TASKS, lanes.tasks),
    Check(failures.NAME, failures.look),
    Check(failures.STOPPED, failures.stopped),
    Check(webhooks.NAME, webhooks.look),
    Check(provider.NAME, provider.look, outside=True, inside=False),
    Check(provider.STREAMS, provider.streams, outside=True),
    Check(domains.NAME, domains.look, outside=True),
)

_START: Final = "see that PostgreSQL runs and that ATUM_DATABASE_URL is right"


def run(surroundings: Surroundings, only: Collection[str] = ()) -> Iterator[list[Finding]]:
    """Look at everything, or `only` what is named, one check after the other."""
    surroundings.connect()
    for check in CHECKS:
        if only and check.name not in only:
            continue
        if check.outside and surroundings.offline:
            yield [unknown(check.name, "not looked at: --offline")]
        elif check.inside and surroundings.away is not None:
            yield [_away(check, surroundings.away)]
        else:
            yield _look(check, surroundings)


def _away(check: Check, error: psycopg.OperationalError) -> Finding:
    if check.name == database.NAME:
        return bad(check.name, f"it does not answer: {away.words(error)}", _START)
    return unknown(check.name, "not looked at: the database does not answer")


def _look(check: Check, surroundings: Surroundings) -> list[Finding]:
    try:
        return check.look(surroundings)
    except SettingsError as error:
        return [bad(check.name, str(error), "correct the setting, see docs/settings.md")]
    except psycopg.errors.UndefinedTable:
        return [bad(check.name, "a table that it needs does not exist", "atum-mailer migrate")]
    except psycopg.errors.QueryCanceled:
        return [unknown(check.name, "the database did not answer within 10 s")]
    except psycopg.Error as error:
        remedy = "look at the log of PostgreSQL"
        return [bad(check.name, f"the database refuses: {type(error).__name__}", remedy)]


def is_unreachable(surroundings: Surroundings, only: Collection[str] = ()) -> bool:
    """Whether something was to be looked at in the database, and it did not answer."""
    return surroundings.away is not None and any(
        check.inside and (not only or check.name in only) for check in CHECKS
    )
