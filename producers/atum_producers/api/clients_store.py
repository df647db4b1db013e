"""API clients and their keys in the database: for the API, which reads them, and for the operator who makes them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from atum_schema.script import Script, Statement, blocking

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime


class Scope(StrEnum):
    """What a key may do."""

    #: Hand over mail.
    SEND = "send"
    #: See its own mails.
    READ = "read"
    #: Cancel its own mails.
    MANAGE = "manage"


class LiveKey(NamedTuple):
    """A key that opens the door, and for whom."""

    id: str
    digest: bytes
    client: str
    scopes: list[str]
    #: From domains it may use, lower case; empty: all.
    domains: list[str]
    #: Mails, or other requests, per second and API process; None: no limit.
    rate: float | None


LIVE = """
SELECT k.id, k.digest, k.client, c.scopes, c.domains, c.rate
FROM atum.api_key k JOIN atum.api_client c ON c.name = k.client
WHERE k.revoked_at IS NULL AND c.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
"""


def reading_live() -> Script[list[LiveKey]]:
    """Give every key that is valid now."""
    rows = yield Statement(LIVE, {}, LiveKey)
    return rows


CREATE = """
INSERT INTO atum.api_client (name, scopes, domains, rate) VALUES (%(name)s, %(scopes)s, %(domains)s, %(rate)s)
ON CONFLICT (name) DO NOTHING
RETURNING name
"""

ADD_KEY = "INSERT INTO atum.api_key (id, client, digest) VALUES (%(id)s, %(client)s, %(digest)s)"


def creating(
    *,
    name: str,
    scopes: Sequence[Scope],
    domains: Sequence[str],
    rate: float | None,
    key_id: str,
    digest: bytes,
) -> Script[bool]:
    """Add a client with its first key, in the caller's transaction; False if the name is taken."""
    rows = yield Statement(
        CREATE, {"name": name, "scopes": [str(s) for s in scopes], "domains": list(domains), "rate": rate}
    )
    if rows:
        yield Statement(ADD_KEY, {"id": key_id, "client": name, "digest": digest})
    return bool(rows)


EXPIRE = """
UPDATE atum.api_key SET expires_at = least(expires_at, now() + make_interval(secs => %(grace_s)s))
WHERE client = %(client)s AND revoked_at IS NULL AND id <> %(keep)s
RETURNING id
"""

ALIVE = "SELECT name FROM atum.api_client WHERE name = %(name)s AND revoked_at IS NULL FOR UPDATE"


def rotating(*, name: str, key_id: str, digest: bytes, grace_s: float) -> Script[int | None]:
    """Add a key and let the others end after `grace_s` seconds; how many, None if there is no such client."""
    if not (yield Statement(ALIVE, {"name": name})):
        return None
    yield Statement(ADD_KEY, {"id": key_id, "client": name, "digest": digest})
    rows = yield Statement(EXPIRE, {"client": name, "grace_s": grace_s, "keep": key_id})
    return len(rows)


REVOKE_CLIENT = """
UPDATE atum.api_client SET revoked_at = now() WHERE name = %(name)s AND revoked_at IS NULL RETURNING name
"""

REVOKE_KEYS = "UPDATE atum.api_key SET revoked_at = now() WHERE client = %(name)s AND revoked_at IS NULL"


def revoking(*, name: str) -> Script[bool]:
    """End a client and all of its keys; False if there is none that lives. Its mails stay."""
    rows = yield Statement(REVOKE_CLIENT, {"name": name})
    yield Statement(REVOKE_KEYS, {"name": name})
    return bool(rows)


class Listed(NamedTuple):
    """A client as operators see it."""

    name: str
    scopes: list[str]
    domains: list[str]
    rate: float | None
    #: Keys that are valid now.
    keys: int
    created_at: datetime
    revoked_at: datetime | None
    #: When the key ends that ends first, if a rotation set one.
    next_expiry: datetime | None


LIST = """
SELECT c.name, c.scopes, c.domains, c.rate,
       count(k.id) FILTER (WHERE k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())) AS keys,
       c.created_at, c.revoked_at,
       min(k.expires_at) FILTER (WHERE k.revoked_at IS NULL AND k.expires_at > now()) AS next_expiry
FROM atum.api_client c LEFT JOIN atum.api_key k ON k.client = c.name
GROUP BY c.name ORDER BY c.name
"""


def listing() -> Script[list[Listed]]:
    """Give all clients, those that were revoked too."""
    rows = yield Statement(LIST, {}, Listed)
    return rows


create = blocking(creating)
rotate = blocking(rotating)
revoke = blocking(revoking)
list_all = blocking(listing)
