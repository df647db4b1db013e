"""docs/mail.md says what the code does: fields, limits, refusals and examples."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from atum_schema import limits
from atum_schema.document import mail_from_document
from atum_schema.errors import MailRejected
from atum_schema.mail import Mail

TEXT: Final = (Path(__file__).parents[2] / "docs" / "mail.md").read_text()
_ROWS: Final = {
    cells[0].strip("` "): cells[1:]
    for cells in re.findall(r"^\| (`\w+`) \| (.*) \| (.*) \| (.*) \|$", TEXT, re.MULTILINE)
}
_BASE: Final[dict[str, Any]] = {"sender": "a@example.com", "to": "b@example.com", "subject": "s", "text": "t"}
_NOON: Final = datetime(2026, 11, 5, 12, tzinfo=UTC)

#: What to give a field so that it answers with the refusal in its row.
_WRONG: Final[dict[str, dict[str, Any]]] = {
    "sender": {"sender": "shop"},
    "to": {"to": "a@example.com, Jane Doe"},
    "cc": {"cc": "jöhn@example.com"},
    "bcc": {"bcc": "Team: a@example.com"},
    "reply_to": {"reply_to": "help@example"},
    "subject": {"subject": "s" * 2001},
    "text": {"text": ""},
    "html": {"html": "h" * 5_000_001},
    "attachments": {"attachments": ["/etc/passwd"]},
    "headers": {"headers": {"Bcc": "x"}},
    "tag": {"tag": "a\nb"},
    "metadata": {"metadata": {"atum-mail": "x"}},
    "stream": {"stream": "a b"},
    "lane": {"lane": "Fast"},
    "track_opens": {"track_opens": "yes"},
    "track_links": {"track_links": "all"},
    "send_at": {"send_at": datetime(2026, 11, 5)},  # noqa: DTZ001
    "expires_at": {"send_at": _NOON, "expires_at": _NOON},
    "idempotency_key": {"idempotency_key": "ä"},
    "on_unknown": {"on_unknown": "guess"},
}


def test_every_field_of_a_mail_has_a_row_in_the_order_of_the_class() -> None:
    assert list(_ROWS) == [each.name for each in fields(Mail)]


@pytest.mark.parametrize("name", _WRONG)
def test_a_field_refuses_in_the_words_of_its_row(name: str) -> None:
    with pytest.raises(MailRejected) as caught:
        Mail(**(_BASE | _WRONG[name]))
    shown = str(caught.value)
    assert f"`{shown}`" == _ROWS[name][2]


def test_every_field_is_tried() -> None:
    assert set(_WRONG) == set(_ROWS)


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("sender", limits.FROM_CHARACTERS),
        ("to", limits.RECIPIENTS),
        ("reply_to", limits.RECIPIENTS),
        ("subject", limits.SUBJECT_UNITS),
        ("text", limits.BODY_BYTES),
        ("html", limits.BODY_BYTES),
        ("attachments", limits.MESSAGE_BYTES),
        ("headers", limits.HEADER_LINE_BYTES),
        ("tag", limits.TAG_CHARACTERS),
        ("metadata", limits.METADATA_FIELDS),
        ("metadata", limits.METADATA_KEY_CHARACTERS),
        ("metadata", limits.METADATA_VALUE_CHARACTERS),
        ("stream", limits.STREAM_CHARACTERS),
        ("lane", limits.LANE_CHARACTERS),
        ("idempotency_key", limits.IDEMPOTENCY_KEY_CHARACTERS),
    ],
)
def test_the_limits_of_a_row_are_those_of_the_code(name: str, limit: int) -> None:
    assert re.search(rf"\b{limit}\b", _ROWS[name][1])


def test_the_python_example_makes_a_mail() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102 (the page's own example)
    assert isinstance(names["mail"], Mail)


def test_the_json_example_is_a_mail() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    assert mail_from_document(orjson.loads(example)).attachments[0].content == b"Thanks"
