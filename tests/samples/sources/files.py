"""Small files that are what they say: PDF, PNG, ZIP, a workbook, a calendar entry, a business card.

All are written without compression, because compressors of different versions give different bytes.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: A transparent GIF of one pixel.
PIXEL_GIF: Final = bytes.fromhex(
    "47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b"
)
_EPOCH: Final = (2026, 11, 5, 9, 30, 0)


def pdf(*lines: str) -> bytes:
    """One A4 page of text in Helvetica (ISO 32000-1, WinAnsi)."""
    shown = b" ".join(b"(%s) '" % _pdf_text(line) for line in lines)
    stream = b"BT /F1 11 Tf 16 TL 56 780 Td " + shown + b" ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R /Resources 6 0 R >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Font << /F1 4 0 R >> >>",
    ]
    return _pdf_file(objects)


def _pdf_text(line: str) -> bytes:
    return line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("cp1252")


def _pdf_file(objects: Sequence[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def png(rows: Sequence[str], colours: Sequence[int], scale: int = 4) -> bytes:
    """Draw a picture from rows of digits, each an index into up to four colours (0xRRGGBB)."""
    pixels = ["".join(digit * scale for digit in row) for row in rows for _ in range(scale)]
    width, height = len(pixels[0]), len(pixels)
    raw = b"".join(b"\0" + _two_bits(line) for line in pixels)
    header = struct.pack(">IIBBBBB", width, height, 2, 3, 0, 0, 0)
    palette = b"".join(colour.to_bytes(3, "big") for colour in colours)
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", _stored(raw)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _two_bits(line: str) -> bytes:
    padded = line + "0" * (-len(line) % 4)
    return bytes(int(padded[start : start + 4], 4) for start in range(0, len(padded), 4))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _stored(raw: bytes) -> bytes:
    """Wrap up to 65,535 bytes as a zlib stream of one stored block (RFC 1950, RFC 1951 §3.2.4)."""
    block = struct.pack("<BHH", 1, len(raw), 0xFFFF ^ len(raw))
    return b"\x78\x01" + block + raw + struct.pack(">I", zlib.adler32(raw))


def logo(colour: int) -> bytes:
    """Draw a small mark in a brand's colour."""
    rows = ("01111110", "11222211", "12211221", "12100121", "12100121", "12211221", "11222211", "01111110")
    return png(rows, (0xFFFFFF, colour, 0xF4F4F4), scale=6)


def square_code(text: str, size: int = 21) -> bytes:
    """Draw a pattern of squares that follows from the text; looks like a ticket's code, cannot be scanned."""
    bits = int.from_bytes(text.encode() * 64, "big")
    rows = ["".join(str(bits >> (row * size + column) & 1) for column in range(size)) for row in range(size)]
    return png(rows, (0xFFFFFF, 0x000000), scale=4)


def archive(files: Mapping[str, bytes]) -> bytes:
    """Make a ZIP file, dates fixed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as target:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            target.writestr(info, data)
    return out.getvalue()


def workbook(rows: Sequence[Sequence[str]]) -> bytes:
    """Make a workbook of one sheet of texts (ECMA-376)."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    cells = "".join(f"<row>{''.join(_cell(value) for value in row)}</row>" for row in rows)
    types = (
        f'<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kind}.worksheet+xml"/></Types>'
    )
    book = (
        f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="Report" sheetId="1" r:id="rId1"/>'
        "</sheets></workbook>"
    )
    return archive(
        {
            "[Content_Types].xml": _xml(types),
            "_rels/.rels": _relation(package, f"{office}/officeDocument", "xl/workbook.xml"),
            "xl/workbook.xml": _xml(book),
            "xl/_rels/workbook.xml.rels": _relation(package, f"{office}/worksheet", "worksheets/sheet1.xml"),
            "xl/worksheets/sheet1.xml": _xml(
                f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>'
            ),
        }
    )


def _cell(value: str) -> str:
    return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'


def _relation(package: str, kind: str, target: str) -> bytes:
    return _xml(
        f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" Type="{kind}" '
        f'Target="{target}"/></Relationships>'
    )


def _xml(body: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n{body}'.encode()


def calendar(*, uid: str, summary: str, start: str, end: str, place: str, method: str = "REQUEST") -> str:
    """Write a calendar entry (RFC 5545); times as 20261112T140000Z."""
    status = "CANCELLED" if method == "CANCEL" else "CONFIRMED"
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Example Corp//Calendar 4.2//EN",
        f"METHOD:{method}",
        "BEGIN:VEVENT",
        f"UID:{uid}",
        "DTSTAMP:20261105T093000Z",
        f"DTSTART:{start}",
        f"DTEND:{end}",
        f"SUMMARY:{summary}",
        f"LOCATION:{place}",
        f"STATUS:{status}",
        "ORGANIZER;CN=Calendar:mailto:calendar@example.com",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    )
    return "\n".join(lines)


def card(name: str, email: str, phone: str) -> bytes:
    """Write a business card (RFC 6350)."""
    lines = ("BEGIN:VCARD", "VERSION:4.0", f"FN:{name}", f"EMAIL:{email}", f"TEL:{phone}", "END:VCARD", "")
    return "\r\n".join(lines).encode()
