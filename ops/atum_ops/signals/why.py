"""Why something was put off or a window stopped, in the few words that metrics have for it. Pure and total."""

from __future__ import annotations

from typing import Final

from atum_schema.flow import OUTAGE, RATE_LIMITED
from atum_workers import smtp_outcome
from atum_workers.codes import CODES, REFUSED_BY_STATUS, Meaning

PROVIDER: Final = "provider"
"""It did not answer well: connection, 5xx, an answer that says nothing."""
ACCOUNT: Final = "account"
"""It refuses all that is ours: token, account, address of the caller."""
SENDER: Final = "sender"
"""It does not know, or refuses, a sender, a stream or a template."""
MAIL: Final = "mail"
"""Something is wrong with the mail itself."""
OTHER: Final = "other"
"""A reason that is none of the provider's, or that nobody has put anywhere."""

_WORDS: Final = {
    Meaning.ACCOUNT: ACCOUNT,
    Meaning.OPERATOR: SENDER,
    Meaning.PERMANENT: MAIL,
    Meaning.REQUEST: MAIL,
    Meaning.UNCLEAR: PROVIDER,
    Meaning.LATER: PROVIDER,
}
_WHY: Final = (
    {reason: _WORDS[kind] for kind, reason in CODES.values()}
    | dict.fromkeys(REFUSED_BY_STATUS.values(), ACCOUNT)
    | dict.fromkeys(smtp_outcome.FOR_A_PERSON, ACCOUNT)
    | dict.fromkeys(("not_sent", "no_answer", "answer_unreadable", "answer_does_not_match", OUTAGE), PROVIDER)
    | {"too_large": MAIL, RATE_LIMITED: RATE_LIMITED}
)


def why(reason: str) -> str:
    """Give the word for a reason as it is stored."""
    if reason.startswith("http_5"):
        return PROVIDER
    return _WHY.get(reason, OTHER)
