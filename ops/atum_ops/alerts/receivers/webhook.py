"""A webhook: the JSON document of each notice is POSTed to a URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from atum_ops.alerts.breach import document
from atum_ops.alerts.receivers.posting import post
from atum_ops.alerts.receivers.receiver import TIMEOUT_S, Receiver

if TYPE_CHECKING:
    from pydantic import SecretStr

    from atum_ops.alerts.breach import Breach

NAME: Final = "webhook"


def receiver(url: SecretStr, token: SecretStr | None, *, timeout_s: float = TIMEOUT_S) -> Receiver:
    """Make the receiver; the token goes along as a bearer token."""

    def tell(told: Breach) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
        post(url.get_secret_value(), document(told), headers=headers, timeout_s=timeout_s)

    return Receiver(NAME, tell)
