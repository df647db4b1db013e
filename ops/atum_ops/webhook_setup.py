"""How our webhook should be registered at Postmark, and what has to change for that. Pure.

The fields are those of Postmark's API (developer docs, "Webhooks API"). Credentials go into HttpAuth and HttpHeaders, never
into the URL, and no text here has one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from atum_producers.webhooks import access
from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import SecretStr

    from atum_schema.settings import Settings

#: Types of event that settle mails and suppress addresses; they are always wanted.
NEEDED: Final = ("Delivery", "Bounce", "SpamComplaint", "SubscriptionChange")
OPENS: Final = "Open"
CLICKS: Final = "Click"
# A quoted mail is content, which we neither need nor want to keep.
_NO_CONTENT: Final = ("Bounce", "SpamComplaint")


class Change(NamedTuple):
    """One thing that changes; `was` and `becomes` are words without credentials."""

    what: str
    was: str
    becomes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How the webhook should be registered, in whatever stream."""

    url: str
    #: User and password.
    basic: tuple[str, str] | None = field(repr=False)
    #: Name and value.
    header: tuple[str, str] | None = field(repr=False)
    #: Whether each type of event is wanted; one that is missing stays as it is.
    triggers: Mapping[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What has to be done in one stream."""

    stream: str
    #: None: it has to be created.
    webhook_id: int | None
    #: Empty: it is as it should be.
    changes: tuple[Change, ...]
    #: What is sent to the provider; it has credentials.
    document: Mapping[str, Any] = field(repr=False)
    #: URLs, without credentials, of others in the stream, which are left alone.
    others: tuple[str, ...]

    @property
    def name(self) -> str:
        """Say it in one word: create, update or keep."""
        if self.webhook_id is None:
            return "create"
        return "update" if self.changes else "keep"


def wanted(settings: Settings, *, opens: bool | None, clicks: bool | None) -> Wanted:
    """Read how it should be; None for opens or clicks: as they are. Raises `SettingsError`."""
    url = checked_url(settings)
    access.demanded(settings)
    basic, secrets = live(settings.webhook_basic), live(settings.webhook_secret)
    if not basic and not secrets:
        raise SettingsError(
            "ATUM_WEBHOOK_BASIC and ATUM_WEBHOOK_SECRET are not set, and the provider does not sign: set one of them"
        )
    chosen = {OPENS: opens, CLICKS: clicks}
    user, _, password = basic[0].partition(":") if basic else ("", "", "")
    return Wanted(
        url=url,
        basic=(user, password) if basic else None,
        header=(settings.webhook_secret_header, secrets[0]) if secrets else None,
        triggers=dict.fromkeys(NEEDED, True)
        | {name: want for name, want in chosen.items() if want is not None},
    )


def checked_url(settings: Settings) -> str:
    """Give the public URL. Raises `SettingsError` where the provider cannot or should not use it."""
    url = settings.webhook_url
    if not url:
        raise SettingsError("ATUM_WEBHOOK_URL is not set: where does the provider reach the endpoint?")
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        raise SettingsError("ATUM_WEBHOOK_URL must be an absolute http or https URL")
    if "@" in parts.netloc:
        raise SettingsError("ATUM_WEBHOOK_URL must have no credentials; they belong into ATUM_WEBHOOK_BASIC")
    if parts.scheme == "http" and urlsplit(settings.postmark_url).scheme == "https":
        raise SettingsError("ATUM_WEBHOOK_URL must begin with https: credentials and addresses travel there")
    return url


def live(secret: SecretStr | None) -> tuple[str, ...]:
    """Give the credentials that count, that to use first; `access.demanded` has checked them."""
    return () if secret is None else tuple(secret.get_secret_value().split(","))


def plan(want: Wanted, *, stream: str, registered: Sequence[Mapping[str, Any]]) -> Plan:
    """Decide what to do in a stream, given the webhooks that it has."""
    ours = next((one for one in registered if _same_place(one.get("Url"), want.url)), None)
    others = tuple(shown(one.get("Url")) for one in registered if one is not ours)
    if ours is None:
        document = {"MessageStream": stream, **_document(want, {})}
        return Plan(
            stream=stream,
            webhook_id=None,
            changes=tuple(_differences(want, {})),
            document=document,
            others=others,
        )
    return Plan(
        stream=stream,
        webhook_id=ours["ID"],
        changes=tuple(_differences(want, ours)),
        document=_document(want, ours),
        others=others,
    )


def shown(url: Any) -> str:
    """Give a URL that is fit to be seen: without credentials, query and fragment."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
    except ValueError:
        return "(no URL)"
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    return bare or "(no URL)"


def _document(want: Wanted, ours: Mapping[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = {"Url": want.url, "Triggers": {}}
    if want.basic is not None:
        document["HttpAuth"] = {"Username": want.basic[0], "Password": want.basic[1]}
    if want.header is not None:
        name, value = want.header
        kept = [one for one in _headers(ours) if str(one.get("Name")).lower() != name.lower()]
        document["HttpHeaders"] = [*kept, {"Name": name, "Value": value}]
    for trigger, enabled in want.triggers.items():
        document["Triggers"][trigger] = {"Enabled": enabled}
        if trigger in _NO_CONTENT:
            document["Triggers"][trigger]["IncludeContent"] = False
    return document


def _differences(want: Wanted, ours: Mapping[str, Any]) -> Iterable[Change]:
    if ours.get("Url") != want.url:
        yield Change("URL", shown(ours.get("Url")) if ours else "–", shown(want.url))
    if not _has_basic(want, ours):
        yield Change(
            "Basic credentials", "other ones" if ours.get("HttpAuth") else "none", "the first of ours"
        )
    if not _has_header(want, ours) and want.header is not None:
        names = {str(one.get("Name")).lower() for one in _headers(ours)}
        was = "another value" if want.header[0].lower() in names else "none"
        yield Change(f"header {want.header[0]}", was, "the first of ours")
    triggers = ours.get("Triggers")
    triggers = triggers if isinstance(triggers, dict) else {}
    for trigger, enabled in want.triggers.items():
        known = triggers.get(trigger)
        known = known if isinstance(known, dict) else {}
        if bool(known.get("Enabled")) is not enabled:
            yield Change(trigger, "off" if enabled else "on", "on" if enabled else "off")
        if trigger in _NO_CONTENT and known.get("IncludeContent") is True:
            yield Change(f"{trigger}: content", "included", "left out")


def _has_basic(want: Wanted, ours: Mapping[str, Any]) -> bool:
    if want.basic is None:
        return True
    auth = ours.get("HttpAuth")
    return isinstance(auth, dict) and (auth.get("Username"), auth.get("Password")) == want.basic


def _has_header(want: Wanted, ours: Mapping[str, Any]) -> bool:
    if want.header is None:
        return True
    name, value = want.header
    return any(
        str(one.get("Name")).lower() == name.lower() and one.get("Value") == value for one in _headers(ours)
    )


def _headers(ours: Mapping[str, Any]) -> list[dict[str, Any]]:
    headers = ours.get("HttpHeaders")
    return [one for one in headers if isinstance(one, dict)] if isinstance(headers, list) else []


def _same_place(registered: Any, url: str) -> bool:
    """Whether two URLs lead to the same place, credentials aside."""
    try:
        one, other = urlsplit(registered if isinstance(registered, str) else ""), urlsplit(url)
        places = [
            ((parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme), parts.path.rstrip("/"))
            for parts in (one, other)
        ]
    except ValueError:
        return False
    return places[0] == places[1]


_PORTS: Final = {"http": 80, "https": 443}
