"""Mails from messages: what a message says is what the mail holds, and nothing is guessed or lost."""

from __future__ import annotations

import random
from email import message_from_bytes, policy
from email.headerregistry import Address as HeaderAddress
from email.message import EmailMessage, Message
from email.mime.text import MIMEText
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from atum_schema.errors import MailRejected
from atum_schema.mail import Mail
from atum_schema.message_charsets import decode_text, decode_words

_HEAD = b"From: a@example.com\r\nTo: b@example.com\r\n"


def eml(*lines: str, body: bytes = b"Hi\r\n") -> bytes:
    """Build a message of header lines, which come after a From and a To."""
    return _HEAD + b"".join(line.encode() + b"\r\n" for line in lines) + b"\r\n" + body


def rich() -> EmailMessage:
    message = EmailMessage()
    message["From"] = HeaderAddress("Müller, Jörg", "jm", "example.com")
    message["To"] = [
        HeaderAddress("Doe, Jane", "jane", "example.com"),
        HeaderAddress("", "bob", "example.org"),
    ]
    message["Cc"] = "Ann <ann@example.net>"
    message["Bcc"] = "hidden@example.net"
    message["Reply-To"] = "Help <help@example.com>, office@example.com"
    message["Subject"] = "Ihre Rechnung – danke 👋"
    message["Message-ID"] = "<7@example.com>"
    message["List-Unsubscribe"] = "<https://example.com/u>"
    message.set_content("Hällo\n")
    message.add_alternative("<p>Hällo <img src='cid:logo@example.com'></p>\n", subtype="html")
    html = list(message.iter_parts())[1]
    assert isinstance(html, EmailMessage)
    html.add_related(b"\x89PNG", "image", "png", cid="<logo@example.com>", filename="lögo.png")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="Räkning 1.pdf")
    return message


def test_a_message_in_memory_and_its_bytes_give_the_same_mail() -> None:
    assert Mail.from_message(rich()) == Mail.from_eml(rich().as_bytes())


def test_every_part_and_header_of_a_rich_message_is_kept() -> None:
    mail = Mail.from_eml(rich().as_bytes())
    assert str(mail.sender) == '"Müller, Jörg" <jm@example.com>'
    assert [str(a) for a in mail.to] == ['"Doe, Jane" <jane@example.com>', "bob@example.org"]
    assert [str(a) for a in mail.cc + mail.bcc] == ["Ann <ann@example.net>", "hidden@example.net"]
    assert [str(a) for a in mail.reply_to] == ["Help <help@example.com>", "office@example.com"]
    assert mail.subject == "Ihre Rechnung – danke 👋"
    assert mail.text == "Hällo\n"
    assert mail.html == "<p>Hällo <img src='cid:logo@example.com'></p>\n"
    assert [(a.name, a.content_type, a.content_id, a.content) for a in mail.attachments] == [
        ("lögo.png", "image/png", "logo@example.com", b"\x89PNG"),
        ("Räkning 1.pdf", "application/pdf", None, b"%PDF"),
    ]
    assert [h.name for h in mail.headers] == ["Message-ID", "List-Unsubscribe"]


def test_headers_of_the_transport_stay_behind() -> None:
    """Predecessor H4: MIME-Version, Subject and the like were passed on as custom headers."""
    mail = Mail.from_eml(
        eml("Received: by x", "Date: Thu, 5 Nov 2026 10:00:00 +0000", "MIME-Version: 1.0", "Return-Path: <x>",
            "DKIM-Signature: v=1", "Content-Type: text/plain", "Subject: s", "X-Keep: 1", "Sender: x@example.com")
    )  # fmt: skip
    assert [(h.name, h.value) for h in mail.headers] == [("X-Keep", "1")]


def test_folded_headers_are_read_as_one_line() -> None:
    """Predecessor H4: folding was not supported."""
    mail = Mail.from_eml(eml("Subject: one\r\n two\r\n\tthree", "X-Long: a\r\n b"))
    assert mail.subject == "one two three"
    assert mail.headers[0].value == "a b"


def test_every_address_header_of_one_kind_is_read() -> None:
    """Predecessor H3: only the first Reply-To was used."""
    mail = Mail.from_eml(
        eml("To: c@example.com,\r\n\tD <d@example.com>", "Reply-To: r@example.com", "Reply-To: s@example.com")
    )
    assert [a.email for a in mail.to] == ["b@example.com", "c@example.com", "d@example.com"]
    assert [a.email for a in mail.reply_to] == ["r@example.com", "s@example.com"]


def test_headers_for_postmark_become_fields() -> None:
    mail = Mail.from_eml(
        eml("X-PM-Tag: receipt", "X-PM-Metadata-color: blue", "X-PM-Metadata-Client-Id: =?utf-8?q?=C3=A4?=",
            "X-PM-Message-Stream: broadcast", "X-PM-TrackOpens: true", "X-PM-TrackLinks: HtmlOnly", "X-PM-KeepID: true")
    )  # fmt: skip
    assert (mail.tag, mail.stream, mail.track_opens, mail.track_links) == (
        "receipt",
        "broadcast",
        True,
        "HtmlOnly",
    )
    assert mail.metadata == {"color": "blue", "Client-Id": "ä"}
    assert mail.headers == ()


def test_fields_given_beside_the_message_win() -> None:
    mail = Mail.from_eml(
        b"Subject: s\r\n\r\nHi", sender="x@example.com", to="y@example.com", subject="t", lane="broadcast"
    )
    assert (mail.sender.email, mail.to[0].email, mail.subject, mail.lane) == (
        "x@example.com", "y@example.com", "t", "broadcast",
    )  # fmt: skip


def test_an_old_style_message_is_read_too() -> None:
    message = MIMEText("Grüße", "plain", "iso-8859-1")
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "s"
    assert Mail.from_message(message).text == "Grüße"
    compat = message_from_bytes(eml("Subject: =?utf-8?b?w6Q=?="), policy=policy.compat32)
    assert isinstance(compat, Message)
    assert Mail.from_message(compat).subject == "ä"


def test_the_last_form_of_each_kind_is_the_best() -> None:
    message = EmailMessage()
    message.set_content("first")
    message.add_alternative("second")
    message.add_alternative("<p>html</p>", subtype="html")
    message.add_alternative("<amp>", subtype="x-amp-html")
    mail = Mail.from_message(message, sender="a@example.com", to="b@example.com")
    assert (mail.text, mail.html, mail.attachments) == ("second\n", "<p>html</p>\n", ())


def test_an_invitation_among_the_forms_is_kept_as_a_file() -> None:
    message = EmailMessage()
    message.set_content("You are invited")
    message.add_alternative("BEGIN:VCALENDAR\r\n", subtype="calendar", params={"method": "REQUEST"})
    (file,) = Mail.from_message(message, sender="a@example.com", to="b@example.com").attachments
    assert (file.name, file.content_type) == ("part-1.ics", "text/calendar; charset=utf-8; method=REQUEST")
    assert file.content.startswith(b"BEGIN:VCALENDAR")


def test_a_text_among_the_files_is_a_file_and_a_second_inline_text_follows_the_first() -> None:
    message = EmailMessage()
    message.set_content("one\n")
    message.add_attachment("log", filename="log.txt")
    message.add_attachment("two\n", disposition="inline")
    mail = Mail.from_message(message, sender="a@example.com", to="b@example.com")
    assert mail.text == "one\n\ntwo\n"
    assert [a.name for a in mail.attachments] == ["log.txt"]


def test_an_attached_message_becomes_an_eml_file_as_it_was() -> None:
    inner = b"From: x@example.com\r\nX-Odd: keep\r\n\t this\r\nSubject: =?utf-8?q?in?=\r\n\r\nInner\r\n"
    body = b"--b\r\n\r\nSee below\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n" + inner + b"\r\n--b--\r\n"
    mail = Mail.from_eml(eml('Content-Type: multipart/mixed; boundary="b"', body=body))
    (file,) = mail.attachments
    assert (file.name, file.content_type, file.content) == ("message-1.eml", "message/rfc822", inner)
    assert mail.text == "See below"


def test_an_image_that_the_html_does_not_show_is_a_plain_attachment() -> None:
    mail = Mail.from_eml(rich().as_bytes().replace(b"cid:logo", b"cid:other"))
    assert mail.attachments[0].content_id is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("filename*=utf-8''R%C3%A4kning%201.pdf", "Räkning 1.pdf"),
        ("filename*0*=utf-8''R%C3%A4k; filename*1=ning.pdf", "Räkning.pdf"),
        ('filename="=?utf-8?b?UsOka25pbmcucGRm?="', "Räkning.pdf"),
        ('filename="C:\\\\temp\\\\a.pdf"', "a.pdf"),
        ('filename="../../a.pdf"', "a.pdf"),
        ('filename="a b.pdf"', "a b.pdf"),
        ("x=y", "part-1.pdf"),
    ],
)
def test_the_name_of_a_file_is_read_in_every_spelling(name: str, expected: str) -> None:
    body = (
        f"--b\r\n\r\nx\r\n--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; {name}\r\n\r\n"
        "%PDF\r\n--b--\r\n"
    )
    mail = Mail.from_eml(eml('Content-Type: multipart/mixed; boundary="b"', body=body.encode()))
    assert mail.attachments[0].name == expected


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("iso-8859-1", "Grüße – “quoted” €"),
        ("windows-1252", "Grüße – “quoted” €"),
        ("shift_jis", "①髙橋さん、ありがとう"),
        ("gb2312", "谢谢您的订单,朱镕基"),
        ("koi8-r", "Спасибо за заказ"),
        ("iso-2022-jp", "ご注文"),
        ("euc-kr", "주문해 주셔서 감사합니다 똠"),
        ("big5", "訂單"),
        ("utf-16", "Grüße"),
        ("iso-8859-9", "Teşekkürler"),
    ],
)
def test_old_charsets_are_read(charset: str, text: str) -> None:
    actual = {"iso-8859-1": "cp1252", "shift_jis": "cp932", "gb2312": "gb18030", "euc-kr": "cp949"}.get(
        charset, charset
    )
    mail = Mail.from_eml(
        eml(
            f"Content-Type: text/plain; charset={charset}",
            "Content-Transfer-Encoding: 8bit",
            body=text.encode(actual),
        )
    )
    assert mail.text == text


def test_bytes_without_a_charset_are_utf8_or_else_windows_1252() -> None:
    assert Mail.from_eml(eml(body="Grüße".encode())).text == "Grüße"
    assert Mail.from_eml(eml(body="Grüße".encode("cp1252"))).text == "Grüße"
    assert (
        Mail.from_eml(
            eml().replace(b"To: ", b"Subject: gr\xfc\xdfe\r\nTo: J\xc3\xb6rg <j@example.com>, ")
        ).subject
        == "grüße"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=?utf-8?q?Gr=C3=BC=C3=9Fe?= =?utf-8?q?_an_alle?=", "Grüße an alle"),
        ("=?utf-8?b?8J+R?= =?utf-8?b?iw==?=", "👋"),
        ("=?iso-8859-1?Q?J=F6rg?= und =?koi8-r?B?8NLJ18XU?=", "Jörg und Привет"),
        ("=?utf-8*en?q?a?=", "a"),
        ("=?gb2312?B?1uy5ww==?=", "朱姑"),
        ("=?bogus?q?x?= y", "=?bogus?q?x?= y"),
        ("=?utf-8?b?!?= y", " y"),
        ("=?punycode?q?x?=", "=?punycode?q?x?="),
        ("plain =? text ?=", "plain =? text ?="),
    ],
)
def test_encoded_words_are_decoded(text: str, expected: str) -> None:
    assert decode_words(text) == expected


@settings(deadline=None)
@given(
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), max_size=80).filter(
        lambda s: "=?" not in s
    )
)
def test_every_subject_survives_the_standard_library(subject: str) -> None:
    message = EmailMessage()
    message.set_content("x")
    try:
        message["Subject"] = subject
        data = message.as_bytes()
    except (ValueError, IndexError):
        return
    try:
        mail = Mail.from_eml(data, sender="a@example.com", to="b@example.com")
    except MailRejected as error:
        assert "U+202" in error.reason  # noqa: PT017
        return
    reference = str(message_from_bytes(data, policy=policy.default)["Subject"])
    assert mail.subject == reference.strip(" ")


@pytest.mark.parametrize(
    "charset", ["punycode", "idna", "hex", "rot13", "zip", "unicode_escape", "x-unknown", "\0", "mbcs"]
)
def test_what_is_no_charset_of_mail_is_refused(charset: str) -> None:
    with pytest.raises(ValueError, match="unknown charset"):
        decode_text(b"x", charset)


@pytest.mark.parametrize(
    ("data", "field", "reason"),
    [
        (b"", "sender", "no From header"),
        (b"Hello", "sender", "no From header"),
        (b"From: a@example.com\r\n\r\nx", "to", "at least one is required"),
        (b"From: a@example.com, b@example.com\r\nTo: c@example.com\r\n\r\nx", "sender", "From holds 2 addresses"),
        (b"From: a@example.com\r\nFrom: b@example.com\r\nTo: c@example.com\r\n\r\nx", "sender", "2 addresses"),
        (b"From: a@example.com\r\nTo: undisclosed-recipients:;\r\n\r\nx", "to[0]", "groups are not accepted"),
        (b"From: a@example.com\r\nTo: b@example.com, nope\r\n\r\nx", "to[1]", 'has no "@"'),
        (eml("Subject: a", "Subject: b"), "subject", "set by 2 headers"),
        (eml("Subject: =?utf-8?q?a=0D=0ABcc:_x?="), "subject", "U+000D"),
        (eml("X-A: =?utf-8?q?a=00b?="), "headers[X-A]", "NUL"),
        (eml("To: =?utf-8?q?a=0D=0Ab?= <c@example.com>"), "to[1]", "U+000D"),
        (eml("X-A: " + "v" * 1000), "headers[X-A]", "the limit is 998"),
        (eml("X-PM-TrackOpens: yes"), "track_opens", "true, false"),
        (eml("X-PM-Metadata-atum-mail: 1"), "metadata", "reserved"),
        (eml("X-PM-Metadata-a: 1", "X-PM-Metadata-a: 2"), "metadata", "twice"),
        (eml(body=b""), "text", "at least one body"),
        (eml("Content-Type: text/plain; charset=x-nope"), "text", "unknown charset 'x-nope'"),
        (eml("Content-Type: text/plain; charset=koi8-r", body=b"a\0b"), "text", "NUL"),
        (eml("Content-Type: text/html; charset=shift_jis", body=b"\xfc\xfd\xfe"), "html", "is not valid shift_jis"),
        (eml("Content-Transfer-Encoding: x-odd"), "message", "unknown transfer encoding 'x-odd'"),
        (eml("Content-Transfer-Encoding: base64", body=b"!!!"), "text", "not well formed"),
        (eml("Content-Type: multipart/mixed; boundary=b", body=b"--b\r\n\r\ncut off"), "message", "close boundary"),
        (eml("Content-Type: multipart/mixed; boundary=b", body=b"no parts"), "message", "start boundary"),
        (eml("Content-Type: multipart/mixed", body=b"x"), "message", "no boundary"),
        (eml("this line is no header"), "message", "missing header body separator"),
    ],
)  # fmt: skip
def test_a_bad_message_is_refused_with_field_and_reason(data: bytes, field: str, reason: str) -> None:
    with pytest.raises(MailRejected) as caught:
        Mail.from_eml(data)
    assert caught.value.field == field
    assert reason in caught.value.reason


def test_a_forbidden_attachment_is_named() -> None:
    message = rich()
    message.add_attachment(b"MZ", maintype="application", subtype="octet-stream", filename="setup.exe")
    with pytest.raises(MailRejected, match=r"attachments\[2\].name: has the extension .exe"):
        Mail.from_message(message)


def test_what_is_not_bytes_is_refused() -> None:
    with pytest.raises(MailRejected, match="message: must be bytes, not str"):
        Mail.from_eml("From: a@example.com")  # type: ignore[arg-type]


@pytest.mark.parametrize("levels", [60, 3000])
def test_parts_nested_without_end_are_refused(levels: int) -> None:
    open_parts = b"".join(
        b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(levels)
    )
    close_parts = b"".join(b"--b%d--\r\n" % n for n in range(levels, -1, -1))
    body = open_parts + b"--b%d\r\n\r\nx\r\n" % levels + close_parts
    with pytest.raises(MailRejected, match="message"):
        Mail.from_eml(eml("Content-Type: multipart/mixed; boundary=b0", body=body))


_BITS = [
    b"=?utf-8?q?x?=", b"\r\n", b'"', b"<", b"(", b";", b"filename*0*=", b"charset=", b"\x00", b"\xff", b"--",
    b"boundary=", b"*=utf-8''%e4", b"Content-Type: ", b":", b"multipart/mixed", b"base64", b"[", b"@", b"\xe4\xb8",
]  # fmt: skip


@settings(deadline=None)
@given(st.integers(0, 2**32))
@example(572847502)
def test_a_damaged_message_makes_a_mail_or_is_refused(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    data = bytearray(rich().as_bytes())
    for _ in range(chance.randint(1, 6)):
        place = chance.randrange(len(data))
        kind = chance.random()
        if kind < 0.5:
            data[place:place] = chance.choice(_BITS)
        elif kind < 0.8:
            del data[place : place + chance.randint(1, 40)]
        else:
            data[place] = chance.randrange(256)
    result: Any = None
    try:
        result = Mail.from_eml(bytes(data))
    except MailRejected as error:
        result = error.field
    assert result
