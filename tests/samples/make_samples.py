"""Make the sample mails again: ``python -m tests.samples.make_samples``. The same bytes come out every time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.samples.sources import accounts, bad, bills, documents, documents_wide, orders, people

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parent


def good() -> dict[str, bytes]:
    """Make all good samples, by file name."""
    messages = (*accounts.MAKERS, *orders.MAKERS, *bills.MAKERS, *people.MAKERS)
    made = {_name(maker, "eml"): maker() for maker in messages}
    for place, maker in enumerate((*documents.MAKERS, *documents_wide.MAKERS)):
        made[_name(maker, "json")] = written(maker(), compact=place % 3 == 0)
    return made


def written(document: dict[str, Any], *, compact: bool) -> bytes:
    """Write a document as programs do (compact, ASCII only) or as people do (indented)."""
    if compact:
        return json.dumps(document, separators=(",", ":")).encode()
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def _name(maker: Callable[[], object], extension: str) -> str:
    return f"{maker.__name__.replace('_', '-')}.{extension}"


def main() -> None:
    """Write all samples and remove what is no longer made."""
    for folder, made in ((FOLDER, good()), (FOLDER / "bad", bad.made())):
        folder.mkdir(exist_ok=True)
        for path in (*folder.glob("*.eml"), *folder.glob("*.json")):
            if path.name not in made:
                path.unlink()
        for name, data in made.items():
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
