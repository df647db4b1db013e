"""Strip tags in one pass over the text: the way out for HTML that cannot be laid out. Linear in every input."""

from __future__ import annotations

import re
from html import unescape
from typing import Final

from atum_schema.text_html import link_target, shown_target

# No alternative can match across another "<", so a failed match costs no more than the text up to that one.
_TAG = re.compile(r"<!--|<(?P<close>/?)(?P<name>[A-Za-z][A-Za-z0-9]*)(?P<rest>[^<>]*)>|<[!?/][^<>]*>")
_HREF = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_BLANKS = re.compile(r"[ \t\r\n\f\xa0]+")
# Elements whose content is not for readers, and what ends each of them.
_SILENT: Final = {
    name: re.compile(rf"</{name}[^<>]*>", re.IGNORECASE) for name in ("script", "style", "title", "template")
}
_COMMENT_END = re.compile("-->")
_BREAKS: Final = frozenset(
    (  # noqa: SIM905 (one word a line reads worse)
        "address article blockquote br div dl dd dt footer h1 h2 h3 h4 h5 h6 header hr li ol p pre section table "
        "tr ul"
    ).split()
)


def strip_tags(html: str) -> str:
    """Give the text of any HTML, links written out, a line per block."""
    reader = _Reader()
    missing: set[str] = set()
    place = 0
    while (tag := _TAG.search(html, place)) is not None:
        reader.text(html[place : tag.start()])
        place = tag.end()
        name = "" if tag["name"] is None else tag["name"].lower()
        ending = _COMMENT_END if tag[0] == "<!--" else None if tag["close"] else _SILENT.get(name)
        if ending is not None:
            # What is never closed hides nothing, and is looked for once: better a stray word than a lost mail.
            end = None if ending.pattern in missing else ending.search(html, place)
            if end is None:
                missing.add(ending.pattern)
            place = place if end is None else end.end()
        elif name:
            reader.tag(name, tag["rest"], closing=bool(tag["close"]))
    reader.text(html[place:])
    return reader.result()


def _unescaped(raw: str) -> str:
    try:
        return unescape(raw)
    except ValueError:
        # A character reference of thousands of digits: Python refuses to read the number.
        return raw


class _Reader:
    """Gathers text, and writes the target of each link after its label."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._target = ""
        self._label_start = 0

    def text(self, raw: str) -> None:
        if raw:
            self._pieces.append(_BLANKS.sub(" ", _unescaped(raw)))

    def tag(self, name: str, rest: str, *, closing: bool) -> None:
        if name == "a":
            self._end_link()
            if not closing:
                self._start_link(rest)
        elif name in _BREAKS:
            self._pieces.append("\n")
        elif name in ("td", "th") and closing:
            self._pieces.append("  ")

    def result(self) -> str:
        self._end_link()
        lines = "".join(self._pieces).split("\n")
        return "\n".join(line.strip() for line in lines)

    def _start_link(self, rest: str) -> None:
        href = _HREF.search(rest)
        self._target = "" if href is None else link_target(_unescaped(href[1] or href[2] or href[3] or ""))
        self._label_start = len(self._pieces)

    def _end_link(self) -> None:
        if not self._target:
            return
        shown = shown_target("".join(self._pieces[self._label_start :]), self._target)
        self._target = ""
        if shown:
            self._pieces.append(f" {shown}")
