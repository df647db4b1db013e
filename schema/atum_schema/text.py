"""A plain text body for a mail that has HTML alone, with every link target kept.

A password-reset mail is useless as text without its address, so links are written out: "Reset it <https://…>"
(RFC 3986 appendix C). Layout is done by inscriptis; HTML that is too large, too deep or broken is stripped by a
single pass instead. No input raises, and none takes more than linear time and memory.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from atum_schema.limits import BODY_BYTES, MESSAGE_BYTES
from atum_schema.mail_rules import message_size
from atum_schema.text_html import parse, prepare
from atum_schema.text_strip import strip_tags

if TYPE_CHECKING:
    from atum_schema.mail import Mail

#: HTML that is laid out: at most this many characters; larger is stripped.
LAYOUT_CHARACTERS: Final = 500_000
_LAYOUT_ATTRIBUTES: Final = 8_000
_HUGE_TAG: Final = re.compile(r"<[A-Za-z][^<>]{20000}")


def plain_text(html: str, *, limit: int = BODY_BYTES) -> str:
    """Turn HTML into plain text of at most `limit` bytes of UTF-8, links kept; "" if nothing is to be read.

    Never raises for any string without NUL and lone surrogates (RFC 3629 text).
    """
    text = _laid_out(html) if _is_parseable(html) else None
    return _within(_tidy(strip_tags(html) if text is None else text), limit)


def derived_text(mail: Mail) -> str:
    """Text for a mail from its HTML ("" if it has none), small enough that the mail keeps its size limit."""
    room = min(BODY_BYTES, MESSAGE_BYTES - message_size(mail))
    return plain_text(mail.html, limit=room) if mail.html and room > 0 else ""


def with_text(mail: Mail) -> Mail:
    """Give the mail back with a text body: its own, or one derived from its HTML."""
    if mail.text or not mail.html:
        return mail
    return replace(mail, text=derived_text(mail) or None)


def _is_parseable(html: str) -> bool:
    # The parser takes quadratic time in the number of one element's attributes.
    return (
        len(html) <= LAYOUT_CHARACTERS
        and html.count("=") <= _LAYOUT_ATTRIBUTES
        and _HUGE_TAG.search(html) is None
    )


def _laid_out(html: str) -> str | None:
    """Lay the HTML out, or give None if it has to be stripped."""
    from inscriptis import Inscriptis
    from inscriptis.css_profiles import CSS_PROFILES
    from inscriptis.model.config import ParserConfig

    try:
        tree = parse(html)
        if not prepare(tree):
            return None
        return str(Inscriptis(tree, ParserConfig(css=CSS_PROFILES["strict"])).get_text())
    except Exception:  # noqa: BLE001 (a fault of the layout library or of its parser must not cost a mail; stripping is total)
        return None


def _tidy(text: str) -> str:
    """Drop characters no body may hold and trailing blanks; at most one empty line in a row."""
    lines: list[str] = []
    for line in text.replace("\0", "").replace("\xa0", " ").splitlines():
        bare = line.rstrip()
        if bare or (lines and lines[-1]):
            lines.append(bare)
    return "\n".join(lines).strip("\n")


def _within(text: str, limit: int) -> str:
    data = text.encode(errors="replace")
    return text if len(data) <= limit else data[:limit].decode(errors="ignore").rstrip()
