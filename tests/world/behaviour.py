"""What the provider may do with a request, and what it says then: bytes that the real classification reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from atum_workers.classify import Answer

if TYPE_CHECKING:
    from collections.abc import Sequence

GOOD: Final = "good"
NATURES: Final = (
    "refused",  # never taken: an ErrorCode of its own
    "unconfirmed",  # not taken until somebody changes the sender
    "spoils",  # the whole request is refused because of it
    "large",  # the same, by its size
    "erupts",  # the provider always fails over it, before taking anything
    "kills",  # each worker that renders it dies
    "kills_late",  # each worker that posts it dies before the last bytes
)
"""What may be wrong with a mail, for ever."""

KILLERS: Final = ("kills", "kills_late")

_CODES: Final = {"refused": 406, "unconfirmed": 400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What comes back, and what the provider has taken."""

    #: None: nothing comes; the connection stays open, or breaks.
    answer: Answer | None
    accepted: tuple[int, ...] = ()
    #: Mails whose own fault this answer is.
    blamed: tuple[int, ...] = ()
    #: Whether the connection breaks.
    breaks: bool = False


def _answer(status: int, document: Any, **headers: str) -> Answer:
    return Answer(status=status, headers=headers, body=orjson.dumps(document))


def _said(status: int, code: int, **headers: str) -> Answer:
    return _answer(status, {"ErrorCode": code, "Message": "no"}, **headers)


_ERROR: Final = Answer(status=500, headers={}, body=b"<html>oops</html>")


def message_id(mail: int, batch: int) -> str:
    """Name an accepted copy."""
    return f"m{mail}-b{batch}"


def regular(mails: Sequence[int], natures: dict[int, str], batch: int) -> Reply:
    """Do what a provider in good health does."""
    here = [natures[mail] for mail in mails]
    alone = tuple(mails) if len(mails) == 1 else ()
    if "spoils" in here:
        return Reply(answer=_said(422, 402), blamed=alone)
    if "large" in here:
        return Reply(answer=_said(413, 0), blamed=alone)
    if "erupts" in here:
        return Reply(answer=_ERROR)
    accepted = tuple(mail for mail, nature in zip(mails, here, strict=True) if nature not in _CODES)
    blamed = tuple(mail for mail in mails if mail not in accepted)
    results = [_result(mail, natures[mail], batch) for mail in mails]
    if len(mails) > 1:
        return Reply(answer=_answer(200, results), accepted=accepted, blamed=blamed)
    return Reply(
        answer=_answer(200 if accepted else 422, results[0]),
        accepted=accepted,
        blamed=blamed,
    )


def _result(mail: int, nature: str, batch: int) -> dict[str, Any]:
    if nature in _CODES:
        return {"ErrorCode": _CODES[nature], "Message": "no"}
    return {"ErrorCode": 0, "Message": "OK", "MessageID": message_id(mail, batch)}


def _mangled(
    mails: Sequence[int], natures: dict[int, str], batch: int, body: Callable[[bytes], bytes]
) -> Reply:
    reply = regular(mails, natures, batch)
    if reply.answer is None or reply.answer.status != 200:
        return Reply(answer=reply.answer, blamed=reply.blamed)
    answer = Answer(status=200, headers={}, body=body(reply.answer.body))
    return Reply(answer=answer, accepted=reply.accepted)


def _half(mails: Sequence[int], natures: dict[int, str], batch: int) -> Reply:
    reply = regular(mails, natures, batch)
    return Reply(answer=None, accepted=reply.accepted[: (len(reply.accepted) + 1) // 2])


def _internal(mails: Sequence[int], natures: dict[int, str], batch: int) -> Reply:
    """Take all, and say of the first that something went wrong inside."""
    reply = regular(mails, natures, batch)
    if not reply.accepted or len(mails) == 1:
        return reply
    results = [_result(mail, natures[mail], batch) for mail in mails]
    results[mails.index(reply.accepted[0])] = {"ErrorCode": 101, "Message": "inside"}
    return Reply(answer=_answer(200, results), accepted=reply.accepted, blamed=reply.blamed)


def _delayed(mails: Sequence[int], natures: dict[int, str], batch: int) -> Reply:
    reply = regular(mails, natures, batch)
    if len(mails) > 1 or not reply.accepted:
        return reply
    said = {"Message": "queued", "MessageID": message_id(mails[0], batch)}
    return Reply(answer=_answer(200, said), accepted=reply.accepted)


def _without_answer(*, breaks: bool) -> Behaviour:
    def act(mails: Sequence[int], natures: dict[int, str], batch: int) -> Reply:
        return Reply(answer=None, accepted=regular(mails, natures, batch).accepted, breaks=breaks)

    return act


def _untouched(answer: Answer | None, *, breaks: bool = False) -> Behaviour:
    reply = Reply(answer=answer, breaks=breaks)

    def act(mails: Sequence[int], natures: dict[int, str], batch: int) -> Reply:
        del mails, natures, batch
        return reply

    return act


Behaviour = Callable[["Sequence[int]", dict[int, str], int], Reply]

REGULAR: Final = "regular"
BEHAVIOURS: Final[dict[str, Behaviour]] = {
    REGULAR: regular,
    "429": _untouched(_said(429, 429)),
    "429 with silence": _untouched(_said(429, 429, **{"retry-after": "20"})),
    "maintenance": _untouched(_said(503, 100)),
    "503": _untouched(_answer(503, "unavailable")),
    "500 before": _untouched(_ERROR),
    "500 after": lambda mails, natures, batch: Reply(
        answer=_ERROR, accepted=regular(mails, natures, batch).accepted
    ),
    "hangs before": _untouched(None),
    "hangs after": _without_answer(breaks=False),
    "hangs halfway": _half,
    "resets before": _untouched(None, breaks=True),
    "resets after": _without_answer(breaks=True),
    "cut": lambda mails, natures, batch: _mangled(mails, natures, batch, lambda body: body[:-9]),
    "garbage": lambda mails, natures, batch: _mangled(mails, natures, batch, lambda _: b"[1, 2]"),
    "short": lambda mails, natures, batch: _mangled(mails, natures, batch, lambda _: b"[]"),
    "refuses the token": _untouched(_said(401, 10)),
    "error inside": _internal,
    "takes and delays": _delayed,
}
"""Everything a provider may do at the arrival of a request."""

OUTAGES: Final = (
    "503",
    "maintenance",
    "500 before",
    "hangs before",
    "resets before",
    "refuses the token",
    "429",
)
"""What it may do for a whole period."""
