"""What JSON Schema says, in words and HTML for people. Pure functions; everything that comes from the document is escaped."""

from __future__ import annotations

import re
from html import escape
from typing import Any, Final

_CODE: Final = re.compile(r"`([^`]+)`")
_SHARED: Final = "#/components/schemas/"
_LIMITS: Final = (
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("minLength", "at least {} long"),
    ("maxLength", "at most {} long"),
    ("minItems", "at least {} of them"),
    ("maxItems", "at most {} of them"),
    ("maxProperties", "at most {} keys"),
)


def prose(text: str) -> str:
    """Give paragraphs: blank lines part them, backticks are code."""
    return "".join(f"<p>{line(part)}</p>" for part in text.split("\n\n"))


def line(text: str) -> str:
    """Give one line of text, in which backticks are code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def kind(schema: dict[str, Any]) -> str:
    """Say what a value looks like."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_SHARED)
        return _with_limits(f'<a href="#schema-{name}">{name}</a>', schema)
    if "const" in schema:
        return _value(schema["const"])
    if "enum" in schema:
        return " · ".join(_value(one) for one in schema["enum"])
    if "oneOf" in schema:
        return " or ".join(kind(one) for one in schema["oneOf"])
    return _with_limits(_type(schema), schema)


def _type(schema: dict[str, Any]) -> str:
    said = schema.get("type", "anything")
    names = [said] if isinstance(said, str) else list(said)
    if "array" in names:
        return f"array of {kind(schema['items'])}"
    if "object" in names and isinstance(schema.get("additionalProperties"), dict):
        names[names.index("object")] = f"object of {kind(schema['additionalProperties'])}"
        return " or ".join(names)
    form = schema.get("format", schema.get("contentEncoding"))
    return escape(" or ".join(names) + ("" if form is None else f" ({form})"))


def _with_limits(text: str, schema: dict[str, Any]) -> str:
    limits = [words.format(f"{schema[name]:,}") for name, words in _LIMITS if name in schema]
    if "default" in schema:
        limits.append(f"default {_value(schema['default'])}")
    if "pattern" in schema:
        limits.append(f"<code>{escape(schema['pattern'])}</code>")
    return ", ".join([text, *limits])


def _value(value: Any) -> str:
    return f"<code>{'null' if value is None else escape(str(value))}</code>"
