"""The inbox's pages: whatever a mail contains stays text, and every page forbids what it does not need."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_ops.simulator import inbox
from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.exchange import Answer, Request
from atum_ops.simulator.inbox import Inbox, is_inbox
from atum_ops.simulator.ledger import Entry, Envelope
from atum_ops.simulator.state import State

HOSTILE = "</pre></iframe></textarea><script>alert(1)</script>\"'><img src=x onerror=alert(1)>{title}%s&lt;"
#: Everything that our own pages are made of.
TAGS = {
    "html", "head", "meta", "title", "link", "body", "header", "h1", "a", "span", "form", "input", "button", "main",
    "nav", "h2", "h3", "section", "dl", "dt", "dd", "time", "iframe", "pre", "ul", "li", "p", "div",
}  # fmt: skip


class Reader(HTMLParser):
    """Collects the tags, the attributes and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.links += [value or "" for name, value in attrs if name in {"href", "src", "action"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def state(**settings: Any) -> State:
    return State(SimulatorConfig(**settings))


def accept(state: State, **item: Any) -> None:
    """Put a message into the ledger and keep its content, whatever it is."""
    envelope = Envelope(
        item.get("MessageStream", "outbound"),
        item.get("From", "shop@example.com"),
        [item.get("To", "jane@example.org")],
        [],
        [],
        item.get("Subject", ""),
        item.get("Tag", ""),
        item.get("Metadata", {}),
        {},
    )
    message_id = f"id-{state.ledger.accepted}"
    state.ledger.append([Entry(message_id, envelope)], request=1)
    state.contents.keep(orjson.dumps(item), [message_id])


def ask(state: State, path: str, query: str = "") -> Answer:
    assert is_inbox("GET", path.rstrip("/"))
    return Inbox(state).answer(Request(method="GET", path=path, query=query))


def page(state: State, path: str, query: str = "") -> Reader:
    return Reader(ask(state, path, query).body.decode())


def policy(answer: Answer) -> dict[str, str]:
    (line,) = re.findall(r"^Content-Security-Policy: (.*)\r$", answer.extra, re.MULTILINE)
    return dict((*one.strip().partition(" ")[::2],) for one in line.split(";"))


def hostile() -> State:
    made = state()
    accept(
        made,
        From=f"{HOSTILE} <shop@example.com>",
        To=HOSTILE,
        Subject=HOSTILE,
        Tag=HOSTILE,
        MessageStream=HOSTILE,
        Metadata={HOSTILE: HOSTILE},
        ReplyTo=HOSTILE,
        TextBody=HOSTILE,
        HtmlBody=HOSTILE,
        Headers=[{"Name": HOSTILE, "Value": HOSTILE}],
        Attachments=[{"Name": HOSTILE, "Content": "QUJD", "ContentType": HOSTILE, "ContentID": HOSTILE}],
    )
    return made


@pytest.mark.parametrize(
    ("path", "query"), [("/", ""), ("/", "q=script"), ("/inbox/1", ""), ("/inbox/9", "")]
)
def test_a_mail_full_of_markup_is_shown_as_text(path: str, query: str) -> None:
    shown = page(hostile(), path, query)
    assert shown.tags <= TAGS
    assert not [name for name in shown.attributes if name.startswith("on")]
    assert all(re.match(r"/(?!/)|data:image/svg", link) for link in shown.links)
    if path != "/inbox/9":
        assert "<script>alert(1)</script>" in shown.text


def test_what_is_searched_for_is_shown_as_text() -> None:
    shown = page(hostile(), "/", "q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert shown.tags <= TAGS


@pytest.mark.parametrize("path", ["/", "/inbox/1", "/inbox/2"])
def test_our_pages_allow_no_script_and_nothing_from_elsewhere(path: str) -> None:
    allowed = policy(ask(hostile(), path))
    assert allowed == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "data:",
        "frame-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }


def test_the_html_of_a_mail_is_a_sandboxed_page_of_its_own() -> None:
    made = hostile()
    assert b'<iframe sandbox src="/inbox/1/html"' in ask(made, "/inbox/1").body
    answer = ask(made, "/inbox/1/html")
    assert answer.body.decode() == HOSTILE
    allowed = policy(answer)
    assert allowed["default-src"] == "'none'"
    assert allowed["img-src"] == "data:"
    assert allowed["frame-ancestors"] == "'self'"
    assert allowed["sandbox"] == ""
    assert not any(name.startswith(("script", "connect", "frame-src", "child")) for name in allowed)


@pytest.mark.parametrize(
    "path", ["/", "/inbox/1", "/inbox/1/html", "/inbox/1/json", "/inbox/1/attachments/1"]
)
def test_every_answer_keeps_browsers_from_guessing_and_telling(path: str) -> None:
    extra = ask(hostile(), path).extra
    assert "X-Content-Type-Options: nosniff\r\n" in extra
    assert "Referrer-Policy: no-referrer\r\n" in extra
    assert "Cache-Control: no-store\r\n" in extra
    assert extra.count("\r\n") == len(extra.splitlines())


def test_an_attachment_is_a_download_whatever_it_says_it_is() -> None:
    made = state()
    name = 'bill"\r\nSet-Cookie: a=b; é.html'
    accept(made, Attachments=[{"Name": name, "Content": "PHNjcmlwdD4=\n", "ContentType": "text/html"}])
    answer = ask(made, "/inbox/1/attachments/1")
    assert (answer.body, answer.content_type) == (b"<script>", "application/octet-stream")
    assert "Set-Cookie: " not in answer.head().decode("latin-1")
    assert (
        "Content-Disposition: attachment; filename=\"attachment\"; filename*=UTF-8''"
        "bill%22%0D%0ASet-Cookie%3A%20a%3Db%3B%20%C3%A9.html\r\n"
    ) in answer.extra
    assert policy(answer)["sandbox"] == ""
    for missing in ("/inbox/1/attachments/0", "/inbox/1/attachments/2"):
        assert ask(made, missing).status == 404


def test_images_that_a_mail_brings_are_shown_and_others_are_not() -> None:
    made = state()
    accept(
        made,
        HtmlBody='<img src="cid:logo"><img src=\'cid:logo2\'><img src="cid:page"><img src="cid:nobody">',
        Attachments=[
            {"Name": "a.png", "Content": "QQ==", "ContentType": "image/png", "ContentID": "cid:logo"},
            {"Name": "b.gif", "Content": "Qg==", "ContentType": "IMAGE/GIF", "ContentID": "logo2"},
            {"Name": "c", "Content": "Qw==", "ContentType": "text/html", "ContentID": "cid:page"},
        ],
    )
    assert ask(made, "/inbox/1/html").body.decode() == (
        "<img src=\"data:image/png;base64,QQ==\"><img src='data:image/gif;base64,Qg=='>"
        '<img src="cid:page"><img src="cid:nobody">'
    )


def test_an_image_named_very_often_does_not_make_a_page_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "_MOST_INLINED", 1000)
    made = state()
    image = {"Name": "a.png", "Content": "QUJD" * 50, "ContentType": "image/png", "ContentID": "cid:a"}
    accept(made, HtmlBody='<img src="cid:a">' * 100, Attachments=[image])
    body = ask(made, "/inbox/1/html").body
    assert body.count(b"data:") == 4
    assert body.count(b"cid:a") == 96


def test_the_list_is_paged_newest_first() -> None:
    made = state()
    for number in range(1, 121):
        accept(made, Subject=f"Mail {number}.")
    assert re.findall(r"Mail (\d+)\.", page(made, "/").text) == [str(n) for n in range(120, 70, -1)]
    last = page(made, "/inbox/", "page=3")
    assert re.findall(r"Mail (\d+)\.", last.text) == [str(n) for n in range(20, 0, -1)]
    assert ("/?page=2" in last.links, "/?page=4" in last.links) == (True, False)
    assert "There is nothing on this page." in page(made, "/", "page=4").text
    assert "No mail has been accepted yet." in page(state(), "/").text
    assert ask(made, "/", "page=x&q=").body == ask(made, "/").body


def test_the_search_looks_at_addresses_subject_tag_stream_values_of_metadata_and_id() -> None:
    made = state()
    accept(made, Subject="Straße 17", Tag="order", Metadata={"customer": "C-9"})
    accept(made, Subject="Other", To="bob@example.net", MessageStream="broadcast")

    def found(query: str) -> list[str]:
        return re.findall(r"(Straße 17|Other)", page(made, "/", f"q={query}").text)

    assert found("STRASSE") == ["Straße 17"]
    assert found("jane+order") == ["Straße 17"]
    assert found("order+c-9") == ["Straße 17"]
    assert found("broadcast") == ["Other"]
    assert found("id-1") == ["Other"]
    assert found("jane+broadcast") == []
    assert found("customer") == []
    assert found("example") == ["Other", "Straße 17"]
    assert "No mail matches." in page(made, "/", "q=nothing").text


def test_the_search_looks_at_the_newest_mails_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox, "SEARCHED", 10)
    made = state()
    for number in range(30):
        accept(made, Subject=f"Mail {number}.")
    shown = page(made, "/", "q=mail").text
    assert re.findall(r"Mail (\d+)\.", shown) == [str(n) for n in range(29, 19, -1)]
    assert "10 of the newest 10 match" in shown


def test_a_mail_whose_content_is_gone_is_still_shown() -> None:
    made = state(keep_content=1)
    accept(made, Subject="First", HtmlBody="<p>1</p>")
    accept(made, Subject="Second", HtmlBody="<p>2</p>")
    shown = page(made, "/inbox/1")
    assert "First" in shown.text
    assert "no longer kept" in shown.text
    assert ask(made, "/inbox/1/html").status == 404
    assert orjson.loads(ask(made, "/inbox/1/json").body)["message"] is None
    assert orjson.loads(ask(made, "/inbox/2/json").body)["message"]["HtmlBody"] == "<p>2</p>"


@pytest.mark.parametrize(
    "path", ["/inbox/0", "/inbox/2", "/inbox/x", "/inbox/1/else", "/inbox/-1", "/inbox/1/html/x"]
)
def test_what_is_not_there_is_404(path: str) -> None:
    made = state()
    accept(made)
    assert ask(made, path).status == 404


@given(st.integers(0, 60), st.integers(0, 70), st.integers(0, 70))
def test_the_newest_are_a_slice_of_all(size: int, skip: int, count: int) -> None:
    made = state()
    for number in range(size):
        accept(made, Subject=str(number))
    seqs = [record["seq"] for record in inbox.newest(made.ledger, skip=skip, count=count)]
    assert seqs == list(range(size, 0, -1))[skip : skip + count]
