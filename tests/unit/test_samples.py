# ruff: noqa: RUF001 (texts in many scripts)
"""The good samples: each is read as a mail that says what its writer meant, and survives every form we keep it in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

import atum_schema
from atum_schema.document import decode, encode, mail_to_document
from atum_schema.document_content import content_of, decode_content
from atum_schema.mail import Mail
from tests.samples import make_samples

FOLDER = make_samples.FOLDER
GOOD = sorted(path for path in FOLDER.iterdir() if path.suffix in {".eml", ".json"})
DOCUMENTS = [path for path in GOOD if path.suffix == ".json"]
_EXAMPLE_DOMAINS = {"example.com", "example.org", "example.net"}

#: What a person sees in samples that are written in charsets and forms of every kind: subject, first recipient, text.
SEEN = {
    "account-closed-dutch.eml": ("Uw rekening is gesloten", "Vries, Pieter de", "EUR 182,40"),
    "appointment-hindi.eml": ("आपकी मुलाक़ात की पुष्टि", "अनिता शर्मा", "मुलाक़ात शुक्रवार"),
    "appointment-thai.eml": ("ยืนยันนัดหมายของท่าน", "สมชาย ใจดี", "วันศุกร์ที่ 13"),
    "course-czech.eml": ("Potvrzení přihlášky na kurz", "Božena Šťastná", "„Žluťoučký kůň – kaligrafie"),
    "donation-thanks-ukrainian.eml": ("Дякуємо за Вашу пожертву!", "Оксана Ґудзь", "Квитанція № 77-Б"),
    "invoice-russian.eml": ("Счёт N 1147 за октябрь", "Ольга Петрова", "абонентский отдел"),
    "minutes-with-commas.eml": ("Protokoll vom 3. November", "Weiß, Käthe", "Weiß, Özdemir, Nguyễn"),
    "order-confirmation-german.eml": ("Ihre Bestellung 88-20417: Bestätigung", "Jürgen Groß", "Kaffeemühle"),
    "order-delayed-spanish.eml": ("Tu pedido se retrasa – y te damos 5 €", "Begoña Ibáñez", "“Ñandú”"),
    "order-korean.eml": ("[주문완료] 결제가 완료되었습니다", "김민수", "결제금액: 59,000원"),
    "order-shipped-japanese.eml": ("【和雑貨みなと】商品を発送いたしました", "佐藤 花子", "「青海波」"),
    "order-shipped-polish.eml": ("Twoja paczka jest już w drodze", "Łukasz Wiśniewski", "Życzymy udanych"),
    "order-traditional-chinese.eml": ("訂單確認通知", "陳怡君", "高山烏龍茶 150 公克"),
    "password-reset-arabic.eml": ("إعادة تعيين كلمة المرور الخاصة بك", "ليلى حداد", "خلال ساعة واحدة"),
    "payment-failed-french.eml": (
        "Échec du paiement de 29,90 €",
        "Cœlia Lefèvre",
        "Le prélèvement de 29,90 €",
    ),
    "raw-utf8-headers.eml": ("Vé tàu Hà Nội – Đà Nẵng của bạn", "Trần Thị Hương", "đặt thành công"),
    "refund-turkish.eml": ("İade talebiniz onaylandı", "Ayşe Yıldız", "İade numarası: İA-10482"),
    "statement-greek.eml": ("Κινήσεις λογαριασμού", "Γιώργος Παπαδόπουλος", "Για απορίες καλέστε"),
    "suspicious-sign-in-chinese.eml": ("您的账户在新设备上登录", "王芳", "地点：上海市"),
    "two-factor-enabled-hebrew.eml": ("אימות דו-שלבי הופעל בחשבונך", "נועה לוי", "קודי הגיבוי"),
    "unix-line-ends.eml": ("✅ main: build 5521 passed", "", "passed in 4 min"),
    "verify-address-japanese.eml": ("メールアドレスの確認をお願いします", "山田 太郎", "有効期限は24時間"),
    "sender-international.json": ("Ihr Buch liegt bereit", "Änne Voß", "»Der Zauberberg«"),
    "text-of-the-east.json": ("திருமண அழைப்பிதழ் · მოწვევა · Հրավեր", "கவிதா", "გეპატიჟებით"),
}


def read(path: Path) -> Mail:
    data = path.read_bytes()
    return Mail.from_eml(data) if path.suffix == ".eml" else decode(data)


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=[path.name for path in paths])


def test_the_committed_samples_are_what_the_generator_makes() -> None:
    assert {path.name: path.read_bytes() for path in GOOD} == make_samples.good()


def test_there_are_sixty_samples_or_more_and_a_third_are_documents() -> None:
    assert len(GOOD) >= 60
    assert 0.25 <= len(DOCUMENTS) / len(GOOD) <= 0.4


def test_the_samples_stay_small() -> None:
    assert (
        sum(path.stat().st_size for path in FOLDER.rglob("*") if path.suffix in {".eml", ".json"}) < 1_500_000
    )


@each(GOOD)
def test_a_sample_comes_back_unchanged_from_its_document(path: Path) -> None:
    mail = read(path)
    assert decode(encode(mail)) == mail


@each(GOOD)
def test_the_document_of_a_sample_fits_the_json_schema(path: Path) -> None:
    validator = Draft202012Validator(_schema())
    validator.validate(orjson.loads(orjson.dumps(mail_to_document(read(path)))))


@each(DOCUMENTS)
def test_a_document_as_it_was_written_fits_the_json_schema(path: Path) -> None:
    Draft202012Validator(_schema()).validate(orjson.loads(path.read_bytes()))


@each(GOOD)
def test_the_stored_content_of_a_sample_has_all_that_it_shows(path: Path) -> None:
    mail = read(path)
    content = decode_content(content_of(mail))
    assert content["subject"] == mail.subject
    assert content["to"] == [str(address) for address in mail.to]
    assert content.get("html") == (mail.html or None)
    assert content["text"].strip()
    assert len(content.get("attachments", ())) == len(mail.attachments)


@each(GOOD)
def test_a_sample_goes_to_example_domains_only(path: Path) -> None:
    assert {address.domain for address in read(path).recipients} <= _EXAMPLE_DOMAINS


@each(GOOD)
def test_nothing_in_a_sample_was_misread(path: Path) -> None:
    mail = read(path)
    shown = (
        mail.subject,
        mail.text or "",
        mail.html or "",
        *(str(address) for address in (mail.sender, *mail.recipients, *mail.reply_to)),
        *(attachment.name for attachment in mail.attachments),
    )
    for text in shown:
        assert "\ufffd" not in text
        assert "\r" not in text
        assert "=?" not in text


@pytest.mark.parametrize("name", SEEN)
def test_a_sample_shows_what_its_writer_meant(name: str) -> None:
    subject, recipient, fragment = SEEN[name]
    mail = read(FOLDER / name)
    assert mail.subject == subject
    assert mail.to[0].name == recipient
    assert fragment in (mail.text or "")


def test_a_reset_link_can_be_used_from_the_text_of_a_mail_with_html_alone() -> None:
    mail = read(FOLDER / "password-reset-html-only.eml")
    assert mail.text is None
    text = decode_content(content_of(mail))["text"]
    assert "https://konto.example.org/passwort/neu?schluessel=Zx81-QL92-K07b" in text
    assert "Neues Passwort festlegen" in text


def test_a_forwarded_message_is_attached_as_it_was() -> None:
    (attachment,) = read(FOLDER / "forwarded-message.eml").attachments
    inner = Mail.from_eml(attachment.content)
    assert inner.subject == "Devis pour 40 personnes, déjeuner du 18"
    assert "un menu à 32 € par personne" in (inner.text or "")


def test_recipients_of_repeated_headers_are_all_kept() -> None:
    mail = read(FOLDER / "many-recipients.eml")
    assert [address.name for address in mail.to][6:8] == ["Goran", "Hana"]
    assert [address.name for address in mail.cc] == ["Conductor, The", 'Stage "Left" Crew']
    assert [address.email for address in mail.bcc] == ["chair@example.org", "treasurer@example.org"]
    assert [address.email for address in mail.reply_to] == ["choir@example.org", "rehearsals@example.org"]


def test_file_names_of_every_style_are_read() -> None:
    names = {attachment.name for path in GOOD for attachment in read(path).attachments}
    assert "Schlussrechnung Möwenstraße 7 – Dachsanierung 2026.pdf" in names
    assert "Verkäufe KW 44–45.xlsx" in names
    assert "請求書_2026年10月.pdf" in names


def _schema() -> dict[str, Any]:
    path = Path(atum_schema.__file__).parent / "jsonschema" / "mail.schema.json"
    schema: dict[str, Any] = orjson.loads(path.read_bytes())
    return schema
