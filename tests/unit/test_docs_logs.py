"""The page about logs lists the keys as they are."""

from __future__ import annotations

from pathlib import Path

from atum_schema.log_keys import KEYS
from atum_schema.settings_metrics import LOG_FORMATS, LOG_LEVELS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "logs.md"


def test_the_page_lists_every_key_in_its_words() -> None:
    text = PAGE.read_text("utf-8")
    table = text.partition("<!-- keys -->\n")[2].partition("<!-- end of keys -->")[0]
    rows = "".join(f"| `{key}` | {says} |\n" for key, says in KEYS.items())
    assert table.strip() == f"| key | what it says |\n|---|---|\n{rows}".strip()


def test_the_page_names_every_format_and_level() -> None:
    text = PAGE.read_text("utf-8")
    assert [word for word in (*LOG_FORMATS, *LOG_LEVELS) if f"`{word}`" not in text] == []
