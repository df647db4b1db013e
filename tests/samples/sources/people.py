"""Mails between people, and the odd forms that real mailers produce."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.samples.sources import files, pages
from tests.samples.sources.bodies import both
from tests.samples.sources.mime import (
    DATE,
    eml,
    file,
    html,
    mailbox,
    message,
    multipart,
    plain,
    text_part,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def calendar_invitation() -> bytes:
    entry = files.calendar(
        uid="a1c9-review@example.com",
        summary="Quarterly review",
        start="20261112T140000Z",
        end="20261112T150000Z",
        place="Room Ada\\, 3rd floor",
    )
    text = "Quarterly review\nThursday 12 November 2026, 14:00-15:00 UTC\nRoom Ada, 3rd floor\n"
    body = pages.paragraphs("<b>Quarterly review</b>\n\nThursday 12 November 2026, 14:00&ndash;15:00 UTC")
    content = multipart(
        "alternative",
        plain(text),
        html(pages.bare(body)),
        text_part("text/calendar; method=REQUEST", entry, "utf-8", "8bit"),
    )
    headers = (
        ("From", "Calendar <calendar@example.com>"),
        ("To", "Lea Brandt <lea@example.com>, Omar Haddad <omar@example.com>"),
        ("Subject", "Invitation: Quarterly review @ Thu 12 Nov 2026"),
    )
    return eml(headers, content)


def calendar_cancellation() -> bytes:
    entry = files.calendar(
        uid="77-stand-up@example.com",
        summary="Stand-up",
        start="20261106T083000Z",
        end="20261106T084500Z",
        place="Video call",
        method="CANCEL",
    )
    text = "The stand-up on Friday 6 November is cancelled: half the team is at the fair.\n"
    ics = file(
        "cancel.ics", entry.replace("\n", "\r\n").encode(), "text/calendar; charset=utf-8; method=CANCEL"
    )
    headers = (
        ("From", "Calendar <calendar@example.com>"),
        ("To", "team@example.com"),
        ("Subject", "Cancelled: Stand-up @ Fri 6 Nov 2026"),
    )
    return eml(headers, multipart("mixed", plain(text), ics))


def appointment_thai() -> bytes:
    text = """เรียน คุณสมชาย

ขอยืนยันนัดหมายของท่านที่คลินิกในวันศุกร์ที่ 13 พฤศจิกายน 2569 เวลา 10.30 น.
กรุณามาถึงก่อนเวลานัด 15 นาที

หากต้องการเลื่อนนัด: https://clinic.example.com/th/appointments/8841
"""
    headers = (
        ("From", mailbox("คลินิกรักษ์ฟัน", "clinic@example.com", "tis-620")),
        ("To", mailbox("สมชาย ใจดี", "somchai@example.com", "tis-620")),
        ("Subject", words("ยืนยันนัดหมายของท่าน", "tis-620")),
    )
    return eml(headers, both(text, "คลินิกรักษ์ฟัน", lang="th", charset="tis-620", encoding="base64"))


def forwarded_message() -> bytes:
    original = eml(
        (
            ("From", mailbox("Café Matière", "bonjour@example.net", how="Q")),
            ("To", "events@example.com"),
            ("Subject", words("Devis pour 40 personnes, déjeuner du 18", how="Q")),
            ("Message-ID", "<devis-40@example.net>"),
        ),
        plain("Bonjour,\n\nnous vous proposons un menu à 32 € par personne, café compris.\n"),
    )
    text = "Alice, this is the quote for the lunch. I find it fair, shall we take it?\n\nBen\n"
    headers = (
        ("From", "Ben Adeyemi <ben@example.com>"),
        ("To", "Alice Moreau <alice@example.com>"),
        ("Subject", "Fwd: quote for the lunch on the 18th"),
    )
    return eml(headers, multipart("mixed", plain(text), message(original)))


def forwarded_in_text() -> bytes:
    text = f"""FYI - do we still have the spare key?

-------- Forwarded Message --------
Subject: Locked out again
Date: {DATE}
From: Kim <kim@example.org>
To: Facilities <facilities@example.org>

> > Is anybody in the building?
> No, the porter leaves at six.
Then I will wait in the cafe.
From now on I carry two keys.
.
"""
    headers = (
        ("From", "facilities@example.org (Facilities, Ground Floor)"),
        ("To", "Robin <robin@example.org>"),
        ("Subject", "Fwd: Locked out again"),
    )
    return eml(headers, plain(text, "us-ascii", "7bit"))


def reply_in_thread() -> bytes:
    text = """Thanks, that explains it. The export skips rows whose date is empty, so the\x20
totals differ by exactly those 31 rows. I will fix it this week and send you\x20
the corrected file.

--\x20
Mina Park

On Wed, 4 Nov 2026, Leo Fischer wrote:
> the totals of your export and ours differ by 4,310.00,
> could you have a look?
"""
    headers = (
        ("From", "Mina Park <mina@example.net>"),
        ("To", "Leo Fischer <leo@example.com>"),
        ("Subject", "Re: [Ticket #2291] totals differ"),
        ("Message-ID", "<reply-2291-3@example.net>"),
        ("In-Reply-To", "<ticket-2291-2@example.com>"),
        ("References", "<ticket-2291-1@example.com> <ticket-2291-2@example.com>"),
    )
    return eml(headers, text_part("text/plain; format=flowed; delsp=no", text, "utf-8", "7bit"))


def many_recipients() -> bytes:
    people = (
        "Ada",
        "Bruno",
        "Chidi",
        "Dorothea",
        "Emil",
        "Farah",
        "Goran",
        "Hana",
        "Ivo",
        "Jolanda",
        "Karim",
        "Lotte",
    )
    to = [f"{name} <{name.lower()}@example.org>" for name in people]
    headers = (
        ("From", "Choir Office <choir@example.org>"),
        ("To", ",\r\n ".join(to[:7])),
        ("To", ",\r\n ".join(to[7:])),
        ("Cc", '"Conductor, The" <conductor@example.org>, "Stage \\"Left\\" Crew" <stage@example.org>'),
        ("Bcc", "chair@example.org, treasurer@example.org"),
        ("Reply-To", "Choir Office <choir@example.org>, rehearsals@example.org"),
        ("Subject", "Rehearsal moved to Tuesday, 19:30"),
    )
    text = "Dear all,\n\nthe hall is taken on Monday, so we sing on Tuesday at half past seven.\nBring the Brahms.\n"
    return eml(headers, plain(text))


def business_card() -> bytes:
    text = "It was good to meet you at the fair. My card is attached.\n\nRenée\n"
    vcf = files.card("Renée Dubois", "renee@example.com", "+33 1 99 00 12 34")
    headers = (
        ("From", mailbox("Renée Dubois", "renee@example.com", how="Q")),
        ("To", "Ingrid Solberg <ingrid@example.net>"),
        ("Subject", "Good to meet you"),
    )
    return eml(headers, multipart("mixed", plain(text), file("renee.vcf", vcf, "text/vcard; charset=utf-8")))


def photos_inline() -> bytes:
    names = ("lake", "cabin", "boat")
    shown = "".join(f'<p><img src="cid:{name}@album" alt="{name}"><br>The {name}</p>' for name in names)
    images = [
        file(f"{name}.png", files.png(("0123", "1230", "2301", "3012"), (0x2E5E8C, 0x8CBF88, 0xD9C58B, colour), 8),
             "image/png", cid=f"{name}@album")
        for name, colour in zip(names, (0xAA3333, 0x33AA33, 0x3333AA), strict=True)
    ]  # fmt: skip
    headers = (
        ("From", "Grandpa Joe <joe@example.com>"),
        ("To", "Everyone <family@example.com>"),
        ("Subject", words("Three pictures from the lake 🏞️🛶")),
    )
    return eml(headers, multipart("related", html(pages.bare(shown)), *images))


def minutes_with_commas() -> bytes:
    text = """Protokoll der Vorstandssitzung vom 3. November 2026

Anwesend: Weiß, Özdemir, Nguyễn
1. Der Haushalt wird einstimmig angenommen.
2. Das Sommerfest findet am 19. Juni statt.
"""
    to = (
        mailbox("Weiß, Käthe", "weiss@example.org"),
        mailbox("Özdemir, Can", "oezdemir@example.org"),
        mailbox("Nguyễn, Minh", "nguyen@example.org"),
    )
    headers = (
        ("From", '"Verein, Der" <vorstand@example.org>'),
        ("To", ",\r\n ".join(to)),
        ("Subject", "Protokoll vom 3. November"),
        ("X-Mailer", "Vereinsverwaltung 2.1"),
    )
    return eml(headers, plain(text, encoding="base64"))


def one_line() -> bytes:
    return b"From: cron@example.com\r\nTo: ops@example.com\r\nSubject: backup ok\r\n\r\n412 files, 3.1 GB, 7 min\r\n"


def empty_subject() -> bytes:
    headers = (("From", "scanner@example.com"), ("To", "office@example.com"), ("Subject", ""))
    scan = file("scan0007.pdf", files.pdf("Scanned page 1"), "application/pdf")
    return eml(headers, multipart("mixed", plain("Sent by the scanner on floor 2.\n"), scan))


def appointment_hindi() -> bytes:
    text = """प्रिय अनिता जी,

आपकी डॉक्टर से मुलाक़ात शुक्रवार, 13 नवंबर 2026 को सुबह 11 बजे तय हुई है।
समय बदलने के लिए यहाँ जाएँ: https://health.example.com/hi/visit/5102

धन्यवाद
"""
    body = pages.paragraphs("प्रिय अनिता जी,\n\nआपकी डॉक्टर से मुलाक़ात शुक्रवार को सुबह 11 बजे तय हुई है।")
    headers = (
        ("From", mailbox("स्वास्थ्य केंद्र", "health@example.com")),
        ("To", mailbox("अनिता शर्मा", "anita@example.com")),
        ("Subject", words("आपकी मुलाक़ात की पुष्टि")),
    )
    return eml(
        headers, multipart("alternative", plain(text, encoding="base64"), html(pages.bare(body, "hi")))
    )


def course_czech() -> bytes:
    text = """Dobrý den, paní Šťastná,

potvrzujeme Vaši přihlášku na kurz „Žluťoučký kůň – kaligrafie pro začátečníky“.
Začínáme ve středu 11. listopadu v 17.30. Pero i inkoust dostanete na místě.

Těšíme se na Vás!
"""
    headers = (
        ("From", mailbox("Kurzy Týn", "kurzy@example.net", "windows-1250", "Q")),
        ("To", mailbox("Božena Šťastná", "bozena@example.net", "windows-1250", "Q")),
        ("Subject", words("Potvrzení přihlášky na kurz", "windows-1250", "Q")),
    )
    return eml(headers, both(text, "Kurzy Týn", lang="cs", charset="windows-1250"))


def raw_utf8_headers() -> bytes:
    headers = (
        ("From", "Phòng vé <ve@example.org>"),
        ("To", "Trần Thị Hương <huong@example.org>"),
        ("Subject", "Vé tàu Hà Nội – Đà Nẵng của bạn"),
    )
    text = "Chào chị Hương,\n\nvé tàu SE1 ngày 20/11/2026 đã được đặt thành công. Mã đặt chỗ: K7X2PQ.\n"
    return eml(headers, both(text, "Phòng vé", lang="vi", encoding="8bit"))


def unix_line_ends() -> bytes:
    text = "Build 5521 of main passed in 4 min 12 s.\n\nhttps://ci.example.com/builds/5521\n"
    headers = (
        ("From", "CI <ci@example.com>"),
        ("To", "dev@example.com"),
        ("Subject", words("✅ main: build 5521 passed")),
        ("X-Build-Number", "5521"),
    )
    return eml(headers, plain(text, "us-ascii", "7bit")).replace(b"\r\n", b"\n")


MAKERS: Final[tuple[Callable[[], bytes], ...]] = (
    calendar_invitation,
    calendar_cancellation,
    appointment_thai,
    forwarded_message,
    forwarded_in_text,
    reply_in_thread,
    many_recipients,
    business_card,
    photos_inline,
    minutes_with_commas,
    one_line,
    empty_subject,
    appointment_hindi,
    course_czech,
    raw_utf8_headers,
    unix_line_ends,
)
