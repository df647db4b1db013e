"""Plain text from HTML: links stay usable, and no input is too broken."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atum_schema import text_html
from atum_schema.limits import BODY_BYTES, MESSAGE_BYTES
from atum_schema.mail import Attachment, Mail
from atum_schema.mail_rules import message_size
from atum_schema.text import LAYOUT_CHARACTERS, plain_text, with_text
from atum_schema.text_strip import strip_tags

_RESET = "https://example.com/reset?token=a1&user=7"
_RESET_HTML = f"<p>Hello Jane,</p><p><a href='{_RESET.replace('&', '&amp;')}'>Choose a new password</a></p>"


def test_a_password_reset_is_usable_as_text() -> None:
    """Predecessor H5: the text part lost its link targets."""
    assert plain_text(_RESET_HTML) == f"Hello Jane,\n\nChoose a new password <{_RESET}>"


def test_a_password_reset_is_usable_even_when_it_has_to_be_stripped() -> None:
    assert f"Choose a new password <{_RESET}>" in strip_tags(_RESET_HTML)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ('<a href="https://example.com">https://example.com</a>', "https://example.com"),
        ('<a href="mailto:help@example.com">help@example.com</a>', "help@example.com"),
        ('<a href="mailto:help@example.com">Write us</a>', "Write us <help@example.com>"),
        ('<a href="tel:+4930123">call</a>', "call <+4930123>"),
        ('<a href="#top">up</a>', "up"),
        ('<a href="javascript:x()">no</a>', "no"),
        ('<a href="https://example.com/a b">x</a>', "x <https://example.com/a%20b>"),
        ('<a href="{{{ pm:unsubscribe }}}">Leave</a>', "Leave <{{{ pm:unsubscribe }}}>"),
        ('<a href="myapp://reset/7">Open</a>', "Open <myapp://reset/7>"),
        ('<a href="https://example.com/b"></a>', "https://example.com/b"),
        ("<p>a&nbsp;b &amp; c &lt;d&gt; &euro;5</p>", "a b & c <d> €5"),
        ("<title>t</title><style>p{}</style><script>if(a<b){}</script><p>seen</p>", "seen"),
        ("<!-- [if mso]><p>no</p><![endif] --><p>seen</p>", "seen"),
    ],
)
def test_layout_and_stripping_show_the_same(html: str, text: str) -> None:
    assert plain_text(html) == text
    assert strip_tags(html).strip() == text


def test_an_image_in_a_link_gives_its_alternative_text() -> None:
    html = '<a href="https://example.com/shop"><img src="cid:b" alt="To the shop"></a>'
    assert plain_text(html) == "To the shop <https://example.com/shop>"


def test_a_hidden_part_is_not_shown() -> None:
    assert plain_text('<div style="color:#fff; display: none">preheader</div><p>Body</p>') == "Body"


def test_a_table_of_data_keeps_its_columns() -> None:
    rows = "<tr><td>Tea</td><td>2</td></tr><tr><td>Biscuits</td><td>11</td></tr>"
    assert plain_text(f"<table>{rows}</table>") == "Tea       2\nBiscuits  11"


def test_a_table_for_layout_becomes_paragraphs() -> None:
    html = "<table><tr><td><table><tr><td>Logo</td></tr></table></td></tr><tr><td><p>Hi</p><p>There</p></td></tr></table>"
    assert plain_text(html).split() == ["Logo", "Hi", "There"]
    assert "  " not in plain_text(html)


def test_a_document_that_declares_another_encoding_is_read_as_the_text_it_is() -> None:
    html = '<?xml version="1.0" encoding="latin1"?><html><head><meta charset="koi8-r"></head><body>Grüße</body></html>'
    assert plain_text(html) == "Grüße"


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 20_000 + "kept",
        "<table><tr><td>" * 500 + "kept",
        "<ul><li>" * 500 + "kept",
        "<b><i>" * 3000 + "kept",
        "<p>kept" + "</div>" * 5000,
        "<a href='https://example.com/'>" * 3000 + "kept",
        "<table>" + "<tr><td colspan=999999999 rowspan=999999999>kept" * 50,
        "<p style='margin:999999999em;padding-left:999999999em'>kept",
        "<!-- -->" * 1000 + "kept",
        "kept <",
        "kept <a href='x",
        "<![CDATA[x]]>kept",
        "</p></p>kept",
        "<!-- never closed kept",
        "<style>never closed <p>kept",
    ],
)
def test_deep_or_broken_html_keeps_its_text(html: str) -> None:
    mail = with_text(Mail(sender="a@example.com", to="b@example.com", subject="s", html=html))
    assert mail.html == html
    assert "kept" in strip_tags(html)
    if "never closed" not in html and "href='x" not in html:
        assert "kept" in (mail.text or "")


_BOMBS = {
    "less than": "<" * BODY_BYTES,
    "open comments": "<!--" * (BODY_BYTES // 4),
    "open scripts": "<script>" * (BODY_BYTES // 8),
    "open links": "<a href=" * (BODY_BYTES // 8),
    "ampersands": "&" * BODY_BYTES,
    "deep": "<div>" * (BODY_BYTES // 5),
    "paragraphs": "<p>x" * (BODY_BYTES // 4),
    "wide table": "<table><tr><td>" + "w" * 400_000 + "<tr><td>x" * 4_000,
    "cells": "<table><tr>" + "<td>x" * 90_000,
}


@pytest.mark.parametrize("html", _BOMBS.values(), ids=_BOMBS.keys())
def test_no_html_takes_long_or_grows(html: str) -> None:
    started = time.process_time()
    text = plain_text(html)
    # CPU time of this process, with room for a slow machine; quadratic work takes minutes.
    assert time.process_time() - started < 20
    assert len(text.encode()) <= BODY_BYTES


def test_a_wide_table_does_not_fill_the_memory() -> None:
    html = "<table><tr><td>" + "w" * 200_000 + "<tr><td>x" * 4_000
    tracemalloc.start()
    try:
        plain_text(html)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200))
def test_any_text_can_be_read_as_html(html: str) -> None:
    assert isinstance(plain_text(html), str)
    assert isinstance(strip_tags(html), str)


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["<p>", "</p>", "<a href='u'>", "</a>", "<td>", "<table>", "<", ">", "x ", "&#0;", "&"]
        )
    )
)
def test_any_tag_soup_can_be_read(pieces: list[str]) -> None:
    text = plain_text("".join(pieces))
    assert "\0" not in text


def test_what_cannot_be_laid_out_is_stripped_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_html: str) -> object:
        raise KeyError("a fault of a library")

    monkeypatch.setattr("atum_schema.text.parse", broken)
    assert plain_text("<p>kept</p>") == "kept"


def test_large_html_is_stripped_and_still_has_its_links() -> None:
    html = "<p>pad</p>" * (LAYOUT_CHARACTERS // 8) + _RESET_HTML
    assert plain_text(html).endswith(f"Choose a new password <{_RESET}>")


def test_a_tree_with_too_many_elements_is_not_laid_out() -> None:
    assert not text_html.prepare(text_html.parse("<br>" * (text_html.LAYOUT_ELEMENTS + 1)))
    assert text_html.prepare(text_html.parse("<br>" * 100))


def test_a_mail_with_its_own_text_keeps_it() -> None:
    mail = Mail(sender="a@example.com", to="b@example.com", subject="s", text="own", html="<p>other</p>")
    assert with_text(mail) is mail


def test_a_mail_of_images_alone_gets_no_text() -> None:
    mail = Mail(sender="a@example.com", to="b@example.com", subject="s", html="<img src='cid:x'>")
    assert with_text(mail).text is None


def test_the_derived_text_never_makes_the_mail_too_large() -> None:
    html = "<p>" + "ä" * 2_400_000 + "</p>"
    files = [Attachment(name="a.pdf", content=bytes(3_800_000))]
    mail = Mail(sender="a@example.com", to="b@example.com", subject="s", html=html, attachments=files)
    assert MESSAGE_BYTES - message_size(mail) < len(html.encode())
    grown = with_text(mail)
    assert grown.text
    assert message_size(grown) <= MESSAGE_BYTES


def test_a_character_reference_of_thousands_of_digits_is_kept_as_it_is() -> None:
    html = "<p>" + "x" * LAYOUT_CHARACTERS + "&#" + "9" * 5_000 + ";</p>"
    assert plain_text(html).endswith("9;")


@pytest.mark.parametrize("attribute", [" a{}=1", " a{}", ' a{}="<>"'])
def test_a_tag_with_thousands_of_attributes_does_not_hang(attribute: str) -> None:
    html = "<p" + "".join(attribute.format(number) for number in range(40_000)) + ">seen</p>"
    began = time.process_time()
    assert "seen" in plain_text(html)
    assert time.process_time() - began < 5
