"""The page at `/docs`, made from the OpenAPI document. Pure functions; it takes no script and nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from atum_producers.api.documentation_requests import curl, pretty
from atum_producers.api.documentation_words import kind, line, prose

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_METHODS: Final = frozenset({"get", "post", "put", "delete"})
_FRAME: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{style}</style></head>
<body><a class="skip" href="#start">To the text</a>
<nav aria-label="Contents">{contents}</nav>
<main id="start">
{body}
</main></body></html>
"""


def page(document: dict[str, Any]) -> str:
    """Give the page."""
    return _FRAME.format(
        title=escape(document["info"]["title"]),
        style=_style(),
        contents=_contents(document),
        body="\n".join([_start(document), *_endpoints(document), *_data(document), *_problems(document)]),
    )


def style_hash() -> str:
    """Name the style sheet for a Content-Security-Policy (CSP Level 3 §2.3.1)."""
    return "sha256-" + base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()


def _style() -> str:
    return files(__package__).joinpath("documentation.css").read_text("utf-8")


def _contents(document: dict[str, Any]) -> str:
    parts = [f'<p class="name"><a href="#start">{escape(document["info"]["title"])}</a></p>']
    for path, method, operation in _operations(document):
        if operation["tags"] != ["Service"]:
            parts.append(
                f'<a href="#{operation["operationId"]}">{_badge(method)}<span>{escape(path)}</span></a>'
            )
    parts.append('<a href="#service">Health and documents</a>')
    parts.append('<a href="#data">Data</a>')
    parts.append('<a href="#problems">Problems</a>')
    parts.append('<a href="/openapi.json">openapi.json</a>')
    return "\n".join(parts)


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in _METHODS:
                parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
                yield path, method, {**operation, "parameters": parameters}


def _start(document: dict[str, Any]) -> str:
    info = document["info"]
    (scheme,) = document["components"]["securitySchemes"].values()
    first = next(item for item in _operations(document) if item[2]["operationId"] == "enqueue")
    return (
        f'<h1>{escape(info["title"])}</h1><p class="lead">{line(info["summary"])}</p>'
        f"{_code(curl(*first))}{prose(info['description'])}"
        f'<h2 id="key">Key</h2>{prose(scheme["description"])}'
    )


def _endpoints(document: dict[str, Any]) -> Iterable[str]:
    for tag in document["tags"]:
        yield f'<h2 id="{tag["name"].lower()}">{tag["name"]}</h2>{prose(tag["description"])}'
        for path, method, operation in _operations(document):
            if operation["tags"] == [tag["name"]]:
                yield _endpoint(document, path, method, operation)


def _endpoint(document: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [
        f'<section class="endpoint" id="{operation["operationId"]}">',
        f"<h3>{_badge(method)} <span>{escape(path)}</span></h3>",
        f'<p class="lead">{line(operation["summary"])}</p>',
        prose(operation["description"]),
        _code(curl(path, method, operation)),
        _parameters(operation["parameters"]),
        _request(operation.get("requestBody")),
        "<h4>Answers</h4>",
        *[_answer(document, status, answer) for status, answer in operation["responses"].items()],
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _parameters(parameters: list[dict[str, Any]]) -> str:
    rows = [
        (
            f"<code>{escape(one['name'])}</code>",
            escape(one["in"]),
            kind(one["schema"]),
            line(one["description"]),
        )
        for one in parameters
    ]
    return "<h4>Parameters</h4>" + _table(("name", "in", "value", "meaning"), rows) if rows else ""


def _request(body: dict[str, Any] | None) -> str:
    if body is None:
        return ""
    (content,) = body["content"].values()
    return (
        f"<h4>Body</h4><p>{kind(content['schema'])}. {line(body['description'])}</p>"
        f"{_examples(content['examples'])}"
    )


def _answer(document: dict[str, Any], status: str, answer: dict[str, Any]) -> str:
    if "x-problems" in answer:
        kinds = " · ".join(
            f'<a href="#{anchor}">{escape(document["x-problems"][anchor]["title"])}</a>'
            for anchor in answer["x-problems"]
        )
        return f'<p class="answer"><b>{status}</b> {kinds}</p>'
    (content,) = answer["content"].values()
    headers = [
        (f"<code>{escape(name)}</code>", line(header["description"]))
        for name, header in answer.get("headers", {}).items()
    ]
    return (
        f'<p class="answer good"><b>{status}</b> {line(answer["description"])} {kind(content["schema"])}</p>'
        f"{_table(('header', 'meaning'), headers) if headers else ''}{_examples(content.get('examples', {}))}"
    )


def _examples(examples: dict[str, dict[str, Any]]) -> str:
    return "".join(
        f"<details><summary>{line(one['summary'])}</summary>{_code(pretty(one['value']))}</details>"
        for one in examples.values()
    )


def _data(document: dict[str, Any]) -> Iterable[str]:
    problems = {one["schema"] for one in document["x-problems"].values()}
    schemas = {name: one for name, one in document["components"]["schemas"].items() if name not in problems}
    yield '<h2 id="data">Data</h2>'
    for name, schema in schemas.items():
        if "properties" in schema:
            about = prose(schema["description"]) if "description" in schema else ""
            yield f'<section id="schema-{name}"><h3>{name}</h3>{about}{_fields(schema)}</section>'
    rows = [
        (f'<b id="schema-{name}">{name}</b>', kind(schema), line(schema.get("description", "")))
        for name, schema in schemas.items()
        if "properties" not in schema
    ]
    yield f"<h3>Values</h3>{_table(('name', 'value', 'meaning'), rows)}"


def _fields(schema: dict[str, Any]) -> str:
    required = schema["required"]
    rows = [
        (
            f"<code>{escape(name)}</code>{'' if name in required else _OPTIONAL}",
            kind(one),
            line(one.get("description", "")),
        )
        for name, one in schema["properties"].items()
    ]
    return _table(("field", "value", "meaning"), rows)


_OPTIONAL: Final = ' <span class="soft">optional</span>'


def _problems(document: dict[str, Any]) -> Iterable[str]:
    yield (
        '<h2 id="problems">Problems</h2><p>What can go wrong, and what to do. <code>type</code> and '
        "<code>title</code> never change; <code>detail</code> is for people.</p>"
    )
    rows = [
        (f"<b>{one['status']}</b>", f'<a href="#{anchor}"><code>{anchor}</code></a>', line(one["title"]))
        for anchor, one in document["x-problems"].items()
    ]
    yield _table(("status", "kind", "means"), rows)
    for anchor, one in document["x-problems"].items():
        schema = document["components"]["schemas"][one["schema"]]
        members = {name: item for name, item in schema["properties"].items() if name not in _EVERYWHERE}
        more = _fields({"required": schema["required"], "properties": members}) if members else ""
        yield (
            f'<section id="{anchor}"><h3>{line(one["title"])} <span class="soft">{one["status"]}</span></h3>'
            f"<p><code>/docs#{anchor}</code></p>{prose(one['remedy'])}{more}</section>"
        )


_EVERYWHERE: Final = frozenset({"type", "title", "status", "detail"})


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    head = "".join(f'<th scope="col">{one}</th>' for one in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _code(text: str) -> str:
    return f'<pre tabindex="0"><code>{escape(text, quote=False)}</code></pre>'


def _badge(method: str) -> str:
    return f'<span class="method {method}">{method.upper()}</span>'
