"""JSON types of a message's fields; a wrong one is ErrorCode 403 (Postmark developer docs, "Error codes")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _is_flag(value: object) -> bool:
    return type(value) is bool


def _is_objects(value: object) -> bool:
    return type(value) is list and all(type(item) is dict for item in value)


def _is_attachments(value: object) -> bool:
    # Name and Content are checked with the content, where a wrong one is ErrorCode 300.
    return type(value) is list and all(
        type(item) is dict
        and all(type(item.get(name, "")) in _TEXT_OR_NULL for name in ("ContentType", "ContentID"))
        for item in value
    )


def _is_metadata(value: object) -> bool:
    return type(value) is dict and all(type(text) is str for text in value.values())


_TEXT_OR_NULL = (str, type(None))
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
    "Attachments": _is_attachments,
    "Metadata": _is_metadata,
}


_TEMPLATE: dict[str, Callable[[object], bool]] = {
    "TemplateId": lambda value: type(value) is int,
    "TemplateAlias": lambda value: type(value) is str,
    "TemplateModel": lambda value: type(value) is dict,
    "InlineCss": _is_flag,
}


def mistyped_template(item: Mapping[str, Any]) -> list[str]:
    """Name the fields of a message with a template whose JSON type is wrong, as `mistyped`."""
    given = {name: item[name] for name in _TEMPLATE if item.get(name) is not None}
    return mistyped(item) + [name for name, value in given.items() if not _TEMPLATE[name](value)]


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
