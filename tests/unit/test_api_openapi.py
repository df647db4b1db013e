"""The OpenAPI document says what the API does, and its page for people says what the document says."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import jsonschema_rs
import pytest
import schemathesis
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from atum_producers.api import bodies, documentation_page, drafts, openapi, postmark, reading
from atum_producers.api.app import endpoints
from atum_producers.api.documentation_requests import curl
from atum_producers.api.documentation_words import line
from atum_producers.api.problems import Kind, Problem, answer
from atum_schema.document import field_names
from atum_schema.status import Cause, Status
from tests.api import letter
from tests.samples import make_samples

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from atum_producers.api.service import Service

DOCUMENT = openapi.document()
PAGE = documentation_page.page(DOCUMENT)
SCHEMAS = DOCUMENT["components"]["schemas"]
METHODS = ("get", "post", "put", "delete")


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Make a validator of a schema in the document."""
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]})


def media(part: Any) -> Iterator[dict[str, Any]]:
    """Walk everything that has a schema and examples."""
    if isinstance(part, list):
        for item in part:
            yield from media(item)
    elif isinstance(part, dict):
        if "schema" in part and isinstance(part["schema"], dict):
            yield part
        for item in part.values():
            yield from media(item)


def strings(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for name, item in part.items():
            yield name
            yield from strings(item)
    elif isinstance(part, list):
        for item in part:
            yield from strings(item)
    elif isinstance(part, str):
        yield part


def test_it_is_an_openapi_document() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    broken = {**DOCUMENT, "paths": {"/x": {"get": {"responses": {"200": {}}}}}}
    with pytest.raises(jsonschema_rs.ValidationError, match="description"):
        schemathesis.openapi.from_dict(broken).validate()


def test_every_schema_in_it_is_one() -> None:
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    references = re.findall(r'"\$ref": "(#[^"]+)"', json.dumps(DOCUMENT))
    for reference in set(references):
        found: Any = DOCUMENT
        for name in reference.removeprefix("#/").split("/"):
            found = found[name]
    used = {reference.rpartition("/")[2] for reference in references}
    assert set(SCHEMAS) - used == {"MethodNotAllowedProblem"}


def test_it_has_every_route_of_the_app_and_no_other() -> None:
    every = endpoints(cast("Service", SimpleNamespace(pool=None)))
    routes = {(path.replace(":path", ""), method) for path, methods in every.items() for method in methods}
    documented = {(path, method.upper()) for path, method, _operation in operations()}
    # The Postmark-compatible API is described by Postmark, and docs/postmark-api.md says what differs.
    others = postmark.endpoints(cast("Service", None))
    assert routes == documented | {(path, method) for path, methods in others.items() for method in methods}


def test_the_ids_of_operations_are_different() -> None:
    counted = Counter(operation["operationId"] for _path, _method, operation in operations())
    assert set(counted.values()) == {1}


def test_no_place_was_left_empty() -> None:
    assert [one for one in strings(DOCUMENT) if re.search(r"\{[A-Z_]+\}", one)] == []


def test_numbers_and_words_are_those_of_the_code() -> None:
    parameters = {one["name"]: one["schema"] for one in DOCUMENT["paths"]["/v1/mails"]["get"]["parameters"]}
    assert (parameters["limit"]["maximum"], parameters["limit"]["default"]) == (
        reading.LARGEST_PAGE,
        reading.PAGE,
    )
    # Metadata is asked for by its key: `metadata.order`.
    assert set(parameters) == reading.NAMES | {"metadata"}
    post = DOCUMENT["paths"]["/v1/mails"]["post"]["requestBody"]
    assert post["content"]["application/json"]["schema"]["oneOf"][1]["maxItems"] == drafts.MOST_MAILS
    assert f"{bodies.LARGEST:,}" in post["description"]
    assert SCHEMAS["Status"]["enum"] == list(Status)
    assert SCHEMAS["Event"]["properties"]["cause"]["enum"] == list(Cause)


def test_a_mail_has_the_fields_that_the_parser_knows_except_the_id() -> None:
    assert set(SCHEMAS["Mail"]["properties"]) == field_names() - {"id"}
    assert SCHEMAS["Mail"]["required"] == ["from", "to", "subject"]
    assert [name for name, one in SCHEMAS["Mail"]["properties"].items() if "description" not in one] == []


@pytest.mark.parametrize("path", sorted(make_samples.FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_every_good_sample_is_a_mail_here_without_its_version_and_id(path: Path) -> None:
    document = json.loads(path.read_bytes())
    for name in ("version", "id"):
        document.pop(name, None)
    validator(SCHEMAS["Mail"]).validate(document)


@pytest.mark.parametrize(
    "more", [{"id": "01932c5e-7d1a-7000-8000-5f3c1b2a4d6e"}, {"version": 2}, {"text": ""}, {"colour": "red"}]
)
def test_what_the_api_refuses_is_no_mail_here(more: dict[str, Any]) -> None:
    validator(SCHEMAS["Mail"]).validate(letter())
    with pytest.raises(ValidationError):
        validator(SCHEMAS["Mail"]).validate(letter(**more))


def test_every_example_is_what_its_schema_says() -> None:
    seen = 0
    for one in media(DOCUMENT["paths"]):
        examples = [example["value"] for example in one.get("examples", {}).values()]
        for example in [*examples, *([one["example"]] if "example" in one else [])]:
            validator(one["schema"]).validate(example)
            seen += 1
    assert seen >= 12


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_problem_is_documented_with_its_remedy(kind: Kind) -> None:
    note = DOCUMENT["x-problems"][kind.anchor]
    assert (note["status"], note["title"]) == (kind.status, kind.title)
    assert note["remedy"].endswith(".")
    assert f'id="{kind.anchor}"' in PAGE
    named = [
        path
        for path, _method, operation in operations()
        for status, response in operation["responses"].items()
        if kind.anchor in response.get("x-problems", ()) and status == str(kind.status)
    ]
    # A method that a path does not have belongs to no operation.
    assert bool(named) is (kind is not Kind.METHOD_NOT_ALLOWED)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.anchor not in ("out-of-scope", "uncertain")])
def test_a_problem_is_answered_as_its_schema_says(kind: Kind) -> None:
    schema = SCHEMAS[DOCUMENT["x-problems"][kind.anchor]["schema"]]
    document = json.loads(bytes(answer(Problem(kind, "words")).body))
    members = {"type", "title", "status", "detail"}
    needed = {
        name: _anything(schema["properties"][name]) for name in schema["required"] if name not in members
    }
    validator(schema).validate({**document, **needed})
    with pytest.raises(ValidationError):
        validator(schema).validate({**document, **needed, "stranger": 1})


def _anything(schema: dict[str, Any]) -> Any:
    if "const" in schema:
        return schema["const"]
    if "$ref" in schema:
        return "queued" if schema["$ref"].endswith("Status") else "01932c5e-7d1a-7000-8000-5f3c1b2a4d6e"
    return [{"field": "to", "reason": "is wrong"}] if schema["type"] == "array" else 0


def test_the_links_of_the_page_lead_somewhere() -> None:
    ids = re.findall(r' id="([^"]+)"', PAGE)
    assert len(ids) == len(set(ids))
    targets = re.findall(r'href="([^"]+)"', PAGE)
    assert {one for one in targets if not one.startswith("#")} == {"/openapi.json"}
    assert {one.removeprefix("#") for one in targets if one.startswith("#")} <= set(ids)


def test_the_page_has_every_operation_parameter_field_and_status() -> None:
    for path, _method, operation in operations():
        section = PAGE.partition(f'id="{operation["operationId"]}"')[2].partition("</section>")[0]
        assert path in section
        for parameter in operation.get("parameters", ()):
            assert f"<code>{parameter['name']}</code>" in section
        assert set(operation["responses"]) == set(re.findall(r"<b>(\d{3})</b>", section))
    for name, schema in SCHEMAS.items():
        if "properties" in schema and not name.endswith("Problem"):
            section = PAGE.partition(f'id="schema-{name}"')[2].partition("</section>")[0]
            assert set(schema["properties"]) <= set(re.findall(r"<code>([a-z_]+)</code>", section))


def test_the_page_needs_no_script_and_nothing_from_elsewhere() -> None:
    assert re.findall(r"<(script|img|link|iframe|object|form)|\son[a-z]+=|://(?!\S*example)", PAGE) == []


def test_what_comes_from_the_document_cannot_become_markup() -> None:
    evil = "<img src=x onerror=alert(1)>"
    document = json.loads(
        json.dumps(DOCUMENT).replace("Shows where a mail is", evil).replace("Sender.", evil)
    )
    page = documentation_page.page(document)
    assert "<img" not in page
    assert page.count("&lt;img") == 2
    assert line('a `<b>` & "c"') == "a <code>&lt;b&gt;</code> &amp; &quot;c&quot;"


def test_the_commands_of_the_page_are_ones_that_a_shell_understands() -> None:
    post = next(one for one in operations() if one[2]["operationId"] == "enqueue")
    words = shlex.split(curl(*post).replace("\\\n", ""))
    assert words[:2] == ["curl", "$ATUM_API/v1/mails"]
    assert json.loads(words[words.index("-d") + 1])["subject"] == "Your order 4711"
