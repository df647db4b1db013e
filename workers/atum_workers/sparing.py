"""What is left of a mail when some of its recipients must not be mailed. Pure.

::

    to, cc, bcc ─▶ those that are suppressed are left out ─▶ nobody left: the mail is suppressed
                                                          ├─ no To, but a Cc: the first of them becomes To
                                                          ├─ blind copies alone: the mail is suppressed
                                                          └─ else it goes to the others
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from atum_schema import replaying

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from atum_schema.document_content import Content

_FIELDS: Final = ("to", "cc", "bcc")


class Spared(NamedTuple):
    """A mail some of whose recipients are left out."""

    #: What is posted; None when nothing is.
    content: Content | None
    #: Who is left out, in lower case, each once.
    left_out: list[str]
    #: For people, without an address.
    detail: str


def bare(mailbox: str) -> str:
    """Give the address of a rendered mailbox, in lower case."""
    return mailbox[mailbox.rindex("<") + 1 : -1].lower() if mailbox.endswith(">") else mailbox.lower()


def recipients(contents: Iterable[Content]) -> set[tuple[str, str]]:
    """Give everybody to whom these mails go, each with the stream."""
    return {
        (content["stream"], bare(mailbox))
        for content in contents
        for field in _FIELDS
        if field in content
        for mailbox in content[field]
    }


def spare(content: Content, suppressed: Collection[tuple[str, str]]) -> Spared | None:
    """Leave out who is suppressed, given with the stream; None where that is nobody."""
    stream = content["stream"]
    everybody = dict.fromkeys(bare(each) for field in _FIELDS for each in content.get(field, ()))
    left_out = [address for address in everybody if (stream, address) in suppressed]
    if not left_out:
        return None
    kept = {
        field: [mailbox for mailbox in content.get(field, ()) if (stream, bare(mailbox)) not in suppressed]
        for field in _FIELDS
    }
    detail = replaying.left_out(len(left_out), len(everybody))
    was = "was" if len(left_out) == 1 else "were"
    if not kept["to"] and kept["cc"]:
        # A mail without To is no mail to many a server; who stood in Cc was visible to all anyway.
        kept["to"], kept["cc"] = kept["cc"][:1], kept["cc"][1:]
    if kept["to"]:
        rest = {name: value for name, value in content.items() if name not in _FIELDS}
        going = {field: mailboxes for field, mailboxes in kept.items() if mailboxes}
        return Spared({**rest, **going}, left_out, f"{detail} and {was} left out")
    if kept["bcc"]:
        # As To they would be shown to each other, and learn for whom the mail was.
        return Spared(None, left_out, f"{detail}, and only blind copies would be left")
    return Spared(None, left_out, detail)
