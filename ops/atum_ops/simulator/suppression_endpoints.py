"""`/message-streams/{stream}/suppressions`: dump, create, delete (Postmark developer docs, "Suppressions API")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson

from atum_ops.simulator import recipients, search, texts
from atum_ops.simulator.suppressions import ORIGINS, REASONS
from atum_ops.simulator.texts import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from atum_ops.simulator.exchange import Answer, Request
    from atum_ops.simulator.state import State
    from atum_ops.simulator.suppressions import Suppression
    from atum_ops.simulator.wire import Connection

MOST_PER_CALL = 50
PATH = re.compile(r"/message-streams/([^/]+)/suppressions(/dump|/delete)?", re.IGNORECASE)


class SuppressionEndpoints:
    """Lists and changes the suppressions of a stream; sending heeds them."""

    def __init__(self, state: State) -> None:
        self._state = state

    def dump(self, request: Request, connection: Connection) -> None:
        """Handle `GET …/suppressions/dump`."""
        stream = self._stream(request)
        wanted = None if stream is None else _wanted(request.query)
        if stream is None:
            connection.answer(_unknown_stream())
        elif isinstance(wanted, Refusal):
            connection.answer(texts.error(wanted.code, wanted.message))
        else:
            found = [
                one for one in self._state.account.suppressions.dump(stream) if wanted is None or wanted(one)
            ]
            connection.answer(texts.json_answer({"Suppressions": [_document(one) for one in found]}))

    def create(self, request: Request, connection: Connection) -> None:
        """Handle `POST …/suppressions`."""
        self._change(request, connection, suppressed=True)

    def delete(self, request: Request, connection: Connection) -> None:
        """Handle `POST …/suppressions/delete`."""
        self._change(request, connection, suppressed=False)

    def _change(self, request: Request, connection: Connection, *, suppressed: bool) -> None:
        stream = self._stream(request)
        if stream is None:
            connection.answer(_unknown_stream())
            return
        addresses = _addresses(request.body)
        if isinstance(addresses, Refusal):
            connection.answer(texts.error(addresses.code, addresses.message))
            return
        results = []
        for address in addresses:
            failure = _failure(address)
            if failure is None and not self._state.change_suppression(stream, address, suppressed=suppressed):
                failure = texts.NO_AUTHORITY
            results.append(
                {
                    "EmailAddress": address,
                    "Status": "Failed" if failure else "Suppressed" if suppressed else "Deleted",
                    "Message": failure,
                }
            )
        connection.answer(texts.json_answer({"Suppressions": results}))

    def _stream(self, request: Request) -> str | None:
        match = PATH.fullmatch(request.path.rstrip("/"))
        return self._state.account.stream_named(match[1]) if match is not None else None


def _unknown_stream() -> Answer:
    return texts.error(1226, texts.UNKNOWN_STREAM)


def _document(one: Suppression) -> dict[str, Any]:
    return {
        "EmailAddress": one.address,
        "SuppressionReason": one.reason,
        "Origin": one.origin,
        "CreatedAt": texts.timestamp(one.created_at),
    }


def _failure(address: str) -> str | None:
    found = recipients.parse("To", address)
    plain = not isinstance(found, Refusal) and [one.email for one in found] == [address.strip()]
    return None if plain else texts.BAD_ADDRESS


def _addresses(body: bytes) -> list[str] | Refusal:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Refusal(402, texts.BAD_JSON)
    entries = document.get("Suppressions") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        return Refusal(1409, texts.NO_PROPER_BODY)
    if len(entries) > MOST_PER_CALL:
        return Refusal(1410, texts.TOO_MANY_SUPPRESSIONS)
    addresses = [entry.get("EmailAddress") if isinstance(entry, dict) else None for entry in entries]
    given = [address for address in addresses if isinstance(address, str)]
    return given if len(given) == len(entries) else Refusal(1409, texts.NO_PROPER_BODY)


def _wanted(query: str) -> Callable[[Suppression], bool] | Refusal:
    given: Mapping[str, str] = {key.lower(): value for key, value in parse_qsl(query)}
    reason, origin = given.get("suppressionreason", ""), given.get("origin", "")
    address = given.get("emailaddress", "").lower()
    if reason and reason.lower() not in map(str.lower, REASONS):
        return Refusal(1404, texts.BAD_REASON)
    if origin and origin.lower() not in map(str.lower, ORIGINS):
        return Refusal(1405, texts.BAD_ORIGIN)
    if address and _failure(address) is not None:
        return Refusal(1408, texts.BAD_ADDRESS)
    since = search.moment(given.get("fromdate", ""))
    before = search.moment(given.get("todate", ""), end_of_day=True)
    for name, when in (("fromdate", since), ("todate", before)):
        if when is None and given.get(name):
            return Refusal(1407, texts.BAD_DATE.format(name=name, value=given[name]))

    def meets(one: Suppression) -> bool:
        return (
            reason.lower() in {"", one.reason.lower()}
            and origin.lower() in {"", one.origin.lower()}
            and address in {"", one.address}
            and (since is None or one.created_at >= since)
            and (before is None or one.created_at < before)
        )

    return meets
