"""What each client makes of refusals: the same of the simulator's as of our API's, because both answer as Postmark does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.clients.drivers import CLIENTS, Client, ClientError, Place
from tests.clients.letter import Letter

if TYPE_CHECKING:
    from collections.abc import Sequence

every_client = pytest.mark.parametrize("client", CLIENTS.values(), ids=lambda client: client.name)
every_reader = pytest.mark.parametrize(
    "client", [one for one in CLIENTS.values() if "search" in one.jobs], ids=lambda client: client.name
)


def refused(client: Client, place: Place, letters: list[Letter]) -> ClientError:
    """Send what is refused as a whole; give the client's error."""
    with pytest.raises(ClientError) as caught:
        client.send(place, letters)
    return caught.value


def check_a_wrong_token_is_told(client: Client, url: str) -> None:
    error = refused(client, Place(url=url, token="wrong"), [Letter()])
    assert (error.kind, error.status, error.code) == {
        "postmark.js": ("InvalidAPIKeyError", 401, 10),
        "postmarker": ("ClientError", 401, 10),
        "anymail": ("AnymailRequestsAPIError", 401, 10),
        "postmark-python": ("InvalidAPIKeyException", 401, 10),
    }[client.name]


def check_an_invalid_mail_is_told(client: Client, place: Place) -> None:
    error = refused(client, place, [Letter(metadata={"k" * 21: "v"})])
    assert (error.kind, error.status, error.code) == {
        "postmark.js": ("InvalidEmailRequestError", 422, 300),
        "postmarker": ("ClientError", 422, 300),
        "anymail": ("AnymailRequestsAPIError", 422, 300),
        "postmark-python": ("ValidationException", 422, 300),
    }[client.name]
    assert "Invalid metadata content" in error.message


def check_the_second_of_three_is_refused(
    client: Client, place: Place, letters: Sequence[Letter], *, code: int
) -> None:
    if client.name == "postmark-python":
        # Its model of an answer demands the fields that a failed item does not have: nobody learns what was sent.
        assert refused(client, place, list(letters)).kind == "ValidationError"
        return
    results = client.send(place, list(letters))
    assert [result.accepted for result in results] == [True, False, True]
    assert [result.code for result in results] in ([0, code, 0], [None, None, None])
