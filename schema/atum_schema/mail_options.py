"""Words with a fixed set of values in a mail."""

from __future__ import annotations

from enum import StrEnum


class TrackLinks(StrEnum):
    """In which bodies the provider replaces links to count clicks (Postmark API, Send a single email)."""

    NONE = "None"
    HTML_AND_TEXT = "HtmlAndText"
    HTML_ONLY = "HtmlOnly"
    TEXT_ONLY = "TextOnly"


class OnUnknown(StrEnum):
    """What becomes of a mail when the provider may or may not have accepted it and the search found no proof."""

    #: Send it again: a duplicate is better than a loss.
    RESEND = "resend"
    #: Keep it for a person to decide: a loss is better than a duplicate.
    HOLD = "hold"
