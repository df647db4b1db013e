"""`/domains` and `/senders`, which the account token opens (Postmark developer docs, "Domains API", "Sender signatures API")."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from atum_ops.simulator import texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atum_ops.simulator.exchange import Request
    from atum_ops.simulator.state import State
    from atum_ops.simulator.wire import Connection

TOKEN_HEADER: Final = b"x-postmark-account-token"
_PATHS: Final = ("/domains", "/senders")
_FIRST_ID: Final = 36735
_NO_SUCH_DOMAIN: Final = 510


class AccountEndpoints:
    """Lists what the simulator was started with; nothing of it is changed through the API."""

    def __init__(self, state: State) -> None:
        self._state = state

    def is_account(self, path: str) -> bool:
        """Whether the account token opens a path, and no server token does."""
        return path.startswith(_PATHS)

    def knows(self, request: Request) -> bool:
        """Whether a request has the account token."""
        given = request.headers.get(TOKEN_HEADER, b"").lower()
        return hmac.compare_digest(given, self._state.config.account_token.lower().encode())

    def domains(self, request: Request, connection: Connection) -> None:
        """Handle `GET /domains`."""
        found = [_domain(place, each) for place, each in enumerate(self._state.config.domains)]
        connection.answer(texts.json_answer(_page("Domains", found, request)))

    def domain(self, request: Request, connection: Connection) -> None:
        """Handle `GET /domains/{id}`, which says more."""
        wanted = request.path.rstrip("/").rpartition("/")[2]
        for place, each in enumerate(self._state.config.domains):
            if wanted == str(_FIRST_ID + place):
                connection.answer(texts.json_answer(_domain(place, each) | _more(each)))
                return
        connection.answer(texts.error(_NO_SUCH_DOMAIN, "This domain was not found."))

    def senders(self, request: Request, connection: Connection) -> None:
        """Handle `GET /senders`."""
        found = [_sender(place, each) for place, each in enumerate(self._state.config.senders)]
        connection.answer(texts.json_answer(_page("SenderSignatures", found, request)))


def _page(name: str, found: Sequence[Any], request: Request) -> dict[str, Any]:
    query = {key.lower(): values[0] for key, values in parse_qs(request.query).items()}
    count, offset = int(query.get("count", 50)), int(query.get("offset", 0))
    return {"TotalCount": len(found), name: list(found[offset : offset + count])}


def _domain(place: int, given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Name": given["Name"],
        "SPFVerified": True,
        "DKIMVerified": given.get("DKIMVerified", True),
        "WeakDKIM": False,
        "ReturnPathDomainVerified": given.get("ReturnPathDomainVerified", True),
        "ID": _FIRST_ID + place,
    }


def _more(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "DKIMHost": f"20261101000000pm._domainkey.{given['Name']}",
        "DKIMPendingHost": "",
        "DKIMUpdateStatus": "Verified" if given.get("DKIMVerified", True) else "Pending",
        "ReturnPathDomain": f"pm-bounces.{given['Name']}",
        "ReturnPathDomainCNAMEValue": "pm.mtasv.net",
    }


def _sender(place: int, given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Domain": given["EmailAddress"].rpartition("@")[2],
        "EmailAddress": given["EmailAddress"],
        "ReplyToEmailAddress": "",
        "Name": given.get("Name", ""),
        "Confirmed": given.get("Confirmed", True),
        "ID": _FIRST_ID + place,
    }
