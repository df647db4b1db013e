"""Which dead letters an operator means, and looking through them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import UUID

from atum_ops import dead_store as store
from atum_ops.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from atum_ops.dead_store import Letter
    from atum_schema.database import Connection

SCAN: Final = 2000
"""Letters that one statement looks at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letters:
    """Dead letters: those that meet all filters, or those of some mails. The times of `selection` are those of dying."""

    selection: Selection = field(default_factory=Selection)
    #: ErrorCode of the provider.
    code: int | None = None
    #: Mails, each with the cycle it was in when that was looked up; None: there was no such mail.
    mails: tuple[tuple[UUID, int | None], ...] = ()
    #: So many are replayed or discarded, at most; what cannot be does not use it up.
    limit: int | None = None

    @property
    def is_every(self) -> bool:
        """Whether it means every dead letter there is."""
        return self.selection.is_empty and self.code is None and not self.mails

    def values(self, before: datetime) -> dict[str, Any]:
        """Give the values of the statements of `dead_store`, for letters that died before a moment at the latest."""
        until = self.selection.until
        return self.selection.values() | {
            "every": self._has_no_filter,
            "error_code": self.code,
            "since": self.selection.since or store.BEGINNING.dead_at,
            "until": before if until is None else min(before, until),
        }

    def document(self) -> dict[str, Any]:
        """Give what is set, for JSON."""
        document = self.selection.document()
        if self.code is not None:
            document["code"] = self.code
        if self.mails:
            document["mails"] = [[str(mail_id), cycle] for mail_id, cycle in self.mails]
        if self.limit is not None:
            document["limit"] = self.limit
        return document

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Read back what `document` gives."""
        return cls(
            selection=Selection.of(document),
            code=document.get("code"),
            mails=tuple((UUID(mail_id), cycle) for mail_id, cycle in document.get("mails", ())),
            limit=document.get("limit"),
        )

    @property
    def _has_no_filter(self) -> bool:
        times = Selection(since=self.selection.since, until=self.selection.until)
        return self.selection == times and self.code is None


def newest(connection: Connection, letters: Letters) -> Iterator[Letter]:
    """Walk the letters that are meant, newest first, so many at a time."""
    values = letters.values(store.END.dead_at)
    before, left = store.END, letters.limit
    while left is None or left > 0:
        page = store.newest(connection, values, before=before, scan=SCAN)
        for letter in page:
            if letter.matches and (left is None or left > 0):
                yield letter
                left = None if left is None else left - 1
        if len(page) < SCAN:
            return
        before = store.Place(page[-1].dead_at, page[-1].mail_id)
