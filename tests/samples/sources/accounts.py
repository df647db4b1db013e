# ruff: noqa: RUF001 (texts in many scripts)
"""Mails about accounts: resets, codes, invitations, warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.samples.sources import pages
from tests.samples.sources.bodies import both
from tests.samples.sources.mime import eml, html, mailbox, multipart, plain, words

if TYPE_CHECKING:
    from collections.abc import Callable


def password_reset_english() -> bytes:
    link = "https://app.example.com/reset?token=4f1b9c2e7a&user=48213&utm_source=mail"
    text = f"""Hi Jane,

Somebody, hopefully you, asked to reset the password of your Harbor account.
Choose a new one here within the next hour:

{link}

If it was not you, ignore this mail; your password stays as it is.

The Harbor team
"""
    body = pages.paragraphs(
        "Hi Jane,\n\nsomebody, hopefully you, asked to reset the password of your Harbor account."
    )
    body += pages.button("Choose a new password", link.replace("&", "&amp;"))
    body += pages.paragraphs("The link works for one hour. If it was not you, ignore this mail.")
    page = pages.tables("Harbor", body, "Harbor Inc., 12 Quay Street, Springfield")
    headers = (
        ("From", "Harbor <no-reply@example.com>"),
        ("To", "Jane Doe <jane.doe@example.com>"),
        ("Subject", "Reset your Harbor password"),
        ("Message-ID", "<20261105093000.4f1b9c2e@app.example.com>"),
        ("X-PM-Tag", "password-reset"),
        ("X-PM-Metadata-user", "48213"),
    )
    return eml(headers, multipart("alternative", plain(text), html(page)))


def password_reset_html_only() -> bytes:
    link = "https://konto.example.org/passwort/neu?schluessel=Zx81-QL92-K07b"
    body = pages.paragraphs(
        "Guten Tag Frau Müller-Lüdenscheidt,\n\nfür Ihr Kundenkonto wurde ein neues Passwort angefordert. "
        "Klicken Sie innerhalb von 30&nbsp;Minuten auf die Schaltfläche, um es festzulegen."
    )
    body += f'<p><a class="button" href="{link}">Neues Passwort festlegen</a></p>'
    body += "<p>Haben Sie das nicht angefordert? Dann müssen Sie nichts tun.</p>"
    headers = (
        ("From", mailbox("Stadtbücherei Köln", "konto@example.org", how="Q")),
        ("To", mailbox("Gisela Müller-Lüdenscheidt", "g.mueller@example.org", how="Q")),
        ("Subject", words("Ihr neues Passwort für die Stadtbücherei", how="Q")),
    )
    return eml(headers, html(pages.card("Passwort zurücksetzen", body, lang="de")))


def password_reset_arabic() -> bytes:
    link = "https://app.example.net/ar/reset/9b7d2c41"
    text = f"""مرحبًا ليلى،

تلقينا طلبًا لإعادة تعيين كلمة المرور الخاصة بحسابك. لاختيار كلمة مرور جديدة افتحي الرابط التالي خلال ساعة واحدة:

{link}

إذا لم تطلبي ذلك فتجاهلي هذه الرسالة، ولن يتغير شيء في حسابك.

فريق الدعم
"""
    body = pages.paragraphs("مرحبًا ليلى،\n\nتلقينا طلبًا لإعادة تعيين كلمة المرور الخاصة بحسابك.")
    body += pages.button("تعيين كلمة مرور جديدة", link)
    page = pages.tables("سوق", body, "تصلك هذه الرسالة لأن لديك حسابًا لدينا.", lang="ar", rtl=True)
    headers = (
        ("From", mailbox("سوق", "support@example.net")),
        ("To", mailbox("ليلى حداد", "layla@example.net")),
        ("Subject", words("إعادة تعيين كلمة المرور الخاصة بك")),
    )
    return eml(
        headers, multipart("alternative", plain(text, encoding="base64"), html(page, encoding="base64"))
    )


def verify_address_japanese() -> bytes:
    text = """山田 太郎 様

このたびは会員登録をお申し込みいただき、ありがとうございます。
以下のリンクを開いて、メールアドレスの確認を完了してください。

https://members.example.com/verify/JP-77120934

リンクの有効期限は24時間です。
お心当たりのない場合は、このメールを破棄してください。
"""
    headers = (
        ("From", mailbox("会員サービス", "members@example.com", "iso-2022-jp")),
        ("To", mailbox("山田 太郎", "taro.yamada@example.com", "iso-2022-jp")),
        ("Subject", words("メールアドレスの確認をお願いします", "iso-2022-jp")),
    )
    return eml(headers, both(text, "会員サービス", lang="ja", charset="iso-2022-jp", encoding="7bit"))


def sign_in_alert_portuguese() -> bytes:
    text = """Olá, João!

Detectamos um novo acesso à sua conta:

  Dispositivo: Firefox no Linux
  Local: São Paulo, Brasil
  Horário: 5 de novembro de 2026, 06h12

Se foi você, está tudo certo. Caso contrário, proteja sua conta agora:
https://conta.example.com/seguranca?evento=a81f

Equipe de Segurança
"""
    body = pages.paragraphs("Olá, João!\n\nDetectamos um novo acesso à sua conta:")
    body += "<ul><li>Dispositivo: Firefox no Linux</li><li>Local: São Paulo, Brasil</li><li>Horário: 06h12</li></ul>"
    body += pages.button("Não fui eu", "https://conta.example.com/seguranca?evento=a81f", "#b00020")
    headers = (
        ("From", mailbox("Segurança", "seguranca@example.com", how="Q")),
        ("To", mailbox("João Guimarães", "joao@example.com", how="Q")),
        ("Subject", words("⚠️ Novo acesso à sua conta")),
        ("X-Priority", "1 (Highest)"),
        ("Importance", "high"),
    )
    return eml(headers, multipart("alternative", plain(text), html(pages.bare(body, "pt-BR"))))


def one_time_code_french() -> bytes:
    text = """Bonjour,

Votre code de connexion : 739 204

Il expire dans 10 minutes. Ne le communiquez à personne, même à un conseiller.

À bientôt,
L'équipe Trésorerie
"""
    headers = (
        ("From", mailbox("Trésorerie", "securite@example.org", "iso-8859-1", "Q")),
        ("To", "amelie.bernard@example.org"),
        ("Subject", words("Votre code à usage unique : 739 204", "iso-8859-1", "Q")),
        ("Auto-Submitted", "auto-generated"),
    )
    return eml(headers, plain(text, encoding="8bit"))


def two_factor_enabled_hebrew() -> bytes:
    text = """שלום נועה,

אימות דו-שלבי הופעל בחשבונך בתאריך 5 בנובמבר 2026.
קודי הגיבוי שלך זמינים כאן: https://account.example.net/backup-codes

אם לא ביצעת את השינוי, פני אלינו מיד.
"""
    headers = (
        ("From", mailbox("אבטחת חשבון", "security@example.net", "windows-1255")),
        ("To", mailbox("נועה לוי", "noa.levi@example.net", "windows-1255")),
        ("Subject", words("אימות דו-שלבי הופעל בחשבונך", "windows-1255")),
    )
    return eml(
        headers, both(text, "אבטחת חשבון", lang="he", charset="windows-1255", encoding="base64", rtl=True)
    )


def account_closed_dutch() -> bytes:
    text = """Beste meneer De Vries,

Zoals u vroeg hebben wij uw rekening op 4 november 2026 gesloten. Het resterende
saldo van EUR 182,40 is overgemaakt naar de door u opgegeven bankrekening.

Uw gegevens bewaren we nog zeven jaar, omdat de wet dat van ons vraagt. Daarna
worden ze verwijderd. Op https://www.example.org/privacy leest u hoe dat gaat.

Met vriendelijke groet,
Klantenservice
"""
    headers = (
        ("From", "Klantenservice <klantenservice@example.org>"),
        ("To", '"Vries, Pieter de" <p.devries@example.org>'),
        ("Subject", "Uw rekening is gesloten"),
    )
    return eml(headers, plain(text, "us-ascii", "7bit"))


def invitation_team_english() -> bytes:
    link = "https://boards.example.com/join/eng-platform/7Hq2"
    text = f"""Priya invited you to the workspace "Platform Engineering".

Join 14 colleagues who already plan their work there:
{link}

Questions? Just answer this mail, Priya and our help desk will both see it.
"""
    body = pages.paragraphs(
        "<b>Priya Raman</b> invited you to the workspace &ldquo;Platform Engineering&rdquo;."
    )
    body += f'<p><a class="button" href="{link}">Join the workspace</a></p>'
    headers = (
        ("From", '"Priya Raman (via Boards)" <invitations@example.com>'),
        ("To", "sam@example.com"),
        ("Reply-To", "Priya Raman <priya@example.com>,\r\n Boards Help Desk <help@example.com>"),
        ("Subject", "Priya Raman invited you to Platform Engineering"),
        ("X-PM-Tag", "invitation"),
        ("X-PM-Metadata-workspace", "eng-platform"),
        ("X-PM-Metadata-inviter", "u-2207"),
    )
    return eml(headers, multipart("alternative", plain(text), html(pages.card("You are invited", body))))


def suspicious_sign_in_chinese() -> bytes:
    text = """尊敬的王女士：

您的账户于2026年11月5日在一台新设备上登录。
地点：上海市
设备：Windows 电脑，Edge 浏览器

如果这不是您本人的操作，请立即修改密码：
https://passport.example.com/security/alert?id=550291

此邮件由系统自动发送，请勿直接回复。
"""
    headers = (
        ("From", mailbox("账户安全中心", "security@example.com", "gb18030")),
        ("To", mailbox("王芳", "wang.fang@example.com", "gb18030")),
        ("Subject", words("您的账户在新设备上登录", "gb18030")),
    )
    return eml(headers, both(text, "账户安全中心", lang="zh-CN", charset="gb18030", encoding="base64"))


MAKERS: Final[tuple[Callable[[], bytes], ...]] = (
    password_reset_english,
    password_reset_html_only,
    password_reset_arabic,
    verify_address_japanese,
    sign_in_alert_portuguese,
    one_time_code_french,
    two_factor_enabled_hebrew,
    account_closed_dutch,
    invitation_team_english,
    suspicious_sign_in_chinese,
)
