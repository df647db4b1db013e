"""What Postmark says about the server, its streams, and the account's sender domains and signatures."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from atum_workers.postmark_api import PostmarkApi, ProviderFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from atum_workers.deadline import Deadline

SENDING: Final = frozenset({"Transactional", "Broadcasts"})
"""Types of streams that send; what others are, sends nothing."""

_PAGE: Final = 500
_MOST_PAGES: Final = 20
_ACCOUNT_HEADER: Final = "X-Postmark-Account-Token"


class Server(NamedTuple):
    """The server that the token opens."""

    name: str
    #: `Live` or `Sandbox`, as the provider calls it.
    delivery_type: str
    #: Seconds since 1970 by the provider's clock, which tells whole seconds only; None: it does not say.
    clock: float | None


class Stream(NamedTuple):
    """A message stream."""

    id: str
    type: str
    archived: bool


class Domain(NamedTuple):
    """A sender domain of the account."""

    id: int
    name: str
    dkim_verified: bool
    return_path_verified: bool


class Records(NamedTuple):
    """The names in DNS that a domain needs."""

    dkim_host: str
    return_path: str


class Sender(NamedTuple):
    """A sender signature: one address that may send."""

    address: str
    confirmed: bool


def account_api(base_url: str, token: str) -> PostmarkApi:
    """Make the API that the account token opens; close it in the end."""
    return PostmarkApi(base_url=base_url, token=token, header=_ACCOUNT_HEADER)


def server(api: PostmarkApi, deadline: Deadline) -> Server:
    """Ask for the server. Raises `ProviderFailed`, as all here do."""
    found, date = api.ask_dated("GET", "/server", deadline)
    found = _object(found)
    return Server(
        str(found.get("Name") or ""),
        str(found.get("DeliveryType") or ""),
        None if date is None else _clock(date),
    )


def streams(api: PostmarkApi, deadline: Deadline) -> list[Stream]:
    """List all streams, archived and inbound ones too."""
    found = _object(
        api.ask("GET", "/message-streams", deadline, query={"IncludeArchivedStreams": "true"})
    ).get("MessageStreams")
    if not isinstance(found, list):
        raise ProviderFailed("the answer is no list of streams")
    return [
        Stream(str(each["ID"]), str(each.get("MessageStreamType")), each.get("ArchivedAt") is not None)
        for each in found
        if isinstance(each, dict) and "ID" in each
    ]


def domains(api: PostmarkApi, deadline: Deadline) -> list[Domain]:
    """List the account's domains."""
    return _pages(
        api,
        deadline,
        path="/domains",
        name="Domains",
        read=lambda each: Domain(
            int(each["ID"]),
            str(each["Name"]).lower(),
            each.get("DKIMVerified") is True,
            each.get("ReturnPathDomainVerified") is True,
        ),
    )


def records(api: PostmarkApi, domain: Domain, deadline: Deadline) -> Records:
    """Ask which names in DNS a domain needs."""
    found = _object(api.ask("GET", f"/domains/{domain.id}", deadline))
    host = found.get("DKIMPendingHost") or found.get("DKIMHost") or ""
    return Records(str(host), str(found.get("ReturnPathDomain") or ""))


def senders(api: PostmarkApi, deadline: Deadline) -> list[Sender]:
    """List the account's sender signatures."""
    return _pages(
        api,
        deadline,
        path="/senders",
        name="SenderSignatures",
        read=lambda each: Sender(str(each["EmailAddress"]).lower(), each.get("Confirmed") is True),
    )


def _pages(
    api: PostmarkApi, deadline: Deadline, *, path: str, name: str, read: Callable[[Any], Any]
) -> list[Any]:
    rows: list[Any] = []
    for _ in range(_MOST_PAGES):
        found = _object(api.ask("GET", path, deadline, query={"count": _PAGE, "offset": len(rows)}))
        page, total = found.get(name), found.get("TotalCount")
        if not isinstance(page, list) or type(total) is not int:
            raise ProviderFailed(f"the answer is no list of {name}")
        try:
            rows += [read(each) for each in page]
        except (KeyError, TypeError, ValueError):
            raise ProviderFailed(f"the answer is no list of {name}") from None
        if not page or len(rows) >= total:
            break
    return rows


def _object(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise ProviderFailed("the answer is no object")
    return document


def _clock(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
