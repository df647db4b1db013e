"""Both bodies of a mail from one text, as template tools make them."""

from __future__ import annotations

import re
from html import escape

from tests.samples.sources import pages
from tests.samples.sources.mime import Part, html, multipart, plain

_LINK = re.compile(r"https://\S+")


def both(
    text: str,
    brand: str,
    *,
    lang: str,
    charset: str = "utf-8",
    encoding: str = "quoted-printable",
    rtl: bool = False,
) -> Part:
    """Make multipart/alternative of the text and of a page that says the same."""
    return multipart(
        "alternative",
        plain(text, charset, encoding),
        html(page(text, brand, lang=lang, rtl=rtl), charset, encoding),
    )


def page(text: str, brand: str, *, lang: str, rtl: bool = False, colour: str = "#1f4e79") -> str:
    """Turn a text into a page: blank lines part paragraphs, indented blocks stay as they are, links can be clicked."""
    blocks = [_block(block) for block in text.strip("\n").split("\n\n")]
    return pages.tables(escape(brand), "\n".join(blocks), escape(brand), colour=colour, lang=lang, rtl=rtl)


def _block(block: str) -> str:
    linked = _LINK.sub(
        lambda link: f'<a href="{link[0]}" style="color:#1f4e79;">{link[0]}</a>', escape(block)
    )
    if any(line.startswith("  ") for line in block.split("\n")):
        return f'<pre style="font:13px/1.4 Consolas,monospace;background-color:#f7f8fa;padding:12px;">{linked}</pre>'
    return f'<p style="margin:0 0 16px 0;">{linked.replace(chr(10), "<br />" + chr(10))}</p>'
