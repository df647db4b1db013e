# ruff: noqa: RUF001 (texts in many scripts)
"""Mails as JSON documents: many languages, sizes at the limit, forms that are rare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.samples.sources import pages
from tests.samples.sources.document_parts import designed, mail

if TYPE_CHECKING:
    from collections.abc import Callable


def delivery_chinese() -> dict[str, Any]:
    made = mail(
        "快递通知 <notice@example.net>",
        ["李伟 <liwei@example.net>"],
        "您的包裹已到达取件点，取件码 7-3-2041",
        "李伟您好：\n\n您的包裹已放入小区东门的快递柜，取件码 7-3-2041。请在48小时内取件，逾期将退回站点。\n",
    )
    return designed(made, "快递通知", lang="zh-CN")


def booking_arabic() -> dict[str, Any]:
    return mail(
        "فندق الواحة <booking@example.com>",
        ["يوسف المنصوري <yousef@example.com>"],
        "تأكيد الحجز رقم 55210",
        "عزيزي يوسف،\n\nتم تأكيد حجزك لليلتين ابتداءً من 20 نوفمبر 2026. رقم الحجز: 55210.\n",
        html=pages.tables("فندق الواحة", "<p>تم تأكيد حجزك لليلتين.</p>", "55210", lang="ar", rtl=True),
    )


def library_persian() -> dict[str, Any]:
    made = mail(
        "کتابخانهٔ شهر <library@example.org>",
        ["مریم رضایی <maryam@example.org>"],
        "کتاب شما آمادهٔ تحویل است",
        "مریم گرامی،\n\nکتابی که می‌خواستید از فردا در بخش امانت آماده است. لطفاً تا پایان هفته آن را دریافت کنید.\n",
    )
    return designed(made, "کتابخانهٔ شهر", lang="fa", rtl=True)


def event_emoji() -> dict[str, Any]:
    made = mail(
        "Olá Festas 🎉 <festa@example.net>",
        ["Família Costa 👨‍👩‍👧‍👦 <costa@example.net>"],
        "🎂🥳 A festa do Miguel é no sábado! 🇵🇹",
        "Às 15h, no jardim. Tragam fato de banho 🩱 e boa disposição 😄.\n",
    )
    return designed(made, "Olá Festas", lang="pt")


def subject_at_the_limit() -> dict[str, Any]:
    item = "lamp, kettle, rug; "
    return mail(
        "Inventory <inventory@example.org>",
        ["warehouse@example.org"],
        ("Missing after stock-taking: " + item * 110)[:1990] + "end.",
        "The list is in the subject, because the scanner at gate 4 shows nothing else.\n",
    )


def fifty_recipients() -> dict[str, Any]:
    made = mail(
        "Alerts <alerts@example.com>",
        [f"On-call {number} <oncall-{number}@example.com>" for number in range(1, 31)],
        "Maintenance tonight, 22:00 to 23:30 UTC",
        "The billing database moves to new disks. Reads stay up, writes pause for about four minutes.\n",
        cc=[f"manager-{number}@example.net" for number in range(1, 11)],
        bcc=[f"auditor-{number}@example.org" for number in range(1, 11)],
    )
    return designed(made, "Status", lang="en")


def sender_international() -> dict[str, Any]:
    made = mail(
        "Bücherstube am Markt <laden@bücher.example>",
        ["Änne Voß <aenne@example.net>"],
        "Ihr Buch liegt bereit",
        "Liebe Frau Voß,\n\n»Der Zauberberg« ist eingetroffen und liegt bis Samstag für Sie bereit.\n",
    )
    return designed(made, "Bücherstube", lang="de")


def parcel_danish() -> dict[str, Any]:
    made = mail(
        "Pakkeshop Ærø <pakker@example.org>",
        "Søren Kjærgård <soeren@example.org>, Mette Østergård <mette@example.org>",
        "Din pakke er klar til afhentning",
        "Hej Søren og Mette\n\nJeres pakke kan hentes på havnen frem til onsdag kl. 17. Husk billedlegitimation.\n",
    )
    return designed(made, "Pakkeshop Ærø", lang="da")


def explicit_nulls() -> dict[str, Any]:
    made = mail(
        "shop@example.net",
        ["buyer@example.net"],
        "Your review helps others",
        "How was the bicycle bell? https://shop.example.net/review/5512\n",
        tag=None,
        lane=None,
        track_opens=None,
        track_links=None,
        send_at=None,
        expires_at=None,
        idempotency_key=None,
        on_unknown=None,
        id="019a5348-3c00-7000-8000-0000000b5512",
    )
    return designed(made, "Shop", lang="en")


def template_leftovers() -> dict[str, Any]:
    broken = "<div><p>Hello {{ first_name }},<p>your <b>parcel <i>is</b> here</i><br><table><tr><td>Locker 12"
    return mail(
        "Lockers <lockers@example.com>",
        ["guest@example.com"],
        "Parcel in locker 12",
        html=broken + "<!-- never closed --><script>track()</script>",
    )


def long_letter() -> dict[str, Any]:
    clauses = (
        "The service may be used by persons who are at least sixteen years old.",
        "Backups are kept for thirty days and then deleted for good.",
        "Either side may end the contract at the end of a month, in writing.",
        "We tell you about changes to these terms six weeks before they take effect.",
        "If a part of these terms does not hold, the others still do.",
    )
    listed = "\n\n".join(f"{number}. {clauses[number % len(clauses)]}" for number in range(1, 101))
    return mail(
        "Legal <legal@example.com>",
        ["Everyone <all-customers@example.com>"],
        "Our new terms, in full",
        f"These terms apply from 1 January 2027.\n\n{listed}\n",
        html=pages.bare("<h1>Terms</h1>" + pages.paragraphs(listed)),
        stream="legal-notices",
        on_unknown="hold",
    )


def exam_results_mongolian() -> dict[str, Any]:
    made = mail(
        "Их сургууль <dun@example.org>",
        ["Болормаа <bolormaa@example.org>"],
        "Шалгалтын дүн гарлаа",
        "Сайн байна уу, Болормаа?\n\nТаны шалгалтын дүн: 92 оноо. Дэлгэрэнгүй: https://dun.example.org/r/3381\n",
        track_links="TextOnly",
    )
    return designed(made, "Их сургууль", lang="mn")


def text_of_the_east() -> dict[str, Any]:
    return mail(
        "திருமண அழைப்பு <invite@example.com>",
        ["கவிதா <kavitha@example.com>", "ნინო <nino@example.com>", "Անի <ani@example.com>"],
        "திருமண அழைப்பிதழ் · მოწვევა · Հրավեր",
        "அன்புடன் அழைக்கிறோம்.\nგეპატიჟებით ქორწილში.\nՀրավիրում ենք հարսանիքի։\n",
    )


MAKERS: Final[tuple[Callable[[], dict[str, Any]], ...]] = (
    delivery_chinese,
    booking_arabic,
    library_persian,
    event_emoji,
    subject_at_the_limit,
    fifty_recipients,
    sender_international,
    parcel_danish,
    explicit_nulls,
    template_leftovers,
    long_letter,
    exam_results_mongolian,
    text_of_the_east,
)
