"""Ids of mails sort by time; tokens never repeat and never count."""

from __future__ import annotations

import time
import uuid

from atum_schema.ids import new_mail_id, new_token


def milliseconds(mail_id: uuid.UUID) -> int:
    return mail_id.int >> 80


def test_a_mail_id_is_a_version_7_uuid_of_the_standard_library() -> None:
    mail_id = new_mail_id()
    assert type(mail_id) is uuid.UUID
    assert (mail_id.version, mail_id.variant) == (7, uuid.RFC_4122)


def test_a_mail_id_starts_with_the_time_at_which_it_was_made() -> None:
    before = int(time.time() * 1000)
    mail_id = new_mail_id()
    assert before <= milliseconds(mail_id) <= int(time.time() * 1000)


def test_mail_ids_never_repeat_and_never_go_back_in_time() -> None:
    ids = [new_mail_id() for _ in range(5000)]
    assert len(set(ids)) == 5000
    moments = [milliseconds(mail_id) for mail_id in ids]
    assert moments == sorted(moments)


def test_a_token_is_random() -> None:
    tokens = {new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert {token.version for token in tokens} == {4}
    # A counter or a clock would leave the leading bits alike.
    assert len({token.int >> 112 for token in tokens}) > 900
