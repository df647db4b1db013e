"""Which enqueued mails an expectation means, and how to tell people that there is none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from atum_schema.addresses import Address, address_of
from atum_schema.headers import Header
from atum_schema.mail import Mail
from atum_schema.mail_attachments import Attachment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_producers.testing_log import EnqueuedMail

_OF_THE_LOG: Final = ("client", "id", "lane", "status")
_NAMES: Final = (*(each.name for each in fields(Mail)), "recipients", *_OF_THE_LOG)
_SHOWN: Final = ("to", "subject", "lane", "status")
_MOST: Final = 20
_WIDTH: Final = 100


def check_names(expected: Mapping[str, Any]) -> None:
    """Refuse an expectation that no mail could ever meet. Raises `TypeError`."""
    for name in expected:
        if name not in _NAMES:
            raise TypeError(f"{name!r} is not a field of a mail; known are {', '.join(sorted(set(_NAMES)))}")


def differing(mail: EnqueuedMail, expected: Mapping[str, Any]) -> list[str]:
    """Give the names of the fields that are not as expected."""
    return [name for name, wanted in expected.items() if not _is_as(_field(mail, name), wanted)]


def told(mails: Sequence[EnqueuedMail], expected: Mapping[str, Any]) -> str:
    """List what was enqueued, and what is different in the mail that comes closest."""
    if not mails:
        return "nothing was enqueued"
    lines = [f"{counted(mails)} enqueued:", *listed(mails)]
    if expected:
        place, closest = min(enumerate(mails, 1), key=lambda each: len(differing(each[1], expected)))
        lines.append(f"closest is {place}, which differs in:")
        lines += [
            f"  {name}: is {_shown(_field(closest, name))}, expected {wanted_as_text(expected[name])}"
            for name in differing(closest, expected)
        ]
    return "\n".join(lines)


def counted(mails: Sequence[EnqueuedMail]) -> str:
    """Say how many there are, as the beginning of a sentence."""
    return "1 mail was" if len(mails) == 1 else f"{len(mails)} mails were"


def listed(mails: Sequence[EnqueuedMail]) -> list[str]:
    """Give a line for each mail, with its place; not more than people read."""
    lines = [
        f"  {place}. " + " ".join(f"{name}={_shown(_field(mail, name))}" for name in _SHOWN)
        for place, mail in enumerate(mails[:_MOST], 1)
    ]
    return lines if len(mails) <= _MOST else [*lines, f"  … and {len(mails) - _MOST} more"]


def wanted(expected: Mapping[str, Any]) -> str:
    """Write an expectation down."""
    return ", ".join(f"{name}={wanted_as_text(value)}" for name, value in expected.items())


def wanted_as_text(value: object) -> str:
    """Write down what one field was expected to be."""
    return getattr(value, "__name__", None) or _clipped(repr(value))


def _field(mail: EnqueuedMail, name: str) -> Any:
    # The log's answer comes first: the lane that was chosen, not the one that was asked for.
    return getattr(mail, name) if name in _OF_THE_LOG else getattr(mail.mail, name)


def _is_as(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, re.Pattern):
        return any(wanted.search(text) for text in _texts(value))
    if callable(wanted):
        return bool(wanted(value))
    if isinstance(wanted, Mapping):
        return _holds(value, wanted)
    return _is_among(value, wanted) if isinstance(value, tuple) else _is_item(value, wanted)


def _holds(value: Any, wanted: Mapping[str, Any]) -> bool:
    """Whether metadata, or headers whatever the case of their names, hold all these."""
    if isinstance(value, Mapping):
        return all(_is_as(value.get(name), each) for name, each in wanted.items())
    headers = [item for item in value if isinstance(item, Header)] if isinstance(value, tuple) else []
    return all(
        any(header.name.lower() == name.lower() and _is_as(header.value, each) for header in headers)
        for name, each in wanted.items()
    )


def _is_among(value: tuple[Any, ...], wanted: Any) -> bool:
    """Whether one item is as wanted; for a list of wishes, whether each meets another item and none is left."""
    if not isinstance(wanted, (list, tuple)):
        return any(_is_item(item, wanted) for item in value)
    left = list(value)
    for each in wanted:
        place = next((place for place, item in enumerate(left) if _is_item(item, each)), None)
        if place is None:
            return False
        del left[place]
    return not left


def _is_item(item: Any, wanted: Any) -> bool:
    """Compare one value with what was expected: addresses, attachments and headers may be named by text."""
    if isinstance(item, Address) and isinstance(wanted, (str, Address)):
        address = address_of(wanted, field="expected address")
        return item.email == address.email and (not address.name or item.name == address.name)
    if isinstance(item, Attachment) and isinstance(wanted, str):
        return item.name == wanted
    if isinstance(item, Header) and isinstance(wanted, str):
        return item.name.lower() == wanted.lower()
    return bool(item == wanted)


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, tuple):
        return [_text(item) for item in value]
    if isinstance(value, Mapping):
        return [f"{key}: {each}" for key, each in value.items()]
    return [str(value)]


def _text(item: Any) -> str:
    if isinstance(item, Header):
        return f"{item.name}: {item.value}"
    return item.name if isinstance(item, Attachment) else str(item)


def _shown(value: Any) -> str:
    if isinstance(value, (tuple, Mapping)):
        return _clipped(", ".join(_texts(value)) or "nothing")
    return _clipped(repr(value) if type(value) is str else str(value))


def _clipped(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}…"
