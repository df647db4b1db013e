"""Taking out of a provider's words what it quotes of the mail: names and subjects do not look like anything. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from atum_workers.outcome import Accepted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from atum_schema.document_content import Content
    from atum_workers.outcome import Outcome

QUOTED: Final = "<quoted>"
_LEAST: Final = 3
_LEAST_CUT: Final = 4
_NAME: Final = re.compile(r'^\s*"?(.*?)"?\s*<[^<>]*>\s*$')


def unquoted(outcomes: Sequence[Outcome], contents: Iterable[Content]) -> list[Outcome]:
    """Give the outcomes with nothing in their words that one of the mails has in its names or as its subject."""
    said = {words for one in outcomes if (words := _words(one)) is not None}
    if not said:
        return list(outcomes)
    # The longest first: one name may be a part of another.
    values = sorted({value for content in contents for value in _values(content)}, key=len, reverse=True)
    # An outage says the same of all mails.
    clean = {words: _blank(words, values) for words in said}
    return [_saying(one, clean) for one in outcomes]


def _words(outcome: Outcome) -> str | None:
    return outcome.remark if isinstance(outcome, Accepted) else outcome.detail


def _saying(outcome: Outcome, clean: Mapping[str, str]) -> Outcome:
    if isinstance(outcome, Accepted):
        return outcome if outcome.remark is None else outcome._replace(remark=clean[outcome.remark])
    return replace(outcome, detail=clean[outcome.detail])


def _blank(text: str, values: Sequence[str]) -> str:
    for value in values:
        text = text.replace(value, QUOTED)
        # Words are cut to a length, and a value at their end with them.
        if text[-_LEAST_CUT:] in value:
            cut = next((n for n in range(len(value) - 1, _LEAST_CUT - 1, -1) if text.endswith(value[:n])), 0)
            text = text[: len(text) - cut]
    return text


def _values(content: Content) -> Iterator[str]:
    """Give the display names and the subject of a mail, but for what is too short to tell it from other words."""
    parts: dict[str, Any] = dict(content)
    addresses = [
        parts["from"],
        *(one for field in ("to", "cc", "bcc", "reply_to") for one in parts.get(field, ())),
    ]
    names = [found[1].replace('\\"', '"') for one in addresses if (found := _NAME.match(one)) is not None]
    yield from (value for value in (*names, parts["subject"]) if len(value) >= _LEAST)
