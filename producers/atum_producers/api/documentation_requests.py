"""Requests as one would type them, from the examples in the OpenAPI document. Pure functions."""

from __future__ import annotations

import shlex
from typing import Any, Final
from urllib.parse import quote, urlencode

import orjson

#: Where the examples say that the API is: shell variables, to be set once.
_PLACE: Final = "$ATUM_API"
#: Methods that curl has to be told.
_SAID: Final = frozenset({"put", "delete"})
_KEY: Final = '"Authorization: Bearer $ATUM_API_KEY"'


def curl(path: str, method: str, operation: dict[str, Any]) -> str:
    """Write an operation's example as a command."""
    query: list[tuple[str, str]] = []
    headers: list[str] = [] if operation.get("security") == [] else [_KEY]
    for one in operation["parameters"]:
        if "example" not in one:
            continue
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", quote(one["example"]))
        elif one["in"] == "header":
            headers.append(shlex.quote(f"{one['name']}: {one['example']}"))
        else:
            query += _pairs(one)
    url = f"{_PLACE}{path}" + (f"?{urlencode(query, safe=':,@')}" if query else "")
    lines = [f'curl {f"-X {method.upper()} " if method in _SAID else ""}"{url}"']
    if "requestBody" in operation:
        headers.append(shlex.quote("Content-Type: application/json"))
    lines += [f"-H {one}" for one in headers]
    if "requestBody" in operation:
        ((media_type, content),) = operation["requestBody"]["content"].items()
        del media_type
        example = next(iter(content["examples"].values()))["value"]
        lines.append(f"-d {shlex.quote(pretty(example))}")
    return " \\\n  ".join(lines)


def _pairs(parameter: dict[str, Any]) -> list[tuple[str, str]]:
    value = parameter["example"]
    if isinstance(value, dict):
        return list(value.items())
    return [(parameter["name"], ",".join(value) if isinstance(value, list) else str(value))]


def pretty(value: Any) -> str:
    """Write JSON for people."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
