# ruff: noqa: RUF001 (texts in many scripts)
"""Mails about money: invoices, statements, reminders, reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.samples.sources import files, pages
from tests.samples.sources.bodies import both
from tests.samples.sources.mime import (
    Part,
    continued_name,
    eml,
    extended_name,
    file,
    html,
    mailbox,
    multipart,
    plain,
    word_name,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def _pdf(name: str, *lines: str, style: Callable[[str], str] | None = None) -> Part:
    return file(name, files.pdf(*lines), "application/pdf", style=style)


def invoice_english() -> bytes:
    text = """Dear Accounts Team,

Please find attached invoice INV-2026-0981 for consulting in October, 34 hours.
The amount of GBP 4,080.00 is due on 5 December 2026.

Bank details are on the invoice. They have not changed; if you ever get a mail
that says otherwise, please ring us first.

Kind regards,
Fiona Campbell
"""
    body = pages.paragraphs(text)
    invoice = _pdf(
        "INV-2026-0981.pdf", "INVOICE INV-2026-0981", "34 h consulting, October 2026", "GBP 4,080.00"
    )
    headers = (
        ("From", "Fiona Campbell <fiona@example.com>"),
        ("To", "Accounts Payable <ap@example.org>"),
        ("Cc", '"Singh, Harpreet" <harpreet.singh@example.org>'),
        ("Subject", "Invoice INV-2026-0981"),
        ("Message-ID", "<inv-2026-0981@billing.example.com>"),
    )
    bodies = multipart("alternative", plain(text), html(pages.office(body), "windows-1252"))
    return eml(headers, multipart("mixed", bodies, invoice))


def invoice_german() -> bytes:
    text = """Guten Tag,

anbei erhalten Sie die Schlussrechnung für die Dachsanierung in der Möwenstraße 7.
Bitte überweisen Sie den Betrag von 12.480,00 € bis zum 30. November 2026.

Ihr Dachdeckermeister Strößner
"""
    invoice = _pdf(
        "Schlussrechnung Möwenstraße 7 – Dachsanierung 2026.pdf",
        "Schlussrechnung Nr. 2026/311",
        "Dachsanierung Möwenstraße 7",
        "12.480,00 €",
        style=continued_name,
    )
    headers = (
        ("From", mailbox("Dachdeckerei Strößner", "buero@example.net", how="Q")),
        ("To", mailbox("Hausverwaltung Kühn & Söhne", "rechnung@example.net", how="Q")),
        ("Subject", words("Schlussrechnung 2026/311 über 12.480,00 €", how="Q")),
    )
    return eml(headers, multipart("mixed", both(text, "Dachdeckerei Strößner", lang="de"), invoice))


def invoice_japanese() -> bytes:
    text = """株式会社サンプル
経理ご担当者様

いつもお世話になっております。
10月分の請求書をお送りいたします。ご査収のほど、よろしくお願いいたします。

ご請求金額：132,000円（税込）
お支払期限：2026年11月30日
"""
    invoice = _pdf("請求書_2026年10月.pdf", "INVOICE 2026-10", "JPY 132,000", style=word_name)
    headers = (
        ("From", mailbox("請求担当", "billing@example.com")),
        ("To", mailbox("経理部", "keiri@example.com")),
        ("Subject", words("【請求書】2026年10月分のご請求について")),
    )
    return eml(
        headers, multipart("mixed", both(text, "株式会社サンプル", lang="ja", encoding="base64"), invoice)
    )


def invoice_russian() -> bytes:
    text = """Здравствуйте, Ольга Сергеевна!

Направляем Вам счёт N 1147 за услуги связи за октябрь 2026 года.
Сумма к оплате: 1 890 руб. 00 коп.
Срок оплаты: до 20 ноября.

Оплатить счёт можно в личном кабинете: https://lk.example.net/bills/1147

С уважением,
абонентский отдел
"""
    headers = (
        ("From", mailbox("Абонентский отдел", "bills@example.net", "koi8-r")),
        ("To", mailbox("Ольга Петрова", "olga@example.net", "koi8-r")),
        ("Subject", words("Счёт N 1147 за октябрь", "koi8-r")),
    )
    return eml(headers, both(text, "Абонентский отдел", lang="ru", charset="koi8-r", encoding="8bit"))


def payment_failed_french() -> bytes:
    text = """Bonjour Cœlia,

Le prélèvement de 29,90 € prévu le 3 novembre a échoué : la banque l'a refusé.
Mettez à jour votre carte avant le 12 novembre pour garder votre abonnement.

https://abonnement.example.org/paiement/maj?ref=FR-20931

Merci, et à très vite !
"""
    body = pages.paragraphs("Bonjour Cœlia,\n\nle prélèvement de 29,90 € prévu le 3 novembre a échoué.")
    body += pages.button("Mettre à jour ma carte", "https://abonnement.example.org/paiement/maj?ref=FR-20931")
    headers = (
        ("From", mailbox("Revue L'Œuvre", "abonnements@example.org", "iso-8859-15", "Q")),
        ("To", mailbox("Cœlia Lefèvre", "coelia@example.org", "iso-8859-15", "Q")),
        ("Subject", words("Échec du paiement de 29,90 €", "iso-8859-15", "Q")),
        ("X-PM-Tag", "dunning"),
        ("X-PM-Metadata-invoice", "FR-20931"),
    )
    page = f"<html><body>{body}</body></html>"
    return eml(headers, multipart("alternative", plain(text, "iso-8859-15"), html(page, "iso-8859-15")))


def statement_greek() -> bytes:
    text = """Αγαπητέ κύριε Παπαδόπουλε,

Επισυνάπτονται οι κινήσεις του λογαριασμού σας για τους μήνες Σεπτέμβριο και
Οκτώβριο. Για απορίες καλέστε μας καθημερινά από τις 9 έως τις 5.

Με εκτίμηση,
Η Τράπεζά σας
"""
    headers = (
        ("From", mailbox("Η Τράπεζά σας", "statements@example.com", "iso-8859-7")),
        ("To", mailbox("Γιώργος Παπαδόπουλος", "giorgos@example.com", "iso-8859-7")),
        ("Subject", words("Κινήσεις λογαριασμού", "iso-8859-7")),
    )
    content = multipart(
        "mixed",
        both(text, "Η Τράπεζά σας", lang="el", charset="iso-8859-7"),
        _pdf("statement-2026-09.pdf", "Statement September 2026", "Closing balance EUR 1,204.11"),
        _pdf("statement-2026-10.pdf", "Statement October 2026", "Closing balance EUR 987.60"),
    )
    return eml(headers, content)


def payslip_archive() -> bytes:
    text = "Hello Ngozi,\n\nyour payslips for the third quarter are in the attached archive.\n\nPeople Operations\n"
    months = {
        f"payslip-2026-{month:02}.pdf": files.pdf(f"Payslip {month}/2026", "EUR 3,412.08")
        for month in (7, 8, 9)
    }
    headers = (
        ("From", "People Operations <people@example.org>"),
        ("To", "Ngozi Eze <ngozi.eze@example.org>"),
        ("Cc", "payroll-archive@example.org"),
        ("Subject", "Payslips Q3 2026"),
        ("Sensitivity", "Private"),
    )
    return eml(
        headers,
        multipart("mixed", plain(text), file("payslips-q3.zip", files.archive(months), "application/zip")),
    )


def donation_thanks_ukrainian() -> bytes:
    text = """Шановна пані Оксано!

Щиро дякуємо за Вашу пожертву 500 грн на користь міської бібліотеки.
Завдяки Вам ми придбаємо ще тридцять дитячих книжок.

Квитанція № 77-Б доступна за посиланням:
https://fond.example.org/receipt/77b

З повагою, Їжакевич Євген
"""
    headers = (
        ("From", mailbox("Благодійний фонд", "fond@example.org", "windows-1251")),
        ("To", mailbox("Оксана Ґудзь", "oksana@example.org", "windows-1251")),
        ("Subject", words("Дякуємо за Вашу пожертву!", "windows-1251")),
    )
    return eml(headers, both(text, "Благодійний фонд", lang="uk", charset="windows-1251"))


def price_change_long_headers() -> bytes:
    references = "\r\n ".join(f"<notice.{number:04}.c7e1f0a2b9d4@lists.example.com>" for number in range(14))
    campaign = "; ".join(f"segment-{number}=cohort-{number * 37 % 101}" for number in range(30))
    text = """Dear customer,

from 1 January 2027 the Standard plan costs $12 a month instead of $10. Nothing
changes for you until your next renewal, and you can switch or leave at any time.

What has changed since the last adjustment in 2022: twice the storage, shared
folders, and support that answers within a working day.

https://www.example.com/plans
"""
    headers = (
        ("From", "Plans <plans@example.com>"),
        ("To", "customer-40817@example.com"),
        (
            "Subject",
            "A change to the price of your plan, announced eight weeks ahead\r\n so that you have time to decide",
        ),
        ("References", references),
        (
            "List-Unsubscribe",
            "<https://www.example.com/unsubscribe/40817>,\r\n <mailto:leave@example.com?subject=leave>",
        ),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("X-Campaign", campaign),
        (
            "Received",
            "from app7.example.com (app7.example.com [192.0.2.17])\r\n\tby mx.example.com with ESMTPS id 77Q",
        ),
    )
    return eml(headers, plain(text, "us-ascii", "7bit"))


def reminder_swedish() -> bytes:
    text = """Hej!

Det här är en vänlig påminnelse om faktura 60218, 1 250 kr, som förföll den
31 oktober. Har ni redan betalat kan ni bortse från det här meddelandet.

Vänliga hälsningar
Åsa Sjöberg, Ekonomi
"""
    to = (
        mailbox("Björn Åkesson", "bjorn@example.net", how="Q"),
        mailbox("Ekonomiavdelningen, Norrköping", "ekonomi@example.net", how="Q"),
        '"Holm, Eva" <eva.holm@example.net>',
    )
    headers = (
        ("From", mailbox("Åsa Sjöberg", "asa@example.net", how="Q")),
        ("To", ",\r\n ".join(to)),
        ("Subject", words("Påminnelse: faktura 60218", how="Q")),
    )
    return eml(headers, both(text, "Ekonomi", lang="sv"))


def report_workbook() -> bytes:
    rows = (("Week", "Orders", "Revenue"), ("44", "1,204", "18,220.50"), ("45", "1,377", "20,915.00"))
    table = "\r\n".join(";".join(row) for row in rows).encode()
    text = "Weekly sales report, weeks 44 and 45. The workbook and the raw CSV are attached.\n"
    sheet_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    content = multipart(
        "mixed",
        multipart("alternative", plain(text), html(pages.bare(pages.grid(rows)))),
        file("Verkäufe KW 44–45.xlsx", files.workbook(rows), sheet_type, style=extended_name),
        file("sales.csv", table, "text/csv; charset=utf-8"),
    )
    headers = (
        ("From", "Reports <reports@example.com>"),
        ("To", "sales-leads@example.com, Dana Whitfield <dana@example.com>"),
        ("Bcc", "archive@example.com"),
        ("Subject", "Weekly sales report"),
    )
    return eml(headers, content)


MAKERS: Final[tuple[Callable[[], bytes], ...]] = (
    invoice_english,
    invoice_german,
    invoice_japanese,
    invoice_russian,
    payment_failed_french,
    statement_greek,
    payslip_archive,
    donation_thanks_ukrainian,
    price_change_long_headers,
    reminder_swedish,
    report_workbook,
)
