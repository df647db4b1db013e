"""The OpenAPI document: a skeleton that is kept by hand, and what other code says already in its places.

`openapi.json` holds everything that only people can say. A string in it that is `{NAME}` stands for a value of ours, and
within a longer text for that value as people write it. The mail document is that of `atum_schema`, with descriptions from
the skeleton; answers with problems are made from the kinds that an operation names in `x-problems`.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Any, Final

import orjson

from atum_producers.api import bodies, drafts, problems, protocol, reading, suppressions
from atum_producers.api.clients_store import Scope
from atum_producers.api.problems import Kind
from atum_producers.story_store import SCANNED
from atum_schema import limits, webhook
from atum_schema.status import Cause, Status
from atum_schema.suppression import REASONS

_METHODS: Final = ("get", "post", "put", "delete")
_SLOT: Final = re.compile(r"\{([A-Z_]+)\}")
_LOCAL: Final = "#/$defs/"
_SHARED: Final = "#/components/schemas/"


def document() -> dict[str, Any]:
    """Make the document."""
    mail = _mail_schema()
    made: dict[str, Any] = _filled(orjson.loads(_text("atum_producers.api", "openapi.json")), _values(mail))
    schemas = made["components"]["schemas"]
    _add(schemas, _shared_schemas(mail))
    problem_notes = made.pop("x-problems")
    schemas.update({_schema_name(kind): _problem_schema(kind, problem_notes[kind.name]) for kind in Kind})
    for item in made["paths"].values():
        for method in _METHODS:
            if method in item:
                item[method]["responses"] |= _problem_responses(
                    item[method].get("x-problems", ()), problem_notes
                )
    made["x-problems"] = {
        kind.anchor: {
            "status": kind.status,
            "title": kind.title,
            "remedy": problem_notes[kind.name]["remedy"],
            "schema": _schema_name(kind),
        }
        for kind in Kind
    }
    return made


def _values(mail: dict[str, Any]) -> dict[str, Any]:
    return {
        "CAUSES": list(Cause),
        "STATES": list(webhook.RANK),
        "HEAD_BYTES": protocol.HEAD_BYTES,
        "KEY_CHARACTERS": limits.IDEMPOTENCY_KEY_CHARACTERS,
        "KINDS": list(webhook.Kind),
        "KEY_PATTERN": mail["properties"]["idempotency_key"]["pattern"],
        "LARGEST_BODY": bodies.LARGEST,
        "LARGEST_PAGE": reading.LARGEST_PAGE,
        "LONGEST_NOTE": suppressions.LONGEST_NOTE,
        "LONGEST_WANTED": reading.LONGEST,
        "MESSAGE_BYTES": limits.MESSAGE_BYTES,
        "MOST_ERRORS": drafts.MOST_ERRORS,
        "MOST_MAILS": drafts.MOST_MAILS,
        "PAGE": reading.PAGE,
        "RECIPIENTS": limits.RECIPIENTS,
        "REASONS": list(REASONS),
        "SCANNED": SCANNED,
        "SCOPES": list(Scope),
        "STATUSES": list(Status),
    }


def _filled(part: Any, values: dict[str, Any]) -> Any:
    if isinstance(part, dict):
        return {name: _filled(item, values) for name, item in part.items()}
    if isinstance(part, list):
        return [_filled(item, values) for item in part]
    if not isinstance(part, str):
        return part
    slot = _SLOT.fullmatch(part)
    return values[slot[1]] if slot else _SLOT.sub(lambda found: f"{values[found[1]]:,}", part)


def _mail_schema() -> dict[str, Any]:
    schema: dict[str, Any] = orjson.loads(_text("atum_schema", "jsonschema/mail.schema.json"))
    return schema


def _shared_schemas(mail: dict[str, Any]) -> dict[str, Any]:
    """Give the mail document and its parts as they are over HTTP: the path says the version, and we assign the id."""
    shared: dict[str, Any] = _moved(
        {
            name: item
            for name, item in mail.items()
            if name not in ("$schema", "$id", "$defs", "title", "description")
        }
    )
    del shared["properties"]["id"]
    shared["required"].remove("version")
    parts: dict[str, Any] = {_part(name): _moved(item) for name, item in mail["$defs"].items()}
    # A list in one string is read by rules of its own.
    parts["Recipients"]["oneOf"][0] = {"$ref": f"{_SHARED}Mailboxes"}
    return {"Mail": shared, **parts}


def _moved(part: Any) -> Any:
    if isinstance(part, list):
        return [_moved(item) for item in part]
    if not isinstance(part, dict):
        return part
    moved = {name: _moved(item) for name, item in part.items()}
    reference = moved.get("$ref")
    if isinstance(reference, str):
        moved["$ref"] = _SHARED + _part(reference.removeprefix(_LOCAL))
    return moved


def _part(name: str) -> str:
    return name.capitalize()


def _add(whole: dict[str, Any], more: dict[str, Any]) -> None:
    """Put what is in `more` beside what is there, at every depth."""
    for name, item in more.items():
        if isinstance(whole.get(name), dict) and isinstance(item, dict):
            _add(whole[name], item)
        else:
            whole.setdefault(name, item)


def _schema_name(kind: Kind) -> str:
    return f"{kind.name.title().replace('_', '')}Problem"


def _problem_schema(kind: Kind, note: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": kind.title,
        "type": "object",
        "required": ["type", "title", "status", "detail", *note.get("required", ())],
        "additionalProperties": False,
        "properties": {
            "type": {"description": "Always the same.", "const": f"/docs#{kind.anchor}"},
            "title": {"description": "Always the same.", "const": kind.title},
            "status": {"description": "The status of the answer.", "const": kind.status},
            "detail": {"description": "What is wrong, for people.", "type": "string"},
            **note.get("members", {}),
        },
    }


def _problem_responses(names: list[str], notes: dict[str, Any]) -> dict[str, Any]:
    by_status: dict[int, list[Kind]] = {}
    for name in names:
        by_status.setdefault(Kind[name].status, []).append(Kind[name])
    return {str(status): _problem_response(by_status[status], notes) for status in sorted(by_status)}


def _problem_response(kinds: list[Kind], notes: dict[str, Any]) -> dict[str, Any]:
    schemas = [{"$ref": _SHARED + _schema_name(kind)} for kind in kinds]
    # Those that all of them have: a header that is documented is there.
    headers = [
        name
        for name in notes[kinds[0].name].get("headers", ())
        if all(name in notes[kind.name].get("headers", ()) for kind in kinds)
    ]
    return {
        "description": "; or ".join(kind.title for kind in kinds),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": {problems.MEDIA_TYPE: {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}}},
        "x-problems": [kind.anchor for kind in kinds],
    }


def _text(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text("utf-8")
