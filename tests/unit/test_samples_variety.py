"""What the samples cover, taken together. A kind of mail that is promised here cannot silently go missing."""

from __future__ import annotations

import io
import re
import struct
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import orjson
import pytest

from atum_schema.mail import Attachment, Mail
from tests.unit.test_samples import DOCUMENTS, GOOD, read

if TYPE_CHECKING:
    from collections.abc import Callable

_CHARSET = re.compile(rb'charset="?([\w-]+)')
_ENCODING = re.compile(rb"Content-Transfer-Encoding: ([\w-]+)")
_CHARSETS: Final = [
    "big5",
    "euc-kr",
    "gb18030",
    "iso-2022-jp",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-7",
    "iso-8859-9",
    "iso-8859-15",
    "koi8-r",
    "shift_jis",
    "tis-620",
    "us-ascii",
    "utf-8",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1255",
]
_DEFAULTS: Final = {"stream": "outbound"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sample as bytes and as mail."""

    raw: bytes
    mail: Mail


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [Sample(raw=path.read_bytes(), mail=read(path)) for path in GOOD]


def _direction(sample: Sample) -> bool:
    return any(unicodedata.bidirectional(character) in {"R", "AL"} for character in sample.mail.subject)


def _script(*starts: str) -> Callable[[Sample], bool]:
    def holds(sample: Sample) -> bool:
        return any(unicodedata.name(character, "").startswith(starts) for character in sample.mail.subject)

    return holds


def _emoji(sample: Sample) -> bool:
    return any(0x1F300 <= ord(character) <= 0x1FAFF for character in sample.mail.subject)


def _file(content_type: str) -> Callable[[Sample], bool]:
    return lambda sample: any(each.content_type.startswith(content_type) for each in sample.mail.attachments)


def _inline(number: int) -> Callable[[Sample], bool]:
    return lambda sample: sum(each.content_id is not None for each in sample.mail.attachments) >= number


def _raw(pattern: bytes) -> Callable[[Sample], bool]:
    return lambda sample: re.search(pattern, sample.raw) is not None


#: Kind of mail: how to tell, and how many samples of it there are at least.
KINDS: Final[dict[str, tuple[Callable[[Sample], bool], int]]] = {
    "subject written from right to left": (_direction, 4),
    "subject in Chinese, Japanese or Korean": (_script("CJK", "HIRAGANA", "KATAKANA", "HANGUL"), 7),
    "subject in Cyrillic": (_script("CYRILLIC"), 3),
    "subject in Greek, Devanagari, Thai or Tamil": (_script("GREEK", "DEVANAGARI", "THAI", "TAMIL"), 4),
    "subject with emoji": (_emoji, 5),
    "subject near the limit": (lambda each: 1900 < len(each.mail.subject) <= 2000, 1),
    "empty subject": (lambda each: each.mail.subject == "", 1),
    "plain text only": (lambda each: each.mail.html is None, 12),
    "HTML only": (lambda each: each.mail.text is None, 6),
    "text and HTML": (lambda each: bool(each.mail.text and each.mail.html), 30),
    "PDF": (_file("application/pdf"), 8),
    "two PDFs": (
        lambda each: sum(a.content_type == "application/pdf" for a in each.mail.attachments) == 2,
        1,
    ),
    "calendar": (_file("text/calendar"), 2),
    "archive": (_file("application/zip"), 1),
    "workbook": (_file("application/vnd.openxmlformats"), 1),
    "forwarded message": (_file("message/rfc822"), 1),
    "inline image": (_inline(1), 5),
    "several inline images": (_inline(3), 1),
    "several recipients with names": (lambda each: sum(bool(a.name) for a in each.mail.to) > 1, 6),
    "as many recipients as allowed": (lambda each: len(each.mail.recipients) == 50, 1),
    "several addresses to answer to": (lambda each: len(each.mail.reply_to) > 1, 2),
    "comma in a display name": (lambda each: any("," in a.name for a in each.mail.to), 4),
    "custom headers": (lambda each: len(each.mail.headers) >= 3, 4),
    "two headers of 500 characters or more": (
        lambda each: sum(len(h.value) >= 500 for h in each.mail.headers) > 1,
        1,
    ),
    "repeated header": (lambda each: len({h.name for h in each.mail.headers}) < len(each.mail.headers), 1),
    "as much metadata as allowed": (lambda each: len(each.mail.metadata) == 8, 1),
    "broadcast stream": (lambda each: each.mail.stream == "broadcast", 1),
    "quoted encoded word": (_raw(rb"=\?[\w-]+\?Q\?"), 12),
    "base64 encoded word": (_raw(rb"=\?[\w-]+\?B\?"), 15),
    "file name in pieces (RFC 2231)": (_raw(rb"filename\*1\*="), 1),
    "line ends of Unix": (lambda each: b"\r\n" not in each.raw and each.raw.startswith(b"From:"), 1),
    "flowed text": (_raw(rb"format=flowed"), 1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_samples_hold_enough_of_a_kind(kind: str, samples: list[Sample]) -> None:
    is_one, minimum = KINDS[kind]
    assert sum(is_one(sample) for sample in samples) >= minimum


@pytest.mark.parametrize("charset", _CHARSETS)
def test_a_charset_is_used_by_a_message(charset: str, samples: list[Sample]) -> None:
    assert any(charset.encode() in _CHARSET.findall(sample.raw.lower()) for sample in samples)


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "quoted-printable", "base64"])
def test_a_transfer_encoding_is_used_by_a_message(encoding: str, samples: list[Sample]) -> None:
    assert any(encoding.encode() in _ENCODING.findall(sample.raw) for sample in samples)


@pytest.mark.parametrize("name", [each.name for each in fields(Mail)])
def test_a_field_of_the_mail_is_set_by_a_sample(name: str, samples: list[Sample]) -> None:
    values = [getattr(sample.mail, name) for sample in samples]
    assert any((value or value is False) and value != _DEFAULTS.get(name) for value in values)


def test_documents_occur_compact_and_indented() -> None:
    lines = {len(path.read_bytes().splitlines()) for path in DOCUMENTS}
    assert min(lines) == 1
    assert max(lines) > 20
    assert all(type(orjson.loads(path.read_bytes())) is dict for path in DOCUMENTS)


def test_the_pdf_files_are_whole(samples: list[Sample]) -> None:
    for attachment in _attachments(samples, "application/pdf"):
        data = attachment.content
        start = int(data.split(b"startxref\n")[1].split()[0])
        places = re.findall(rb"(\d{10}) 00000 n ", data[start:])
        assert data.startswith(b"%PDF-1.4\n")
        assert data[start:].startswith(b"xref\n")
        assert all(
            data[int(place) :].startswith(b"%d 0 obj" % number) for number, place in enumerate(places, 1)
        )
        assert len(places) == 6


def test_the_png_files_are_whole(samples: list[Sample]) -> None:
    for attachment in _attachments(samples, "image/png"):
        chunks = _chunks(attachment.content)
        width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
        assert len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + (width + 3) // 4)
        assert b"IEND" in chunks


def test_archives_and_workbooks_open(samples: list[Sample]) -> None:
    for attachment in _attachments(samples, "application/zip", "application/vnd.openxmlformats"):
        with zipfile.ZipFile(io.BytesIO(attachment.content)) as opened:
            assert opened.testzip() is None
            assert len(opened.namelist()) >= 3


def _attachments(samples: list[Sample], *content_types: str) -> list[Attachment]:
    every = [attachment for sample in samples for attachment in sample.mail.attachments]
    found = [each for each in every if each.content_type.startswith(content_types)]
    assert found
    return found


def _chunks(data: bytes) -> dict[bytes, bytes]:
    chunks, place = {}, 8
    while place < len(data):
        (size,) = struct.unpack(">I", data[place : place + 4])
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        assert struct.unpack(">I", data[place + 8 + size : place + 12 + size]) == (zlib.crc32(kind + body),)
        chunks[kind] = body
        place += 12 + size
    return chunks
