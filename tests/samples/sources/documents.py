"""Mails as JSON documents, as applications hand them over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.samples.sources import files, pages
from tests.samples.sources.document_parts import designed, file, mail

if TYPE_CHECKING:
    from collections.abc import Callable


def one_time_code() -> dict[str, Any]:
    made = mail(
        "Harbor <no-reply@example.com>",
        ["Jane Doe <jane.doe@example.com>"],
        "Your code is 604 118",
        "Enter 604 118 to sign in. The code is good for ten minutes. Nobody from Harbor will ever ask you for it.\n",
        lane="transactional",
        expires_at="2026-11-05T09:40:00Z",
        on_unknown="resend",
        idempotency_key="sign-in:48213:2026-11-05T09:30:00Z",
        track_opens=False,
        track_links="None",
        tag="one-time-code",
    )
    return designed(made, "Harbor", lang="en")


def welcome() -> dict[str, Any]:
    body = pages.paragraphs("Hi Amara,\n\nyour garden plot is ready. Here is how to plan the first season:")
    body += "<ol><li>Measure the bed.</li><li>Pick five plants.</li><li>Tell us your frost dates.</li></ol>"
    body += '<p><a class="button" href="https://plots.example.org/start?plan=spring&amp;step=1">Start planning</a></p>'
    return mail(
        "Plots & Pots <hello@example.org>",
        "Amara Nwosu <amara@example.org>",
        "🌱 Welcome to Plots & Pots",
        html=pages.card("Welcome, Amara", body),
        tag="welcome",
        metadata={"user": "u_9921", "source": "signup-form"},
    )


def newsletter() -> dict[str, Any]:
    body = "<h2>Slow bread</h2>" + pages.paragraphs(
        "Flour, water, salt, and a weekend. Our baker explains why the dough wants to be left alone.\n\n"
        "<a href='https://paper.example.net/slow-bread'>Read the story</a>"
    )
    body += "<h2>Five walks</h2>" + pages.paragraphs(
        "From two to nineteen kilometres, all reachable by train."
    )
    return mail(
        "The Saturday Paper <weekly@example.net>",
        ["reader-5521@example.net"],
        "Slow bread, and five walks for November",
        "Slow bread: https://paper.example.net/slow-bread\nFive walks: https://paper.example.net/walks\n",
        html=pages.tables(
            "The Saturday Paper", body, "You read this because you subscribed.", colour="#7b1e3a"
        ),
        stream="broadcast",
        lane="broadcast",
        on_unknown="hold",
        track_opens=True,
        track_links="HtmlAndText",
        headers=[
            {"name": "List-Id", "value": "The Saturday Paper <weekly.paper.example.net>"},
            {"name": "List-Unsubscribe", "value": "<https://paper.example.net/leave/5521>"},
            {"name": "List-Unsubscribe-Post", "value": "List-Unsubscribe=One-Click"},
            {"name": "Precedence", "value": "bulk"},
        ],
    )


def reminder_scheduled() -> dict[str, Any]:
    made = mail(
        "Dr. Halloran's Practice <desk@example.com>",
        ["Owen Price <owen@example.com>"],
        "Tomorrow at 10:15: your appointment",
        "Dear Mr Price,\n\nwe look forward to seeing you on Saturday at 10:15. If you cannot come, please ring us.\n",
        send_at="2026-11-06T08:00:00+01:00",
        expires_at="2026-11-07T09:15:00.000Z",
        metadata={"appointment": "A-20911"},
    )
    return designed(made, "Dr. Halloran's Practice", lang="en")


def invoice() -> dict[str, Any]:
    made = mail(
        "Billing <billing@example.com>",
        ["Kenji Watanabe <kenji@example.com>"],
        "Invoice 2026-11-0031",
        "Your invoice for November is attached. It will be charged to your card on the 12th.\n",
        cc=["accounting@example.com"],
        reply_to=["Billing Team <billing-team@example.com>"],
        attachments=[
            file(
                "invoice-2026-11-0031.pdf",
                files.pdf("Invoice 2026-11-0031", "EUR 84.00"),
                content_type="application/pdf",
            )
        ],
        tag="invoice",
        metadata={"invoice": "2026-11-0031", "customer": "C-18", "amount": "84.00", "currency": "EUR"},
    )
    return designed(made, "Billing", lang="en")


def inline_badge() -> dict[str, Any]:
    body = '<p><img src="cid:badge" alt="Gold badge"></p>' + pages.paragraphs(
        "100 lessons. That is a lot of verbs!"
    )
    return mail(
        "Lingo <streaks@example.org>",
        ["Tomás Vidal <tomas@example.org>"],
        "🏅 100 lessons!",
        "100 lessons. That is a lot of verbs!\n",
        html=pages.bare(body),
        attachments=[file("badge.png", files.logo(0xC9A227), content_type="image/png", content_id="badge")],
    )


def usage_report() -> dict[str, Any]:
    rows = (("Resource", "Used", "Included"), ("Storage", "71 GB", "100 GB"), ("Requests", "1.9 M", "2.0 M"))
    return mail(
        "Cloudlet <usage@example.com>",
        ["ops@example.com", "Finance <finance@example.com>"],
        "Usage for October: requests at 95 %",
        html=pages.tables("Cloudlet", pages.grid(rows), "Limits reset on the 1st.", colour="#263238"),
        metadata={
            "account": "acc-77",
            "period": "2026-10",
            "plan": "team",
            "region": "eu-north",
            "template": "usage-v3",
            "storage_gb": "71",
            "requests": "1903311",
            "alert": "requests-95",
        },
        track_links="HtmlOnly",
    )


def headers_kept() -> dict[str, Any]:
    made = mail(
        "Support <support@example.com>",
        ["Greta Lindqvist <greta@example.com>"],
        "Re: Refund for order 7781",
        "Hello Greta,\n\nthe refund is on its way. Banks take two to five days to show it.\n\nMalik\n",
        headers=[
            {"name": "Message-ID", "value": "<ticket-7781-4@support.example.com>"},
            {"name": "In-Reply-To", "value": "<cust-7781-3@mail.example.com>"},
            {
                "name": "References",
                "value": "<ticket-7781-1@support.example.com> <cust-7781-3@mail.example.com>",
            },
            {"name": "X-Agent", "value": "Malik Çelik, équipe Nord"},
            {"name": "X-Label", "value": "refund"},
            {"name": "X-Label", "value": "vip"},
        ],
    )
    return designed(made, "Support", lang="en")


def survey_finnish() -> dict[str, Any]:
    return mail(
        "Työterveys <kysely@example.com>",
        ["Päivi Hämäläinen <paivi@example.com>"],
        "Muistutus: työhyvinvointikysely päättyy perjantaina",
        html=pages.bare(
            '<p>Hei Päivi!</p><p>Vastaaminen vie viisi minuuttia: <a href="https://kysely.example.com/v/fi-81">vastaa '
            "tästä</a>.</p>",
            "fi",
        ),
        send_at="2026-11-06T07:00:00Z",
        tag="survey",
    )


def monitoring_alert() -> dict[str, Any]:
    log = "\n".join(
        f"09:{minute:02}:{minute * 7 % 60:02} disk /var at {80 + minute}%" for minute in range(12, 19)
    )
    return mail(
        "Monitor <monitor@example.com>",
        ["on-call@example.com"],
        "[FIRING] DiskAlmostFull db-3 (critical)",
        f"/var on db-3 fills up: 98 % used.\n\n{log}\n\nRunbook: https://runbooks.example.com/disk-almost-full\n",
        headers=[
            {"name": "X-Alert-Fingerprint", "value": "9c1185a5c5e9fc54"},
            {"name": "Importance", "value": "high"},
        ],
        lane="transactional",
        idempotency_key="alert/9c1185a5c5e9fc54/1",
    )


def minutes_with_files() -> dict[str, Any]:
    return mail(
        '"Council, Town" <clerk@example.org>',
        ['"O\'Neill, Sinéad" <sinead@example.org>', '"Ward \\"North\\" Office" <north@example.org>'],
        "Minutes and agenda",
        "Attached are the minutes of 29 October and the agenda for 12 November.\n",
        attachments=[
            file(
                "minutes, 29 October.pdf",
                files.pdf("Minutes of 29 October 2026"),
                content_type="application/pdf",
            ),
            file("agenda.txt", b"1. Minutes\n2. Budget\n3. Footbridge\n"),
            file(
                "tagesordnung für zürich.csv",
                "Punkt;Thema\n1;Begrüssung\n2;Brücke\n".encode(),
                content_type="text/csv; charset=utf-8",
            ),
        ],
    )


MAKERS: Final[tuple[Callable[[], dict[str, Any]], ...]] = (
    one_time_code,
    welcome,
    newsletter,
    reminder_scheduled,
    invoice,
    inline_badge,
    usage_report,
    headers_kept,
    survey_finnish,
    monitoring_alert,
    minutes_with_files,
)
