"""The promises that the model looks at, by what breaks them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from tests.model.checker import STUCK


class Broken(StrEnum):
    """What can be wrong with a state or a step, each with the sentence that defines it."""

    DUPLICATE = "duplicate"
    """The provider, or the fallback, has accepted a mail twice."""
    NOT_ONE_OWNER = "not one owner"
    """A mail is not owned exactly once: by `ready`, by a batch, by settling, or by its end."""
    UNMARKED = "POST without a mark"
    """A POST leaves without a posting mark of the same batch and token in the database."""
    BESIDE = "POST beside an open one"
    """A POST leaves while an earlier one of the mail has no outcome and no settling covers it."""
    AFTER_CANCEL = "POST after cancel"
    """A POST leaves with a mail whose cancel was acknowledged."""
    MARKED_EXPIRED = "marked after expiry"
    """A posting mark is committed for a mail whose time was over."""
    MARKED_PROVEN = "marked after proof"
    """A posting mark is committed for a mail whose acceptance was proven to the database."""
    PROOF_DISCARDED = "proof discarded"
    """A mail whose acceptance was proven to the database is not `sent`."""
    PROOF_OVERLOOKED = "proof overlooked"
    """A search for a mail finds nothing although a search could find it."""
    RESENT_EXPIRED = "resend after expiry"
    """Settling allows a resend of a mail whose time is over."""
    CHARGED = "charged for an outage"
    """More attempts are charged than the mail itself has failed."""
    WINDOW = "window exceeded"
    """More batches are in flight than the window allows."""
    STUCK = STUCK
    """No path leads to an end of every mail."""


ALL: Final = frozenset(Broken)
EXCEPT_COPIES: Final = ALL - {Broken.DUPLICATE}
"""What is promised beyond the honest bound as well."""
