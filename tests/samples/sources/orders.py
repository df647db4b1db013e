# ruff: noqa: RUF001 (texts in many scripts)
"""Mails about orders: receipts, shipping, refunds, tickets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.samples.sources import files, pages
from tests.samples.sources.bodies import both
from tests.samples.sources.mime import eml, file, html, mailbox, multipart, plain, words

if TYPE_CHECKING:
    from collections.abc import Callable


def receipt_coffee() -> bytes:
    rows = (("Item", "Qty", "Price"), ("Flat white", "2", "$9.00"), ("Almond croissant", "1", "$4.75"))
    text = """Thanks for stopping by, Marcus!

  2 x Flat white          $9.00
  1 x Almond croissant    $4.75
  ------------------------------
  Total                  $13.75   (Visa ending 4242)

You have collected 7 of 10 beans. Three more and the next cup is on us.
"""
    body = pages.paragraphs("Thanks for stopping by, Marcus!") + pages.grid(rows)
    body += pages.paragraphs("Total: <b>$13.75</b> (Visa ending 4242)\n\nYou have collected 7 of 10 beans.")
    page = pages.tables("Bean &amp; Gone", body, "Receipt 2026-11-0412", colour="#5b3a29")
    headers = (
        ("From", "Bean & Gone <receipts@example.com>"),
        ("To", "Marcus Webb <marcus@example.com>"),
        ("Subject", words("☕ Your receipt from Bean & Gone ($13.75)")),
        ("X-PM-Tag", "receipt"),
    )
    return eml(headers, multipart("alternative", plain(text), html(page)))


def order_confirmation_german() -> bytes:
    text = """Sehr geehrter Herr Groß,

vielen Dank für Ihre Bestellung Nr. 88-20417 vom 5. November 2026.

  1 Kaffeemühle "Müller" in Grün           89,00 EUR
  2 Päckchen Röstkaffee, je 500 g          17,80 EUR
  Versand nach Österreich                   6,90 EUR
  --------------------------------------------------
  Summe inklusive Mehrwertsteuer          113,70 EUR

Wir schicken die Ware voraussichtlich übermorgen ab.

Mit freundlichen Grüßen
Ihre Rösterei Böhm
"""
    headers = (
        ("From", mailbox("Rösterei Böhm", "bestellung@example.net", "iso-8859-1", "Q")),
        ("To", mailbox("Jürgen Groß", "juergen.gross@example.net", "iso-8859-1", "Q")),
        ("Subject", words("Ihre Bestellung 88-20417: Bestätigung", "iso-8859-1", "Q")),
    )
    return eml(headers, both(text, "Rösterei Böhm", lang="de", charset="iso-8859-1"))


def order_shipped_polish() -> bytes:
    text = """Dzień dobry, Panie Łukaszu!

Paczka z zamówieniem nr 5512/2026 została nadana. Kurier doręczy ją w piątek,
między godziną 9:00 a 13:00.

Śledzenie przesyłki: https://paczki.example.org/sledz/PL00551277

Życzymy udanych zakupów,
Księgarnia Żółta Łódź
"""
    headers = (
        ("From", mailbox("Księgarnia Żółta Łódź", "sklep@example.org", "iso-8859-2", "Q")),
        ("To", mailbox("Łukasz Wiśniewski", "lukasz@example.org", "iso-8859-2", "Q")),
        ("Subject", words("Twoja paczka jest już w drodze", "iso-8859-2", "Q")),
    )
    return eml(headers, both(text, "Księgarnia Żółta Łódź", lang="pl", charset="iso-8859-2"))


def order_shipped_japanese() -> bytes:
    text = """佐藤 花子 様

ご注文の商品を発送いたしました。

  ご注文番号：A-2026-1105-08
  商品名：手ぬぐい「青海波」 2枚
  お届け予定日：11月7日（土）

お荷物の状況は次のページでご確認いただけます。
https://shop.example.com/track/0811052026

またのご利用を心よりお待ちしております。
"""
    rows = (("商品", "数量", "金額"), ("手ぬぐい「青海波」", "2", "3,300円"))
    body = pages.paragraphs("佐藤 花子 様\n\nご注文の商品を発送いたしました。") + pages.grid(rows)
    body += '<p><a href="https://shop.example.com/track/0811052026">お荷物の状況を見る</a></p>'
    headers = (
        ("From", mailbox("和雑貨みなと", "orders@example.com", "shift_jis")),
        ("To", mailbox("佐藤 花子", "hanako@example.com", "shift_jis")),
        ("Subject", words("【和雑貨みなと】商品を発送いたしました", "shift_jis")),
    )
    content = multipart(
        "alternative",
        plain(text, "shift_jis", "base64"),
        html(f"<html><body>{body}</body></html>", "shift_jis"),
    )
    return eml(headers, content)


def order_delayed_spanish() -> bytes:
    text = """Hola, Begoña:

Lo sentimos: tu pedido n.º 30991 llegará más tarde de lo previsto. El proveedor
nos ha confirmado que la cafetera “Ñandú” volverá a estar disponible el día 19.

Mientras tanto te hemos abonado 5 € en tu monedero. ¿Prefieres cancelar?
Puedes hacerlo aquí: https://tienda.example.com/pedidos/30991/cancelar

Un saludo,
Iñaki – Atención al cliente
"""
    body = pages.paragraphs(text)
    headers = (
        ("From", mailbox("Atención al cliente", "clientes@example.com", "windows-1252", "Q")),
        ("To", mailbox("Begoña Ibáñez", "begona@example.com", "windows-1252", "Q")),
        ("Subject", words("Tu pedido se retrasa – y te damos 5 €", "windows-1252", "Q")),
    )
    page = pages.office(body)
    return eml(headers, multipart("alternative", plain(text, "windows-1252"), html(page, "windows-1252")))


def order_korean() -> bytes:
    text = """김민수 고객님, 안녕하세요.

주문하신 상품의 결제가 완료되었습니다.

  주문번호: 2026110500317
  상품명: 무선 키보드 (한/영)
  결제금액: 59,000원

배송 조회: https://mall.example.net/orders/2026110500317

감사합니다.
"""
    headers = (
        ("From", mailbox("고객센터", "help@example.net", "euc-kr")),
        ("To", mailbox("김민수", "minsu.kim@example.net", "euc-kr")),
        ("Subject", words("[주문완료] 결제가 완료되었습니다", "euc-kr")),
    )
    return eml(headers, both(text, "고객센터", lang="ko", charset="euc-kr", encoding="base64"))


def refund_turkish() -> bytes:
    text = """Sayın Ayşe Yıldız,

İade talebiniz onaylandı. 249,90 TL tutarındaki ödeme, üç iş günü içinde
kartınıza yansıtılacaktır.

İade numarası: İA-10482
Ayrıntılar: https://magaza.example.com/iade/10482

Teşekkür ederiz,
Müşteri Hizmetleri
"""
    headers = (
        ("From", mailbox("Müşteri Hizmetleri", "destek@example.com", "iso-8859-9", "Q")),
        ("To", mailbox("Ayşe Yıldız", "ayse.yildiz@example.com", "iso-8859-9", "Q")),
        ("Subject", words("İade talebiniz onaylandı", "iso-8859-9", "Q")),
    )
    return eml(headers, both(text, "Mağaza", lang="tr", charset="iso-8859-9"))


def receipt_inline_logo() -> bytes:
    text = "Payment of $48.00 to Northwind Cycles received.\n\nCard: Mastercard ending 0091\nReference: NW-77302\n"
    body = '<p><img src="cid:logo.northwind@example.org" width="48" height="48" alt="Northwind Cycles"></p>'
    body += pages.grid((("Reference", "Amount"), ("NW-77302", "$48.00")))
    body += (
        '<p>Keep this mail as your receipt, or <a href="https://pay.example.org/r/NW-77302">print it</a>.</p>'
    )
    related = multipart(
        "related",
        html(pages.bare(body)),
        file("logo.png", files.logo(0x0B6E4F), "image/png", cid="logo.northwind@example.org"),
    )
    headers = (
        ("From", "Northwind Cycles <payments@example.org>"),
        ("To", "Tom Okafor <tom.okafor@example.org>"),
        ("Subject", "Receipt NW-77302"),
    )
    return eml(headers, multipart("alternative", plain(text), related))


def order_traditional_chinese() -> bytes:
    text = """陳小姐您好：

感謝您的訂購，我們已收到您的付款。

訂單編號：TW-20261105-019
品項：高山烏龍茶 150 公克 × 3
出貨日期：十一月六日

如需修改收件地址，請於今日下午五點前來信。
"""
    headers = (
        ("From", mailbox("茶山行", "service@example.org", "big5")),
        ("To", mailbox("陳怡君", "yichun@example.org", "big5")),
        ("Subject", words("訂單確認通知", "big5")),
    )
    return eml(headers, both(text, "茶山行", lang="zh-TW", charset="big5", encoding="base64"))


def pickup_code_italian() -> bytes:
    body = pages.paragraphs(
        "Ciao Nicolò,\n\nil tuo ordine è pronto! Mostra questo codice al banco entro sabato, così te lo consegniamo "
        "subito. Perché non passi già oggi?"
    )
    body += '<p><img src="cid:codice-ritiro" alt="Codice 4471-B"></p><p>Codice: <b>4471-B</b></p>'
    related = multipart(
        "related",
        html(pages.bare(body, "it")),
        file("codice.png", files.square_code("4471-B"), "image/png", cid="codice-ritiro"),
        file("spazio.gif", files.PIXEL_GIF, "image/gif", cid="unused-spacer"),
    )
    headers = (
        ("From", mailbox("Libreria Città Alta", "ritiri@example.net", how="Q")),
        ("To", mailbox("Nicolò Bassi", "nicolo@example.net", how="Q")),
        ("Subject", words("Il tuo ordine è pronto per il ritiro", how="Q")),
    )
    return eml(headers, related)


def ticket_concert() -> bytes:
    text = "Your 2 tickets for The Paper Lanterns, 21 November 2026, 20:00, Old Mill Hall.\nPrint the PDF or show the code.\n"
    body = pages.paragraphs(
        "Your 2 tickets for <b>The Paper Lanterns</b>\n\n21 November 2026, 20:00, Old Mill Hall"
    )
    body += '<p><img src="cid:entry-code@tickets.example.com" alt="Entry code"></p>'
    related = multipart(
        "related",
        html(pages.tables("Ticket Booth", body, "Order TB-5520", colour="#6a1b9a")),
        file("entry.png", files.square_code("TB-5520-A7"), "image/png", cid="entry-code@tickets.example.com"),
    )
    ticket = files.pdf(
        "The Paper Lanterns", "21 November 2026, 20:00", "Old Mill Hall", "Row C, seats 11 and 12"
    )
    content = multipart(
        "mixed",
        multipart("alternative", plain(text), related),
        file("tickets-TB-5520.pdf", ticket, "application/pdf"),
        preamble="This is a multi-part message in MIME format.",
    )
    headers = (
        ("From", "Ticket Booth <tickets@example.com>"),
        ("To", mailbox("Zoë Hart", "zoe@example.com")),
        ("Cc", mailbox("René Faure", "rene@example.com")),
        ("Subject", words("🎟️ Your tickets: The Paper Lanterns 🎶")),
    )
    return eml(headers, content)


MAKERS: Final[tuple[Callable[[], bytes], ...]] = (
    receipt_coffee,
    order_confirmation_german,
    order_shipped_polish,
    order_shipped_japanese,
    order_delayed_spanish,
    order_korean,
    refund_turkish,
    receipt_inline_logo,
    order_traditional_chinese,
    pickup_code_italian,
    ticket_concert,
)
