"""HTML as four kinds of senders write it: tables for old readers, a bare page, a card, an office suite's export."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def bare(body: str, lang: str = "en") -> str:
    """Give a page without any style."""
    return f'<!DOCTYPE html>\n<html lang="{lang}">\n<head><meta charset="utf-8"></head>\n<body>\n{body}\n</body>\n</html>\n'


def tables(
    brand: str, body: str, footer: str, *, colour: str = "#1f4e79", lang: str = "en", rtl: bool = False
) -> str:
    """Give a page of nested tables with styles in place, as newsletter tools do."""
    direction = ' dir="rtl"' if rtl else ""
    side = "right" if rtl else "left"
    return f"""<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml" lang="{lang}"{direction}>
<head>
<meta name="viewport" content="width=device-width, initial-scale=1.0" />
<!--[if mso]><style>table {{ border-collapse: collapse; }}</style><![endif]-->
<style type="text/css">
  body, table, td, a {{ -webkit-text-size-adjust: 100%; -ms-text-size-adjust: 100%; }}
  table, td {{ mso-table-lspace: 0pt; mso-table-rspace: 0pt; }}
  img {{ border: 0; height: auto; line-height: 100%; outline: none; text-decoration: none; }}
  #outlook a {{ padding: 0; }}
  .ExternalClass {{ width: 100%; }}
  @media only screen and (max-width: 600px) {{
    .wrap {{ width: 100% !important; }}
    .stack {{ display: block !important; width: 100% !important; }}
  }}
</style>
</head>
<body style="margin:0;padding:0;background-color:#f2f3f5;">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"><tr><td align="center">
<table role="presentation" class="wrap" width="600" cellpadding="0" cellspacing="0" border="0" bgcolor="#ffffff">
<tr><td style="padding:20px 32px;background-color:{colour};color:#ffffff;font:bold 20px Arial,sans-serif;text-align:{side};">{brand}</td></tr>
<tr><td style="padding:32px;font:15px/1.5 Arial,sans-serif;color:#333333;text-align:{side};">
{body}
</td></tr>
<tr><td style="padding:16px 32px;font:12px Arial,sans-serif;color:#8a8f98;text-align:{side};">{footer}</td></tr>
</table>
</td></tr></table>
</body>
</html>
"""


def card(title: str, body: str, *, lang: str = "en") -> str:
    """Give a page with a style sheet and a dark mode, as modern frameworks do."""
    return f"""<!doctype html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
  body {{ font-family: system-ui, sans-serif; background: #fafafa; color: #222; }}
  main {{ max-width: 34rem; margin: 2rem auto; padding: 2rem; background: #fff; border-radius: 12px; }}
  a.button {{ display: inline-block; padding: .7rem 1.4rem; background: #0b6e4f; color: #fff; border-radius: 6px; }}
  @media (prefers-color-scheme: dark) {{ body {{ background: #111; color: #eee; }} main {{ background: #1c1c1c; }} }}
</style>
</head>
<body><main>
<h1>{title}</h1>
{body}
</main></body>
</html>
"""


def office(body: str, charset: str = "windows-1252") -> str:
    """Give a page as word processors export it."""
    return f"""<html xmlns:o="urn:schemas-microsoft-com:office:office" xmlns:w="urn:schemas-microsoft-com:office:word">
<head>
<meta http-equiv="Content-Type" content="text/html; charset={charset}">
<meta name="Generator" content="Microsoft Word 15 (filtered medium)">
<style><!--
p.MsoNormal {{ margin:0cm; font-size:11.0pt; font-family:"Calibri",sans-serif; }}
--></style>
</head>
<body lang="EN-GB" link="#0563C1" vlink="#954F72"><div class="WordSection1">
{body}
</div></body>
</html>
"""


def paragraphs(text: str) -> str:
    """Turn blocks of text into paragraphs."""
    return "\n".join(f"<p>{block.strip()}</p>" for block in text.strip().split("\n\n"))


def button(label: str, url: str, colour: str = "#1f4e79") -> str:
    """Give a link that looks like a button."""
    style = f"display:inline-block;padding:12px 24px;background-color:{colour};color:#ffffff;text-decoration:none;"
    return f'<p><a href="{url}" style="{style}">{label}</a></p>'


def grid(rows: Iterable[Sequence[str]]) -> str:
    """Give a table, its first row as head."""
    first, *rest = rows
    head = "".join(f'<th align="left">{cell}</th>' for cell in first)
    lines = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rest)
    return f'<table width="100%" cellpadding="6" cellspacing="0">\n<tr>{head}</tr>\n{lines}\n</table>'
