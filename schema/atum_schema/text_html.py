"""Read HTML into a tree and make it fit for layout: links and alternative texts written out, bombs defused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from lxml import etree  # type: ignore[import-untyped]
from lxml.html import HTMLParser, document_fromstring  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from lxml.html import HtmlElement

#: Trees that are laid out: at most this many elements, nested at most this deep.
LAYOUT_ELEMENTS: Final = 5_000
LAYOUT_DEPTH: Final = 100
#: A table with a longer cell is page layout, not data; columns are not aligned then, which would pad every row.
_CELL_CHARACTERS: Final = 60

_HIDDEN = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all)", re.IGNORECASE)
_USELESS_TARGET = re.compile(r"(?:#|javascript:|vbscript:|data:|cid:|about:)", re.IGNORECASE)
_TABLE_PARTS: Final = ("thead", "tbody", "tfoot", "tr", "td", "th")


def parse(html: str) -> HtmlElement:
    """Parse any HTML. Raises `lxml.etree.LxmlError` if there is nothing in it."""
    # A fixed encoding overrides what the document says of itself; huge_tree lifts the depth at which text is cut off.
    parser = HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    return document_fromstring(html.encode(errors="replace"), parser=parser)


def prepare(tree: HtmlElement) -> bool:
    """Rewrite the tree for layout, in place. False if it is too large or too deep to lay out."""
    if not _is_small(tree):
        return False
    for element in list(tree.iter(etree.Element)):
        _prepare_element(element)
    for table in list(tree.iter("table")):
        if not _is_data(table):
            _flatten(table)
    return True


def link_target(href: str | None) -> str:
    """Give the address worth showing of a link, "" if there is none (page anchors, scripts)."""
    words = (href or "").split()
    # A placeholder that the provider fills in must stay letter by letter.
    target = (" " if words and words[0].startswith("{{") else "%20").join(words)
    return "" if _USELESS_TARGET.match(target) else target


def shown_target(label: str, target: str) -> str:
    """Say what to write after a link's label: its target, unless the label says it already."""
    bare = " ".join(label.split())
    plain = target.removeprefix("mailto:").removeprefix("tel:")
    return "" if not target or bare in (target, plain) else plain if not bare else f"<{plain}>"


def _is_small(tree: HtmlElement) -> bool:
    depth = count = 0
    for event, _ in etree.iterwalk(tree, events=("start", "end")):
        depth += 1 if event == "start" else -1
        count += event == "start"
        if depth > LAYOUT_DEPTH or count > LAYOUT_ELEMENTS:
            return False
    return True


def _prepare_element(element: HtmlElement) -> None:
    style = element.attrib.pop("style", None)
    # Widths and margins in styles would be turned into as many blanks as they ask for.
    if style is not None and _HIDDEN.search(style):
        element.attrib["style"] = "display:none"
    if element.tag == "img":
        element.tag = "span"
        element.text = element.get("alt", "")
    elif element.tag == "a":
        _write_target(element)


def _write_target(link: HtmlElement) -> None:
    label = "".join(link.itertext()) + "".join(image.get("alt", "") for image in link.iter("img"))
    shown = shown_target(label, link_target(link.get("href")))
    if shown:
        note = link.makeelement("span")
        note.text = f" {shown}"
        link.append(note)


def _is_data(table: HtmlElement) -> bool:
    if next(table.iterdescendants("table"), None) is not None:
        return False
    return all(len("".join(cell.itertext()).strip()) <= _CELL_CHARACTERS for cell in table.iter("td", "th"))


def _flatten(table: HtmlElement) -> None:
    own = [
        part for part in table.iterdescendants(*_TABLE_PARTS) if next(part.iterancestors("table")) is table
    ]
    for part in [table, *own]:
        part.tag = "div"
