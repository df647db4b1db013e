"""How a message in Postmark's words becomes a mail, or is refused in Postmark's words."""

from __future__ import annotations

import base64
import re
from dataclasses import fields as fields_of
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_producers.api.clients_store import LiveKey
from atum_producers.api.postmark.fields import PLACES, TYPES, item_of, mail_of, mistyped
from atum_producers.api.postmark.requests import items_of, mails_of
from atum_producers.api.postmark.texts import Refusal, Refused
from atum_schema.mail import Address, Attachment, Header, Mail, TrackLinks

MESSAGE = {
    "From": "Shop <shop@example.com>",
    "To": "jane@example.org",
    "Subject": "Hello",
    "TextBody": "Hi",
}
ANYBODY = LiveKey("0123456789abcdef", b"", "shop", ["send"], [], None)


def read(**fields: Any) -> Mail | Refusal:
    item = item_of(MESSAGE | fields)
    assert mistyped(item) == []
    return mail_of(item)


def taken(**fields: Any) -> Mail:
    mail = read(**fields)
    assert isinstance(mail, Mail), mail
    return mail


def refused(**fields: Any) -> tuple[int, str]:
    refusal = read(**fields)
    assert isinstance(refusal, Refusal), refusal
    return refusal.code, refusal.message


def test_every_field_of_a_message_finds_its_place_in_the_mail() -> None:
    mail = taken(
        To='Jane <jane@example.org>, "Doe, Bob" <bob@example.org>',
        Cc="carl@example.net",
        Bcc="eve@example.net",
        ReplyTo="Help <help@example.com>",
        Subject="Grüße 😀",
        HtmlBody="<p>Hi</p>",
        Tag="order",
        Metadata={"order": "17"},
        Headers=[{"Name": "X-Shop", "Value": "yes"}, {"Name": "X-Shop", "Value": "again"}],
        TrackOpens=True,
        TrackLinks="HtmlOnly",
        MessageStream="broadcast",
        Attachments=[
            {"Name": "a.pdf", "Content": "AAEC", "ContentType": "application/pdf"},
            {"Name": "l.png", "Content": "AAEC", "ContentType": "image/png", "ContentID": "cid:logo"},
        ],
    )
    assert mail == Mail(
        sender="Shop <shop@example.com>",
        to=[Address("Jane", "jane@example.org"), Address("Doe, Bob", "bob@example.org")],
        cc="carl@example.net",
        bcc="eve@example.net",
        reply_to="Help <help@example.com>",
        subject="Grüße 😀",
        text="Hi",
        html="<p>Hi</p>",
        tag="order",
        metadata={"order": "17"},
        headers=[Header("X-Shop", "yes"), Header("X-Shop", "again")],
        track_opens=True,
        track_links=TrackLinks.HTML_ONLY,
        stream="broadcast",
        attachments=[
            Attachment(name="a.pdf", content=b"\0\1\2", content_type="application/pdf"),
            Attachment(name="l.png", content=b"\0\1\2", content_type="image/png", content_id="logo"),
        ],
    )


def test_every_field_that_can_be_refused_has_a_name_in_postmarks_words() -> None:
    # Lane and times have no field there, so they are never set.
    elsewhere = {"lane", "send_at", "expires_at", "on_unknown"}
    assert set(PLACES) == {field.name for field in fields_of(Mail)} - elsewhere
    assert set(PLACES.values()) == set(TYPES) | {"Idempotency-Key"}


@pytest.mark.parametrize("nothing", [None, ""])
def test_null_and_empty_are_the_same_as_leaving_a_field_out(nothing: str | None) -> None:
    optional = ("Cc", "Bcc", "ReplyTo", "Tag", "HtmlBody", "MessageStream", "TrackLinks", "Subject")
    mail = taken(**dict.fromkeys(optional, nothing), Metadata=None, Headers=None, Attachments=None)
    assert mail == taken(Subject="")
    assert (mail.stream, mail.subject, mail.tag) == ("outbound", "", None)


def test_fields_that_nobody_knows_are_ignored() -> None:
    assert taken(InlineCss=True, TemplateModel={"a": 1}, Colour=["red"]) == taken()


@given(
    st.dictionaries(
        st.sampled_from(sorted(MESSAGE)), st.sampled_from([str.upper, str.lower, str.swapcase, str])
    )
)
def test_the_case_of_names_does_not_matter(writing: dict[str, Any]) -> None:
    message = {writing.get(name, str)(name): value for name, value in MESSAGE.items()}
    assert mail_of(item_of(message)) == taken()


def test_the_first_of_several_senders_counts() -> None:
    assert taken(From="a@example.com, b@example.com").sender.email == "a@example.com"


@pytest.mark.parametrize("to", ["jane@example.org,", ", jane@example.org", "jane@example.org , \r\n"])
def test_commas_at_the_ends_of_a_list_are_no_addresses(to: str) -> None:
    assert [one.email for one in taken(To=to).to] == ["jane@example.org"]


def test_base64_may_have_line_breaks() -> None:
    content = bytes(range(256)) * 4
    mail = taken(Attachments=[{"Name": "a.txt", "Content": base64.encodebytes(content).decode()}])
    assert (mail.attachments[0].content, mail.attachments[0].content_type) == (content, "text/plain")


@pytest.mark.parametrize("content_id", [None, "", "cid:x", "x", "<x>"])
def test_a_content_id_is_read_in_every_way_that_clients_write_it(content_id: str | None) -> None:
    mail = taken(Attachments=[{"Name": "a.png", "Content": "", "ContentID": content_id}])
    assert mail.attachments[0].content_id == ("x" if content_id else None)


def test_a_header_named_idempotency_key_is_the_mails_key_and_no_header() -> None:
    mail = taken(Headers=[{"Name": "IDEMPOTENCY-KEY", "Value": "order-1"}, {"Name": "X-A", "Value": ""}])
    assert (mail.idempotency_key, mail.headers) == ("order-1", (Header("X-A", ""),))
    both = [{"Name": "Idempotency-Key", "Value": value} for value in "ab"]
    assert refused(Headers=both) == (300, "Invalid 'Headers': has 'Idempotency-Key' twice; keep one.")
    code, message = refused(Headers=[{"Name": "Idempotency-Key", "Value": ""}])
    assert (code, message.partition(":")[0]) == (300, "Invalid 'Idempotency-Key'")


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"From": ""}, 300, "Invalid 'From' address: ''."),
        ({"From": "nobody"}, 300, "Invalid 'From' address: 'nobody'. Reason: "),
        ({"From": "x" * 250 + " <a@example.com>"}, 300, "Invalid 'From': is 266 characters long"),
        ({"To": None}, 300, "Zero recipients specified"),
        ({"To": " , "}, 300, "Zero recipients specified"),
        ({"To": None, "Bcc": "a@example.com"}, 300, "'Cc' and 'Bcc' do not count here"),
        ({"To": "jane@exam_ple.org"}, 300, "Invalid 'To' address: 'jane@exam_ple.org'. Reason: the address"),
        ({"To": "a@example.com,,b@example.com"}, 300, "Invalid 'To' address: ''. Reason: is empty."),
        ({"Cc": 'A <a@example.com>, "B, C" <b@b>'}, 300, "Invalid 'Cc' address: 'b@b'. Reason: "),
        ({"Bcc": "a@example.com; b@example.com"}, 300, "Error parsing 'Bcc': "),
        ({"ReplyTo": "jane"}, 300, "Invalid 'ReplyTo' address: 'jane'. Reason: "),
        ({"To": ",".join(["a@example.com"] * 51)}, 300, "Invalid 'To': has 51 recipients"),
        ({"Subject": "a\nb"}, 300, "Invalid 'Subject': contains U+000A (line feed)"),
        ({"Subject": "x" * 2001}, 300, "Invalid 'Subject': is 2001 characters long, the limit is 2000."),
        ({"TextBody": ""}, 300, "Provide either email TextBody or HtmlBody or both."),
        ({"TextBody": "x" * 5_000_001}, 300, "Invalid 'TextBody': is 5000001 bytes large"),
        ({"Tag": "x" * 1001}, 300, "Invalid 'Tag': "),
        ({"Metadata": {"k" * 21: "v"}}, 300, "Invalid metadata content. Field names are limited to 20"),
        ({"Metadata": {"Order": "v" * 81}}, 300, "Here metadata[Order] is 81 characters long"),
        ({"Metadata": {str(k): "" for k in range(9)}}, 300, "Here metadata has 9 keys, the limit is 8."),
        ({"Metadata": {"atum-mail": "x"}}, 300, "reserved"),
        ({"Headers": [{"Name": "Reply-To", "Value": "x"}]}, 300, "Invalid 'Headers': [0].name 'Reply-To'"),
        ({"Headers": [{"Value": "x"}]}, 300, "is not a header name"),
        ({"Attachments": [{"Name": "RUN.Exe. ", "Content": ""}]}, 411, "'RUN.Exe' has a file type"),
        ({"Attachments": [{"Content": ""}]}, 300, "Invalid 'Attachments': [0].Name is missing."),
        ({"Attachments": [{"Name": "a.txt"}]}, 300, "Invalid 'Attachments': [0].Content is missing."),
        ({"Attachments": [{"Name": "a.txt", "Content": "?"}]}, 300, "[0].Content is not base64"),
        ({"Attachments": [{"Name": "a/b.txt", "Content": ""}]}, 300, "[0].name 'a/b.txt' contains a path"),
        ({"MessageStream": "no stream"}, 1235, "The stream provided: 'no stream' does not exist"),
        ({"TrackLinks": "All"}, 300, "Invalid 'TrackLinks': is 'All'; allowed are None, HtmlAndText"),
    ],
)
def test_what_breaks_a_rule_is_refused_in_postmarks_words_with_our_reason(
    fields: dict[str, Any], code: int, words: str
) -> None:
    said, message = refused(**fields)
    assert said == code
    assert words in message


@pytest.mark.parametrize("bad", ["jane@exam_ple.org", "o'hara@b", "nobody"])
def test_anymail_can_read_the_bad_address_out_of_what_is_said(bad: str) -> None:
    _, said = refused(To=f"A <a@example.com>, B <{bad}>" if "@" in bad else f"a@example.com, {bad}")
    # The patterns are anymail's own.
    assert re.match(r"^(Invalid|Error\s+parsing)\s+'(To|Cc|Bcc)'", said)
    found = re.search(r"address:?\s*'(.*)'", said)
    assert found is not None
    assert found[1] == bad


def test_a_mail_that_is_too_large_as_a_whole_is_refused() -> None:
    files = [{"Name": f"{n}.txt", "Content": base64.b64encode(bytes(4_000_000)).decode()} for n in range(2)]
    code, message = refused(Attachments=files)
    assert code == 300
    assert "the limit is 10000000" in message


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"From": 1}, ["From"]),
        ({"To": ["a@example.com"]}, ["To"]),
        ({"TrackOpens": "true"}, ["TrackOpens"]),
        ({"TrackOpens": 1}, ["TrackOpens"]),
        ({"Metadata": "x"}, ["Metadata"]),
        ({"Metadata": {"a": 1, "b": None, "c": ""}}, ["Metadata.a", "Metadata.b"]),
        ({"Headers": {"X": "y"}}, ["Headers"]),
        ({"Headers": ["X"]}, ["Headers[0]"]),
        ({"Headers": [{"Name": 1, "Value": "x"}]}, ["Headers[0].Name"]),
        ({"Attachments": [{"Name": "a", "Content": 7, "ContentLength": 7}]}, ["Attachments[0].Content"]),
    ],
)
def test_wrong_types_are_named(fields: dict[str, Any], names: list[str]) -> None:
    assert mistyped(item_of(MESSAGE | fields)) == names


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PART = st.dictionaries(st.sampled_from(["Name", "Value", "Content", "ContentType", "ContentID"]), JSON)
TEXT = st.sampled_from(["", "a@example.com", "A <a@example.com>,", "x", "\0", "\n"]) | st.text(max_size=40)
FIELDS = {
    name: st.lists(PART, max_size=2) | JSON if name in ("Headers", "Attachments") else TEXT | JSON
    for name in TYPES
}


@given(st.fixed_dictionaries({}, optional=FIELDS))
def test_whatever_comes_is_a_mail_or_a_refusal_in_words(document: dict[str, Any]) -> None:
    item = item_of(document)
    if mistyped(item):
        return
    answer = mail_of(item)
    assert isinstance(answer, Mail) or (answer.code in {300, 411, 1235} and answer.message)


@pytest.mark.parametrize(
    ("body", "in_batch", "code"),
    [
        (b"{", False, 402),
        (b"", False, 402),
        (b"\xff", False, 402),
        (b"[]", False, 402),
        (b"{}", True, 402),
        (b"[1]", True, 402),
        (b"[null]", True, 402),
        (b'{"Messages": []}', True, 402),
        (b'{"To": 1}', False, 403),
        (b'[{}, {"To": 1}]', True, 403),
        (b"[" + b",".join([b"{}"] * 501) + b"]", True, 410),
    ],
)
def test_what_spoils_a_request_as_a_whole_is_refused(body: bytes, in_batch: bool, code: int) -> None:
    with pytest.raises(Refused) as caught:
        items_of(body, in_batch=in_batch)
    assert (caught.value.status, caught.value.code) == (422, code)


def test_an_empty_batch_has_no_messages() -> None:
    assert items_of(b"[]", in_batch=True) == []


def test_a_domain_that_is_not_the_clients_is_no_sender_signature() -> None:
    shop = ANYBODY._replace(domains=["example.com"])
    items = [item_of(MESSAGE | {"From": address}) for address in ("a@EXAMPLE.com", "A <a@sub.example.com>")]
    good, bad = mails_of(items, shop)
    assert isinstance(good, Mail)
    assert bad == Refusal(
        400,
        "The 'From' address you supplied (a@sub.example.com) is not a Sender Signature on your account. Please add "
        "and confirm this address in order to be able to use it in the 'From' field of your messages.",
    )
