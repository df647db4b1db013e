"""The parts that documents are made of."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from tests.samples.sources.bodies import page


def mail(
    sender: str, to: str | list[str], subject: str, text: str | None = None, **more: Any
) -> dict[str, Any]:
    """Make a document."""
    body = {} if text is None else {"text": text}
    return {"version": 1, "from": sender, "to": to, "subject": subject, **body, **more}


def designed(document: dict[str, Any], brand: str, *, lang: str, rtl: bool = False) -> dict[str, Any]:
    """Add a page that says what the text says."""
    return document | {"html": page(document["text"], brand, lang=lang, rtl=rtl)}


def file(name: str, content: bytes, **more: str) -> dict[str, str]:
    """Make an item of the list of attachments."""
    return {"name": name, "content": b64encode(content).decode("ascii"), **more}
