"""How mails, problems and searches are put into Postmark's words."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atum_producers.api.postmark import dialect, views
from atum_producers.api.postmark.query import query_of
from atum_producers.api.postmark.texts import UNAUTHORIZED, Refused
from atum_producers.api.postmark.times import moment, stored_at, timestamp
from atum_producers.api.problems import Kind, Problem
from atum_schema.ids import first_mail_id, new_mail_id
from atum_schema.status import Cause, Status

AT = datetime(2026, 11, 25, 12, 30, 0, 123456, tzinfo=UTC)
MAIL = {
    "id": uuid.UUID(int=7),
    "stream": "outbound",
    "sender": "Shop <shop@example.com>",
    "to_line": '"Doe, Jane" <jane@example.org>, joe@example.org',
    "cc_line": "carl@example.net",
    "bcc_line": None,
    "subject": "Hello",
    "tag": None,
    "metadata": None,
    "accepted_at": AT,
    "status": "queued",
}


def event(cause: Cause, before: str | None, after: str, detail: str | None = None) -> dict[str, Any]:
    return {"at": AT, "cause": cause.value, "from_status": before, "to_status": after, "detail": detail}


def test_every_problem_has_an_envelope() -> None:
    assert set(dialect.ENVELOPES) == set(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_a_problem_is_told_with_two_keys_and_its_code_in_a_header(kind: Kind) -> None:
    headers = {"Retry-After": "2", "WWW-Authenticate": "Bearer"}
    answer = dialect.answer(Problem(kind, "why", headers=headers, ids=["a", "b"]))
    status, code = dialect.ENVELOPES[kind]
    document = orjson.loads(bytes(answer.body))
    assert (answer.status_code, set(document), document["ErrorCode"]) == (
        status,
        {"ErrorCode", "Message"},
        code,
    )
    assert answer.headers["x-pm-apierrorcode"] == str(code)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["retry-after"] == "2"
    assert "www-authenticate" not in answer.headers


def test_a_wrong_key_is_told_in_postmarks_words_and_a_lacking_scope_in_ours() -> None:
    def said(kind: Kind) -> str:
        return str(
            orjson.loads(bytes(dialect.answer(Problem(kind, "the key lacks the scope 'send'")).body))[
                "Message"
            ]
        )

    assert said(Kind.UNAUTHORIZED) == UNAUTHORIZED
    assert "the key lacks the scope 'send'" in said(Kind.OUT_OF_SCOPE)


@pytest.mark.parametrize(
    ("path", "headers", "spoken"),
    [
        ("/email", [], True),
        ("/EMAIL/x", [], True),
        ("/messages/outbound", [], True),
        ("/message-streams", [], True),
        ("/v1/mails", [], False),
        ("/emails", [], False),
        ("/", [], False),
        ("", [], False),
        ("/webhooks", [(b"x-postmark-server-token", b"x")], True),
        ("/templates2", [(b"x-postmark-account-token", b"x")], True),
    ],
)
def test_who_speaks_postmark_is_told_by_the_path_or_the_token(
    path: str, headers: list[tuple[bytes, bytes]], spoken: bool
) -> None:
    assert dialect.is_spoken({"path": path, "headers": headers}) is spoken


def test_every_status_has_a_word() -> None:
    assert set(views.STATUSES) == set(Status)


def test_what_may_still_be_sent_is_queued_and_what_the_provider_has_is_sent() -> None:
    # Read against the machine: what no proof can move any more is with the provider.
    from atum_schema.status import PROVEN, after

    for status, word in views.STATUSES.items():
        if status in PROVEN:
            assert word == "Sent"
        elif after(status, Cause.REPLAYED) is Status.QUEUED and status is not Status.QUEUED:
            assert word == "Failed"
        else:
            assert word == "Queued"


def test_a_mail_is_shown_as_a_message() -> None:
    assert views.message(MAIL) == {
        "Tag": "",
        "MessageID": "00000000-0000-0000-0000-000000000007",
        "MessageStream": "outbound",
        "To": [
            {"Email": "jane@example.org", "Name": "Doe, Jane"},
            {"Email": "joe@example.org", "Name": None},
        ],
        "Cc": [{"Email": "carl@example.net", "Name": None}],
        "Bcc": [],
        "Recipients": ["jane@example.org", "joe@example.org", "carl@example.net"],
        "ReceivedAt": "2026-11-25T12:30:00.1234560Z",
        "From": "Shop <shop@example.com>",
        "Subject": "Hello",
        "Attachments": [],
        "Status": "Queued",
        "TrackOpens": False,
        "TrackLinks": "None",
        "Metadata": {},
        "Sandboxed": False,
    }


def test_details_have_the_content_as_long_as_there_is_one() -> None:
    content = {
        "text": "Hi",
        "html": "<p>Hi</p>",
        "attachments": [{"name": "a.pdf", "content": "", "content_type": "application/pdf"}],
        "track_opens": True,
        "track_links": "TextOnly",
    }
    names = ("TextBody", "HtmlBody", "Attachments", "TrackOpens", "TrackLinks")
    shown = views.details(MAIL, [], content)
    assert [shown[name] for name in names] == ["Hi", "<p>Hi</p>", ["a.pdf"], True, "TextOnly"]
    dropped = views.details(MAIL, [], None)
    assert [dropped[name] for name in names] == ["", "", [], False, "None"]


def test_what_ended_a_mail_is_told_for_each_recipient() -> None:
    events = [
        event(Cause.ACCEPTED, None, "queued"),
        event(Cause.RETRY_SCHEDULED, "queued", "retrying"),
        event(Cause.PROVIDER_REJECTED, "retrying", "dead", "ErrorCode 406"),
        # It came again, late, and changed nothing.
        event(Cause.PROVIDER_REJECTED, "dead", "dead", "ErrorCode 406"),
    ]
    told = views.details(MAIL, events, None)["MessageEvents"]
    assert told == [
        {
            "Recipient": email,
            "Type": "Bounced",
            "ReceivedAt": "2026-11-25T12:30:00.1234560Z",
            "Details": {"Summary": "ErrorCode 406"},
        }
        for email in ("jane@example.org", "joe@example.org", "carl@example.net")
    ]


@pytest.mark.parametrize("cause", sorted({*views.OF_ONE, *views.OF_ALL}))
def test_an_event_is_told_by_a_word_of_postmark(cause: Cause) -> None:
    mail = MAIL | {"to_line": "jane@example.org", "cc_line": None}
    (told,) = views.details(mail, [event(cause, "queued", "x")], None)["MessageEvents"]
    assert told["Type"] in {"Delivered", "Bounced"}
    assert list(told["Details"].values()) == [cause.value.replace("_", " ") + "."]


def test_an_event_of_one_of_several_recipients_is_not_told_of_all() -> None:
    events = [event(Cause.DELIVERED, "sent", "delivered")]
    assert views.details(MAIL, events, None)["MessageEvents"] == []


def test_a_server_has_no_token() -> None:
    assert views.server("shop")["ApiTokens"] == []


def test_times_have_seven_digits_and_are_utc() -> None:
    eastern = timezone(timedelta(hours=-5))
    assert timestamp(AT.astimezone(eastern)) == "2026-11-25T12:30:00.1234560Z"


def test_an_id_tells_when_it_was_made() -> None:
    before = datetime.now(UTC)
    told = stored_at(new_mail_id())
    assert before - timedelta(seconds=1) < told <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("text", "end", "iso"),
    [
        ("2026-11-25", False, "2026-11-25T00:00:00+00:00"),
        ("2026-11-25", True, "2026-11-26T00:00:00+00:00"),
        ("2026-11-25T12:30:00", True, "2026-11-25T12:30:00+00:00"),
        ("2026-11-25 12:30", False, "2026-11-25T12:30:00+00:00"),
        ("2026-11-25T12:30:00Z", False, "2026-11-25T12:30:00+00:00"),
        ("2026-11-25T12:30:00+01:00", False, "2026-11-25T11:30:00+00:00"),
        ("2026-11-25T12:30:00 01:00", False, "2026-11-25T11:30:00+00:00"),
    ],
)
def test_dates_are_utc_unless_they_say_otherwise(text: str, end: bool, iso: str) -> None:
    read = moment(text, end_of_day=end)
    assert read is not None
    assert read.isoformat() == iso


@given(st.text(max_size=30) | st.sampled_from(["9999-12-31", "0001-01-01T00:00+01:00", "-1", "2026-02-30"]))
def test_what_is_no_date_is_none_and_no_error(text: str) -> None:
    for end in (True, False):
        read = moment(text, end_of_day=end)
        assert read is None or read.tzinfo is UTC


def test_a_search_is_read_with_its_defaults() -> None:
    query = query_of([("count", "10")])
    assert (query.count, query.offset, query.since, query.before) == (10, 0, None, None)
    assert (query.filters.stream, query.filters.metadata, query.filters.statuses) == ("outbound", None, None)


def test_a_search_is_read_whole_whatever_the_case_of_its_names() -> None:
    query = query_of(
        {
            "Count": "5",
            "OFFSET": "3",
            "recipient": "jane@example.org",
            "fromEmail": "shop@example.com",
            "tag": "order",
            "status": "Sent",
            "subject": "Hello",
            "messageStream": "broadcast",
            "metadata_Order": "17",
            "fromdate": "2026-11-25",
            "todate": "2026-11-25",
            "colour": "red",
        }.items()
    )
    filters = query.filters
    assert (query.count, query.offset) == (5, 3)
    assert (filters.recipient, filters.sender, filters.tag, filters.subject, filters.stream) == (
        "jane@example.org",
        "shop@example.com",
        "order",
        "Hello",
        "broadcast",
    )
    assert filters.metadata == {"Order": "17"}
    assert set(filters.statuses or ()) == {"sent", "delivered", "bounced", "complained"}
    day = datetime(2026, 11, 25, tzinfo=UTC)
    assert (query.since, query.before) == (first_mail_id(day), first_mail_id(day + timedelta(days=1)))


@pytest.mark.parametrize(
    ("given_query", "words"),
    [
        ({}, "Invalid paging"),
        ({"count": "0"}, "Invalid paging"),
        ({"count": "501"}, "Invalid paging"),
        ({"count": "-1"}, "Invalid paging"),
        ({"count": "٣"}, "Invalid paging"),
        ({"count": "500", "offset": "9501"}, "Invalid paging"),
        ({"count": "1", "offset": "x"}, "Invalid paging"),
        ({"count": "1", "metadata_a": "1", "metadata_b": "2"}, "Only one metadata field"),
        ({"count": "1", "status": "lost"}, "Invalid 'status': 'lost'"),
        ({"count": "1", "fromdate": "yesterday"}, "Invalid 'fromdate': 'yesterday' is not a date."),
        ({"count": "1", "todate": "9999-12-31"}, "Invalid 'todate'"),
        ({"count": "1", "tag": "a\0b"}, "Invalid 'tag'"),
        ({"count": "1", "metadata_\0": "b"}, "without NUL"),
        ({"count": "1", "subject": "x" * 2001}, "Invalid 'subject'"),
    ],
)
def test_a_bad_search_is_refused_with_700(given_query: dict[str, str], words: str) -> None:
    with pytest.raises(Refused, match=words) as caught:
        query_of(given_query.items())
    assert (caught.value.status, caught.value.code) == (422, 700)
