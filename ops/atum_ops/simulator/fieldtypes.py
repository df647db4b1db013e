"""JSON types of a message's fields; a wrong one is ErrorCode 403 (Postmark developer docs, "Error codes")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _is_flag(value: object) -> bool:
    return type(value) is bool


def _is_objects(value: object) -> bool:
    return type(value) is list and all(type(item) is dict for item in value)


def _is_metadata(value: object) -> bool:
    return type(value) is dict and all(type(text) is str for text in value.values())


_TEXTS = frozenset(
    {
        "From",
        "To",
        "Cc",
        "Bcc",
        "ReplyTo",
        "Subject",
        "Tag",
        "TextBody",
        "HtmlBody",
        "MessageStream",
        "TrackLinks",
    }
)
_OTHERS: dict[str, Callable[[object], bool]] = {
    "TrackOpens": _is_flag,
    "Headers": _is_objects,
    "Attachments": _is_objects,
    "Metadata": _is_metadata,
}


def mistyped(item: Mapping[str, Any]) -> list[str]:
    """Name the fields of a message whose JSON type is wrong. Null is always right, unknown fields are ignored."""
    wrong = []
    for name, value in item.items():
        if type(value) is str:
            if name in _OTHERS:
                wrong.append(name)
        elif value is not None and (
            name in _TEXTS or ((check := _OTHERS.get(name)) is not None and not check(value))
        ):
            wrong.append(name)
    return wrong
