"""`/bounces` and `/deliverystats` (Postmark developer docs, "Bounce API")."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from atum_ops.simulator import search, texts
from atum_ops.simulator.bounces import OTHER_TYPES, TYPES
from atum_ops.simulator.faults import SEARCH_ONLY, Target
from atum_ops.simulator.misbehaviour import misbehave
from atum_ops.simulator.texts import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_ops.simulator.bounces import Bounce
    from atum_ops.simulator.exchange import Answer, Request
    from atum_ops.simulator.state import State
    from atum_ops.simulator.wire import Connection

PATH = re.compile(r"/bounces/([0-9]{1,18})(/activate|/dump)?/?", re.IGNORECASE)
_BAD_QUERY, _NO_BOUNCE, _NOT_ALLOWED = 1000, 1001, 1003
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


class BounceEndpoints:
    """Answers from the bounces that have happened."""

    def __init__(self, state: State) -> None:
        self._state = state

    def list(self, request: Request, connection: Connection) -> None:
        """Handle `GET /bounces`, newest first."""
        if self._fails(connection):
            return
        query = {key.lower(): value for key, value in parse_qsl(request.query)}
        page = search.paging(query)
        meets = _wanted(query)
        if page is None:
            connection.answer(texts.error(_BAD_QUERY, texts.BAD_PAGING))
        elif isinstance(meets, Refusal):
            connection.answer(texts.error(meets.code, meets.message))
        else:
            count, offset = page
            found = self._state.lives.bounces.find(meets)
            shown = [bounce.to_document() for bounce in found[offset : offset + count]]
            connection.answer(texts.json_answer({"TotalCount": len(found), "Bounces": shown}))

    def single(self, request: Request, connection: Connection) -> None:
        """Handle `GET /bounces/{id}`."""
        if self._fails(connection):
            return
        bounce = self._named(request)
        connection.answer(_unknown() if bounce is None else texts.json_answer(bounce.to_document()))

    def dump(self, request: Request, connection: Connection) -> None:
        """Handle `GET /bounces/{id}/dump`; what bounced is not kept."""
        connection.answer(_unknown() if self._named(request) is None else texts.json_answer({"Body": ""}))

    def activate(self, request: Request, connection: Connection) -> None:
        """Handle `PUT /bounces/{id}/activate`."""
        bounce = self._named(request)
        if bounce is None:
            connection.answer(_unknown())
        elif not bounce.can_activate or not self._state.change_suppression(
            bounce.record["stream"], bounce.address, suppressed=False
        ):
            connection.answer(texts.error(_NOT_ALLOWED, texts.NO_ACTIVATION))
        else:
            connection.answer(texts.json_answer({"Message": texts.OK, "Bounce": bounce.to_document()}))

    def statistics(self, _: Request, connection: Connection) -> None:
        """Handle `GET /deliverystats`."""
        if self._fails(connection):
            return
        bounces = self._state.lives.bounces.find(lambda _: True)
        counts = Counter(bounce.type for bounce in bounces)
        rows: list[dict[str, str | int]] = [{"Name": "All", "Count": len(bounces)}]
        rows += [{"Type": kind, "Name": TYPES[kind].name, "Count": count} for kind, count in counts.items()]
        inactive = {(bounce.record["stream"], bounce.address) for bounce in bounces if bounce.inactive}
        connection.answer(texts.json_answer({"InactiveMails": len(inactive), "Bounces": rows}))

    def _named(self, request: Request) -> Bounce | None:
        match = PATH.fullmatch(request.path)
        return self._state.lives.bounces.get(int(match[1])) if match is not None else None

    def _fails(self, connection: Connection) -> bool:
        fault = self._state.injector.choose(target=Target.SEARCH)
        if fault is None or fault.rule.kind in SEARCH_ONLY:
            return False
        misbehave(fault, connection, self._state.injector.plan)
        return True


def _unknown() -> Answer:
    return texts.error(_NO_BOUNCE, texts.NO_BOUNCE)


def _wanted(query: dict[str, str]) -> Callable[[Bounce], bool] | Refusal:
    stream = query.get("messagestream") or "outbound"
    kind, inactive = query.get("type", "").lower(), query.get("inactive", "").lower()
    if kind and kind not in map(str.lower, (*TYPES, *OTHER_TYPES)):
        return _bad("type")
    if inactive and inactive not in _FLAGS:
        return _bad("inactive")
    since = search.moment(query.get("fromdate", ""))
    before = search.moment(query.get("todate", ""), end_of_day=True)
    for name, when in (("fromdate", since), ("todate", before)):
        if when is None and query.get(name):
            return _bad(name)
    address, tag = query.get("emailfilter", "").lower(), query.get("tag", "").lower()
    message_id = query.get("messageid", "").lower()

    def meets(bounce: Bounce) -> bool:
        record = bounce.record
        return (
            record["stream"].lower() == stream.lower()
            and kind in {"", bounce.type.lower()}
            and (not inactive or bounce.inactive is _FLAGS[inactive])
            and address in bounce.address
            and tag in {"", record["tag"].lower()}
            and message_id in {"", record["message_id"]}
            and (since is None or bounce.at >= since)
            and (before is None or bounce.at < before)
        )

    return meets


def _bad(name: str) -> Refusal:
    return Refusal(_BAD_QUERY, texts.BAD_BOUNCE_QUERY.format(name=name))
