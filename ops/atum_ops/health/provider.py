"""`provider`: it answers and takes our token; `streams`: those that mails use exist, send, and are not archived."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atum_ops.health import database_store
from atum_ops.health.findings import Finding, bad, good, unknown, warning
from atum_ops.health.surroundings import NotSet, deadline
from atum_workers import postmark_account
from atum_workers.postmark_account import SENDING, Server, Stream
from atum_workers.postmark_api import ProviderFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_ops.health.surroundings import Surroundings

NAME: Final = "provider"
STREAMS: Final = "streams"
NEWEST: Final = 5000
"""Mails that are looked at to learn which streams and senders are in use."""

_DEFAULT: Final = "outbound"
_SET: Final = "set ATUM_POSTMARK_TOKEN to the server's token"


def look(surroundings: Surroundings) -> list[Finding]:
    """Ask for the server, with the token that workers use: what was true at some earlier time counts for nothing."""
    try:
        return judge(postmark_account.server(surroundings.api, deadline()))
    except NotSet as error:
        return [unknown(NAME, str(error), _SET)]
    except ProviderFailed as error:
        return [failed(NAME, error, setting="ATUM_POSTMARK_TOKEN")]


def failed(name: str, error: ProviderFailed, *, setting: str) -> Finding:
    """Say what it means that the provider gave no usable answer."""
    if error.unauthorized:
        return bad(
            name, f"{setting} is refused ({error})", f"set {setting} to a valid token and restart the workers"
        )
    if error.status is None:
        text = f"the provider does not answer: {error}"
        return bad(name, text, "see the network, ATUM_POSTMARK_URL, and status.postmarkapp.com")
    return warning(name, f"the provider fails: {error}", "see status.postmarkapp.com")


def judge(server: Server) -> list[Finding]:
    """Say what the server is."""
    if server.delivery_type == "Sandbox":
        text = f"the server {server.name!r} is a sandbox: nothing is delivered"
        return [warning(NAME, text, "for real mail, set ATUM_POSTMARK_TOKEN to the token of a live server")]
    return [good(NAME, f"the token opens the server {server.name!r} ({server.delivery_type or 'Live'})")]


def streams(surroundings: Surroundings) -> list[Finding]:
    """Ask for the streams, and compare with those that the newest mails use."""
    used = {each.stream for each in database_store.used(surroundings.connection, limit=NEWEST)}
    try:
        return judge_streams(
            sorted(used or {_DEFAULT}), postmark_account.streams(surroundings.api, deadline())
        )
    except NotSet as error:
        return [unknown(STREAMS, str(error), _SET)]
    except ProviderFailed as error:
        if error.unauthorized or error.status is None:
            return [unknown(STREAMS, f"the provider was not asked with success: {error}")]
        return [failed(STREAMS, error, setting="ATUM_POSTMARK_TOKEN")]


def judge_streams(used: Sequence[str], known: Sequence[Stream]) -> list[Finding]:
    """Say which of the streams that mails use cannot send."""
    by_id = {stream.id.lower(): stream for stream in known}
    sending = [stream.id for stream in known if stream.type in SENDING and not stream.archived]
    instead = f"those that send: {', '.join(sending) or 'none'}"
    found = []
    for name in used:
        stream = by_id.get(name.lower())
        if stream is None:
            remedy = f"create the stream {name} at Postmark, or correct the mails' stream; {instead}"
            found.append(bad(STREAMS, f"{name} does not exist on the server", remedy))
        elif stream.archived:
            remedy = f"unarchive {name} at Postmark, or correct the mails' stream; {instead}"
            found.append(bad(STREAMS, f"{name} is archived: it sends nothing", remedy))
        elif stream.type not in SENDING:
            remedy = f"correct the mails' stream; {instead}"
            found.append(bad(STREAMS, f"{name} is of type {stream.type}: it sends nothing", remedy))
    return found or [good(STREAMS, f"those that mails use can send: {', '.join(used)}")]
