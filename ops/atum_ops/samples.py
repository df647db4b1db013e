"""The sample mails as material for demo and benchmark."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from atum_schema.addresses import parse_address
from atum_schema.document import decode
from atum_schema.errors import StackError
from atum_schema.mail import Address, Mail

if TYPE_CHECKING:
    from collections.abc import Iterator

_FOLDER = Path(__file__).resolve().parents[2] / "tests" / "samples"


def read(path: Path) -> Mail:
    """Read a mail from a file: `.eml`, or our JSON document. Raises `MailRejected`."""
    data = path.read_bytes()
    return Mail.from_eml(data) if path.suffix == ".eml" else decode(data)


def samples(folder: Path = _FOLDER) -> list[Mail]:
    """Read all good samples. Raises `StackError` when there are none, as in an installation without sources."""
    mails = [read(path) for path in sorted(folder.glob("*")) if path.suffix in {".eml", ".json"}]
    if not mails:
        raise StackError(
            f"no sample mails in {folder}; run this from a checkout, or name a folder with --samples"
        )
    return mails


def demo_mails(number: int, *, domain: str, sender: str | None, folder: Path | None = None) -> Iterator[Mail]:
    """Make `number` mails from the samples, each to its own recipient at `domain`."""
    materials = samples(folder or _FOLDER)
    for place, sample in zip(range(number), itertools.cycle(materials), strict=False):
        name = sample.to[0].name
        yield replace(
            sample,
            sender=sample.sender if sender is None else parse_address(sender),
            to=(Address(name, f"demo-{place}@{domain}"),),
            cc=(),
            bcc=(),
            stream="outbound",
            lane=None,
            send_at=None,
            expires_at=None,
            idempotency_key=None,
        )
