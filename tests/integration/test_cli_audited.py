"""What people order is in the audit log: who, what, how many. Secrets are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.command_line import Place


def audited(place: Place) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (actor, action, detail)
        for actor, action, detail in place.sql("SELECT actor, action, detail FROM atum.audit ORDER BY id")
    ]


def names(rows: Iterable[tuple[str, str, dict[str, Any]]]) -> list[tuple[str, str]]:
    return [(actor, action) for actor, action, _ in rows]


def test_whoever_makes_rotates_and_revokes_a_client_is_known_and_no_key_is(place: Place) -> None:
    made = place.run("client", "create", "shop", "--by", "eva", "--format=json").json
    rotated = place.run("client", "rotate", "shop", "--by", "max", "--format=json").json
    assert place.run("client", "revoke", "shop", "--by", "eva").status == 0
    assert names(audited(place)) == [("operator:eva", "client.created"), ("operator:max", "client.rotated")]
    assert place.run("client", "revoke", "shop", "--by", "eva", "--yes").status == 0
    rows = audited(place)
    assert names(rows)[2:] == [("operator:eva", "client.revoked")]
    assert rows[0][2]["key_id"] == made["key_id"]
    for secret in (made["key"], rotated["key"]):
        assert secret.split("_", 2)[2] not in str(rows)


def test_a_client_that_there_is_already_leaves_no_trace(place: Place) -> None:
    place.run("client", "create", "shop")
    assert place.run("client", "create", "shop").status == 1
    assert len(audited(place)) == 1


def test_whoever_says_that_the_database_was_restored_is_known_with_the_number_of_mails(place: Place) -> None:
    place.enqueue(3)
    assert place.run("restored", "--by", "eva").status == 0
    assert audited(place) == []
    assert place.run("restored", "--by", "eva", "--yes").status == 0
    assert audited(place) == [("operator:eva", "database.restored", {"mails": 3})]


def test_a_name_of_many_lines_is_refused_before_anything_is_done(place: Place) -> None:
    answer = place.run("client", "create", "shop", "--by", "eva\nroot")
    assert answer.status == 2
    assert "must be one line" in answer.err
    assert place.sql("SELECT * FROM atum.api_client") == []


def test_clients_are_listed_for_spreadsheets_too(place: Place) -> None:
    place.run("client", "create", "shop", "--from-domain", "example.com")
    lines = place.run("client", "list", "--format=csv").out.splitlines()
    assert lines[0] == "name,state,keys,scopes,from domains,rate,old key ends"
    assert lines[1].startswith('shop,live,1,"')
