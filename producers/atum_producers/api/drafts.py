"""From a request's body to rows of the log: pure, so that large ones may be worked on beside the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from atum_producers.api.problems import Kind, Problem
from atum_schema import acceptance
from atum_schema.document import VERSION, mail_from_document
from atum_schema.errors import MailRejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_schema.acceptance import LanePolicy, Row
    from atum_schema.encryption import Keyring
    from atum_schema.mail import Mail

#: Mails in one array.
MOST_MAILS: Final = 500
#: Mails that a refusal names.
MOST_ERRORS: Final = 20


class Drafts(NamedTuple):
    """What a body asked for."""

    mails: list[Mail]
    #: Whether it was an array, and is answered as one.
    many: bool


def drafts(document: Any) -> Drafts:
    """Read one mail or an array of them. Raises `Problem` that lists every mail that is refused (20 at most)."""
    if not isinstance(document, list):
        try:
            return Drafts([_mail(document)], many=False)
        except MailRejected as error:
            raise rejected([(None, error)]) from None
    if not 1 <= len(document) <= MOST_MAILS:
        raise Problem(
            Kind.BAD_REQUEST, f"the array has {len(document)} mails, must have from 1 to {MOST_MAILS}"
        )
    mails: list[Mail] = []
    errors: list[tuple[int | None, MailRejected]] = []
    for place, item in enumerate(document):
        try:
            mails.append(_mail(item))
        except MailRejected as error:
            errors.append((place, error))
            if len(errors) == MOST_ERRORS:
                break
    if errors:
        raise rejected(errors)
    return Drafts(mails, many=True)


def rows(asked: Drafts, *, lanes: LanePolicy, keyring: Keyring, key: str | None) -> list[Row]:
    """Make the rows, under the request's Idempotency-Key if there is one. Raises `Problem`."""
    own = next((place for place, mail in enumerate(asked.mails) if mail.idempotency_key is not None), None)
    if key is not None and own is not None:
        error = MailRejected("idempotency_key", "is given beside the header Idempotency-Key; keep one")
        raise rejected([(own if asked.many else None, error)])
    single = key is not None and not asked.many
    try:
        made = acceptance.prepare(
            asked.mails, lanes=lanes, keyring=keyring, keys=[key] if single and key is not None else ()
        )
    except MailRejected as error:
        raise rejected([(error.index, error)]) from None
    return acceptance.as_one(made, key) if key is not None and asked.many else made


def rejected(errors: Sequence[tuple[int | None, MailRejected]]) -> Problem:
    """Make the problem of mails that break a rule."""
    place, first = errors[0]
    where = first.field if place is None else f"mail {place}: {first.field}"
    return Problem(
        Kind.MAIL_REJECTED,
        f"{where}: {first.reason}",
        errors=[
            {
                **({} if place is None else {"index": place}),
                "field": error.field,
                "reason": error.reason,
            }
            for place, error in errors
        ],
    )


def _mail(item: Any) -> Mail:
    if isinstance(item, dict):
        if "id" in item:
            raise MailRejected(
                "id", "is assigned here; use the header Idempotency-Key to make repeating safe"
            )
        if "version" not in item:
            # The path says it already.
            item = {"version": VERSION, **item}
    return mail_from_document(item)
