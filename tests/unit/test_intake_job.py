"""What a job is: read as strictly as its JSON Schema says, and more."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from referencing import Registry, Resource

from atum_schema import job
from atum_schema.errors import MailRejected
from atum_schema.ids import new_mail_id
from atum_schema.mail import Attachment, Mail
from tests.samples import make_samples
from tests.system import letters

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def schema(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(
        files("atum_schema").joinpath(f"jsonschema/{name}.schema.json").read_text()
    )
    return read


REGISTRY: Registry[Any] = Registry().with_resources(
    [(each["$id"], Resource.from_contents(each)) for each in map(schema, ["mail", "job"])]
)
VALIDATOR = jsonschema.Draft202012Validator(
    schema("job"), registry=REGISTRY, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)


def id_at(moment: datetime) -> str:
    """A UUIDv7 of this moment (RFC 9562 §5.7)."""
    return str(uuid.UUID(int=(round(moment.timestamp() * 1000) << 80) | 0x7000_8000_0000_0000_0001))


def document(**fields: Any) -> dict[str, Any]:
    """A job; None takes a field away."""
    whole = {
        "version": 1,
        "id": id_at(NOW),
        "from": "shop@example.com",
        "to": "jane@example.org",
        "subject": "Hello",
        "text": "Hi",
        **fields,
    }
    return {name: value for name, value in whole.items() if value is not None}


GOOD: dict[str, dict[str, Any]] = {
    "with an id": document(),
    "with a key": document(id=None, idempotency_key="order-1"),
    "with both": document(idempotency_key="order-1"),
    "with an id in capitals": document(id=id_at(NOW).upper()),
    "with null for the key": {**document(), "idempotency_key": None},
    "with null for the id": {**document(), "id": None, "idempotency_key": "order-1"},
}
#: Document and the field that is named.
BAD: dict[str, tuple[Any, str]] = {
    "neither id nor key": (document(id=None), "id"),
    "null for both": ({**document(), "id": None, "idempotency_key": None}, "id"),
    "an id of version 4": (document(id="7f8a2ad4-5ad6-4d0c-9b6e-0a4f3f1c2d3e"), "id"),
    "an id of version 1": (document(id="c232ab00-9414-11ec-b3c8-9f6bdeced846"), "id"),
    "an id of another variant": (document(id="01932c07-0000-7000-0000-000000000001"), "id"),
    "an id in braces": (document(id=f"{{{id_at(NOW)}}}"), "id"),
    "an id without hyphens": (document(id=id_at(NOW).replace("-", "")), "id"),
    "an id that is none": (document(id="order-1"), "id"),
    "an id that is a number": (document(id=4711), "id"),
    "a reserved key": (document(idempotency_key=f"mail:{id_at(NOW)}"), "idempotency_key"),
    "an empty key": (document(id=None, idempotency_key=""), "idempotency_key"),
    "another version": (document(version=2), "version"),
    "no version": (document(version=None), "version"),
    "a misspelt field": (document(subjekt="x"), "subjekt"),
    "no sender": (document(**{"from": None}), "from"),
    "no body": (document(text=None), "text"),
    "a wrong type": (document(track_opens="yes"), "track_opens"),
    "a list": ([document()], "document"),
}


@pytest.mark.parametrize("name", GOOD)
def test_reader_and_schema_take_a_good_job(name: str) -> None:
    VALIDATOR.validate(GOOD[name])
    read = job.read(orjson.dumps(GOOD[name]), now=NOW)
    wanted = GOOD[name].get("id")
    assert read.id == (None if wanted is None else uuid.UUID(wanted))
    assert read.mail.idempotency_key == GOOD[name].get("idempotency_key")


@pytest.mark.parametrize("name", BAD)
def test_reader_and_schema_refuse_a_bad_job(name: str) -> None:
    value, field = BAD[name]
    assert not VALIDATOR.is_valid(value)
    with pytest.raises(MailRejected) as refusal:
        job.read(orjson.dumps(value), now=NOW)
    assert refusal.value.field == field


@pytest.mark.parametrize("name", sorted(path.name for path in make_samples.FOLDER.glob("*.json")))
def test_the_sample_mails_are_jobs_once_they_have_an_id(name: str) -> None:
    value = {**json.loads((make_samples.FOLDER / name).read_text()), "id": id_at(NOW)}
    VALIDATOR.validate(value)
    assert job.read(orjson.dumps(value), now=NOW).id == uuid.UUID(id_at(NOW))


def test_an_id_may_be_old_and_a_day_ahead_and_no_more() -> None:
    for moment in (NOW - timedelta(days=400), NOW, NOW + timedelta(hours=23, minutes=59)):
        assert job.read(orjson.dumps(document(id=id_at(moment))), now=NOW).id is not None
    with pytest.raises(MailRejected, match="86460 s in the future, the limit is 86400"):
        job.read(orjson.dumps(document(id=id_at(NOW + timedelta(hours=24, minutes=1)))), now=NOW)


def test_the_reason_for_a_wrong_version_names_it() -> None:
    with pytest.raises(MailRejected, match="UUID of version 4, must be a UUIDv7"):
        job.read(orjson.dumps(document(id=str(uuid.uuid4()))), now=NOW)


def test_a_job_without_id_and_key_is_told_what_to_do() -> None:
    with pytest.raises(MailRejected, match="set one of them, and keep it when you publish again"):
        job.read(orjson.dumps(document(id=None)), now=NOW)


def test_a_job_that_is_too_large_is_not_parsed() -> None:
    with pytest.raises(MailRejected, match="is 14000001 bytes long, the limit is 14000000"):
        job.read(b"[" * (job.MAX_BYTES + 1), now=NOW)


def test_writing_refuses_what_could_not_be_read() -> None:
    # Half a mail of line feeds is twice as long in JSON.
    large = letters(1, text="\n" * 4_900_000, html="\n" * 4_900_000)[0]
    with pytest.raises(MailRejected, match="bytes long, the limit is 14000000"):
        job.write(large, new_mail_id())
    with pytest.raises(MailRejected, match="reserved"):
        job.write(letters(1, idempotency_key="mail:1")[0], new_mail_id())


def test_the_largest_attachment_fits_into_a_job() -> None:
    mail = letters(1, attachments=[Attachment(name="a.pdf", content=b"x" * 7_400_000)])[0]
    mail_id = new_mail_id()
    assert job.read(job.write(mail, mail_id), now=datetime.now(UTC)) == job.Job(mail=mail, id=mail_id)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from([*document(), "idempotency_key", "x"]), inner, max_size=8)
        ),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_comes_is_a_job_or_a_rejection(body: bytes) -> None:
    with suppress(MailRejected):
        assert isinstance(job.read(body, now=NOW).mail, Mail)


@pytest.mark.parametrize(
    ("app_id", "client"), [(None, "broker"), ("", "broker"), ("shop", "shop"), ("Läden 7", "Läden 7")]
)
def test_app_id_names_the_client(app_id: str | None, client: str) -> None:
    assert job.client_of(app_id) == client


@pytest.mark.parametrize("app_id", ["a\0b", "a\nb", " shop", "x" * 101, b"\xff\xfe"])
def test_an_app_id_that_is_no_name_is_refused(app_id: object) -> None:
    with pytest.raises(MailRejected) as refusal:
        job.client_of(app_id)
    assert refusal.value.field == "app_id"
