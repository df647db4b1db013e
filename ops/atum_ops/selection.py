"""Which mails an operator means: the same filters for every list, export and order."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, LiteralString, Self

from atum_schema.errors import AtumError
from atum_schema.ids import first_mail_id
from atum_schema.status import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

_CODE: Final = re.compile(r"(http|pm)_([0-9]{0,9})")
_HTTP_DIGITS: Final = 3
_MOST_CODE: Final = 2**31 - 1
_FAILED: Final = (Status.DEAD.value, Status.BOUNCED.value, Status.EXPIRED.value)

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {"failed": _FAILED}
"""Words for several statuses."""

# `sending` is derived, and a time that has come makes a scheduled mail a queued one: as in the state of one mail. What
# travels is found out once per statement, however many mails it looks at.
STATUS: LiteralString = """
       CASE
           WHEN m.status IN ('queued', 'scheduled', 'retrying') AND m.id IN (
               SELECT unnest(b.mail_ids) FROM atum.batch b WHERE b.state <> 'unknown') THEN 'sending'
           WHEN m.status = 'scheduled' AND m.send_at <= now() THEN 'queued'
           ELSE m.status
       END"""
"""The status of the mail `m` as people see it."""

MATCHES: LiteralString = (
    """
      (%(statuses)s::text[] IS NULL OR """  # noqa: S608
    + STATUS
    + """ = ANY(%(statuses)s))
      AND (%(lane)s::text IS NULL OR m.lane = %(lane)s)
      AND (%(stream)s::text IS NULL OR m.stream = %(stream)s)
      AND (%(tag)s::text IS NULL OR m.tag = %(tag)s)
      AND (%(client)s::text IS NULL OR m.client = %(client)s)
      AND (%(reason)s::text IS NULL OR m.reason = %(reason)s)
      AND (%(recipient)s::text IS NULL
           OR lower(concat_ws(', ', m.to_line, m.cc_line, m.bcc_line)) ~ %(recipient)s)
      AND (%(search)s::text IS NULL
           OR lower(concat_ws(E'\\n', m.to_line, m.cc_line, m.bcc_line, m.subject)) ~ %(search)s)
      AND (%(http_low)s::int IS NULL OR EXISTS (
               SELECT FROM atum.attempt a
               WHERE a.mail_id = m.id AND a.http_status BETWEEN %(http_low)s AND %(http_high)s))
      AND (%(code_low)s::int IS NULL OR EXISTS (
               SELECT FROM atum.attempt a WHERE a.mail_id = m.id AND a.code BETWEEN %(code_low)s AND %(code_high)s))
"""
)
"""Condition on the mail `m` for the values of `Selection.values`; its time is the statement's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Filters, all of which a mail has to meet; None stands for any.

    Raises `AtumError` for a status that there is not, and for a code that cannot be read.
    """

    #: Statuses, or words of `GROUPS`.
    statuses: tuple[str, ...] | None = None
    lane: str | None = None
    stream: str | None = None
    tag: str | None = None
    client: str | None = None
    #: The stable word in the log.
    reason: str | None = None
    #: A bare address, in any case, among To, Cc and Bcc.
    recipient: str | None = None
    #: The part behind the @ of one of them.
    domain: str | None = None
    #: Part of a recipient or subject; or `http_422`, `http_4`, `pm_406`: what a POST of the mail was answered with.
    search: str | None = None
    #: Accepted from then on, and before. Aware.
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        for word in self.statuses or ():
            known = [*sorted(Status), *GROUPS]
            if word not in known:
                raise AtumError(f"status {word!r}: must be one of {', '.join(known)}")
        if self.recipient is not None and self.domain is not None:
            raise AtumError("recipient and domain: give one of them")
        self._codes()

    @property
    def is_empty(self) -> bool:
        """Whether it means every mail there is."""
        return self == type(self)()

    def values(self) -> dict[str, Any]:
        """Give the values of `MATCHES`, and `first` and `last`: the ids between which its times lie."""
        http, code = self._codes()
        is_code = http is not None or code is not None
        return {
            "statuses": None if self.statuses is None else sorted(self._stored()),
            "lane": self.lane,
            "stream": self.stream,
            "tag": self.tag,
            "client": self.client,
            "reason": self.reason,
            "recipient": self._pattern(),
            "search": None if self.search is None or is_code else _anywhere(self.search),
            "http_low": http and http[0],
            "http_high": http and http[1],
            "code_low": code and code[0],
            "code_high": code and code[1],
            "first": first_mail_id(self.since) if self.since else "00000000-0000-0000-0000-000000000000",
            "last": first_mail_id(self.until) if self.until else "ffffffff-ffff-ffff-ffff-ffffffffffff",
        }

    def document(self) -> dict[str, Any]:
        """Give the filters that are set, for JSON."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self).items()
            if value is not None
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read back what `document` gives; names that are no filters are left out."""
        read = {field.name: document[field.name] for field in fields(cls) if field.name in document}
        for name in read.keys() & {"since", "until"}:
            read[name] = datetime.fromisoformat(read[name])
        if "statuses" in read:
            read["statuses"] = tuple(read["statuses"])
        return cls(**read)

    def _stored(self) -> set[str]:
        return {status for word in self.statuses or () for status in GROUPS.get(word, (word,))}

    def _pattern(self) -> str | None:
        """Match a whole address, or what stands behind its @, in a line of mailboxes."""
        if self.recipient is not None:
            return rf"(^|, |<){re.escape(self.recipient.strip().lower())}(>|, |$)"
        if self.domain is not None:
            return rf"@{re.escape(self.domain.strip().lower().removeprefix('@'))}(>|, |$)"
        return None

    def _codes(self) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
        """Read `http_…` (digits are the beginning of a status) and `pm_…` (an ErrorCode); the bounds of either."""
        match = _CODE.fullmatch(self.search or "")
        if match is None:
            return None, None
        family, digits = match.groups()
        if family == "pm":
            number = int(digits or 0)
            if number > _MOST_CODE:
                raise AtumError(f"search {self.search!r}: an ErrorCode is at most {_MOST_CODE}")
            return None, (number, number) if digits else (1, _MOST_CODE)
        if len(digits) > _HTTP_DIGITS:
            raise AtumError(f"search {self.search!r}: an HTTP status has at most {_HTTP_DIGITS} digits")
        if not digits:
            return (400, 999), None
        width = 10 ** (_HTTP_DIGITS - len(digits))
        return (int(digits) * width, (int(digits) + 1) * width - 1), None


def _anywhere(words: str) -> str:
    """Match words in a text that the database has put in lower case, which it may do for ASCII only."""
    return "".join(
        re.escape(one.lower())
        if one.isascii()
        else "[" + "".join(sorted({each for each in (one, one.lower(), one.upper()) if len(each) == 1})) + "]"
        for one in words
    )
