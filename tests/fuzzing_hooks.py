"""What schemathesis has to be told of our formats, so that a good part of its mails is accepted. Loaded by schemathesis."""

from __future__ import annotations

import schemathesis
from hypothesis import strategies as st

_MAILBOXES = st.sampled_from(
    (
        "jane@example.com",
        "Jane Doe <jane@example.org>",
        '"Doe, Jane" <j.d@example.net>',
        "Jörg Weiß <j@bücher.example>",
        "山田 太郎 <taro@example.com>",
        "<o'neil+tag@sub.example.org>",
    )
)
_ADDRESSES = st.sampled_from(
    ("jane@example.com", "Jane.Doe@EXAMPLE.org", "o'neil+tag@sub.example.org", "a/b@example.net")
)
_HEADERS = ("X-Order", "List-Unsubscribe", "Message-ID", "References", "In-Reply-To")

schemathesis.openapi.format("mailbox", _MAILBOXES)
schemathesis.openapi.format("address", _ADDRESSES)
schemathesis.openapi.format("mailbox-list", st.lists(_MAILBOXES, min_size=1, max_size=4).map(", ".join))
schemathesis.openapi.format("header-name", st.sampled_from(_HEADERS))
