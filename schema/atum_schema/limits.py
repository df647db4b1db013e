"""The limits that a mail is held to when it is accepted, so that the provider never has to refuse it later.

Where Postmark documents a limit, it is theirs; the source stands at each one. "MB" is read as 10^6 bytes, the
smaller of the two readings: what is accepted here is accepted there under either.
"""

from __future__ import annotations

from typing import Final

#: Most recipients of one mail, To, Cc and Bcc together (Postmark developer docs, "Things you should know").
RECIPIENTS: Final = 50
#: Longest rendered From, in characters (Postmark API, Send a single email).
FROM_CHARACTERS: Final = 255
#: Longest address, in characters (RFC 5321 §4.5.3.1.3 less the angle brackets; RFC 3696 erratum 1690).
ADDRESS_CHARACTERS: Final = 254
#: Longest display name, in characters; ours, so that a rendered mailbox fits one header line.
NAME_CHARACTERS: Final = 255
#: Longest subject, in UTF-16 code units (Postmark API, Send a single email).
SUBJECT_UNITS: Final = 2000
#: Largest text body and largest HTML body, in bytes of UTF-8 (Postmark support article 1056).
BODY_BYTES: Final = 5_000_000
#: Largest mail, in bytes, with its headers and its attachments in base64 (Postmark support article 1056).
MESSAGE_BYTES: Final = 10_000_000
#: Longest tag, in characters (Postmark API, Send a single email).
TAG_CHARACTERS: Final = 1000
#: Metadata fields a caller may set: Postmark takes 10, two are ours (Postmark support article 1125).
METADATA_FIELDS: Final = 8
#: Longest metadata key, in characters (Postmark support article 1125).
METADATA_KEY_CHARACTERS: Final = 20
#: Longest metadata value, in characters (Postmark support article 1125).
METADATA_VALUE_CHARACTERS: Final = 80
#: Metadata keys that start so (in any case) are set by the system and refused from callers.
METADATA_RESERVED_PREFIX: Final = "atum-"
#: Longest header line, "Name: value", in bytes of UTF-8 without the line end (RFC 5322 §2.1.1).
HEADER_LINE_BYTES: Final = 998
#: Longest attachment name, in characters: what common file systems hold.
ATTACHMENT_NAME_CHARACTERS: Final = 255
#: Longest message stream id, in characters (Postmark API, Create a message stream).
STREAM_CHARACTERS: Final = 30
#: Longest lane name, in characters; it becomes a part of queue names.
LANE_CHARACTERS: Final = 32
#: Longest idempotency key, in characters.
IDEMPOTENCY_KEY_CHARACTERS: Final = 255
#: Idempotency keys that start so are ours: what follows is the id of a mail that has no key of its own.
IDEMPOTENCY_KEY_RESERVED_PREFIX: Final = "mail:"
#: File extensions that Postmark refuses to carry, ErrorCode 411 (Postmark developer docs, Attachments).
FORBIDDEN_EXTENSIONS: Final = frozenset(
    (  # noqa: SIM905 (one word a line reads worse)
        "vbs exe bin bat chm com cpl crt hlp hta inf ins isp jse lnk mdb pcd pif reg scr sct shs vbe vba "
        "wsf wsh wsl msc msi msp mst"
    ).split()
)
