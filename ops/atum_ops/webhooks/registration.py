"""What is to be registered at the provider, and what has to change for that. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from atum_ops.webhooks.live import safe_url
from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from atum_ops.webhooks.live import Live
    from atum_schema.settings import Settings
    from atum_workers.postmark_webhooks import Webhook

NEEDED: Final = ("Delivery", "Bounce", "SpamComplaint", "SubscriptionChange")
"""The types of event that statuses and suppressions are made of."""


class Wanted(NamedTuple):
    """How the webhook of every stream is to be."""

    url: str
    #: User and password; None: not asked for.
    basic: tuple[str, str] | None
    #: Name and value of the header with the secret; None: not asked for.
    header: tuple[str, str] | None
    #: Each type that is to be sent, or not to be sent; others stay as they are.
    triggers: Mapping[str, bool]

    def __repr__(self) -> str:
        """Say nothing: it has credentials."""
        return "Wanted(…)"


class Plan(NamedTuple):
    """What is to be done about one stream."""

    stream: str
    #: None: there is no webhook yet.
    webhook_id: int | None
    #: What changes, in words without any credential; empty: nothing.
    changes: tuple[str, ...]
    #: What the provider is sent.
    settings: Mapping[str, Any]
    #: Other webhooks of the stream, which get every event as well.
    others: tuple[int, ...] = ()

    @property
    def action(self) -> str:
        """Say in a word what is to be done: create, edit or none."""
        if self.webhook_id is None:
            return "create"
        return "edit" if self.changes else "none"


def wanted(settings: Settings, live: Live, *, opens: bool | None, clicks: bool | None) -> Wanted:
    """Read how webhooks are to be; `opens` and `clicks` None: as they are. Raises `SettingsError`."""
    if settings.webhook_url is None:
        raise SettingsError("ATUM_WEBHOOK_URL is not set: the provider must be told where the endpoint is")
    if not live.basic and not live.secrets:
        raise SettingsError(
            "ATUM_WEBHOOK_BASIC or ATUM_WEBHOOK_SECRET must be set: the provider signs nothing, it only sends these"
        )
    user, _, password = live.basic[0].partition(":") if live.basic else ("", "", "")
    asked = {"Open": opens, "Click": clicks}
    return Wanted(
        url=safe_url(settings.webhook_url, "ATUM_WEBHOOK_URL"),
        basic=(user, password) if live.basic else None,
        header=(live.secret_header, live.secrets[0]) if live.secrets else None,
        triggers={**dict.fromkeys(NEEDED, True), **{k: v for k, v in asked.items() if v is not None}},
    )


def plan(stream: str, registered: Sequence[Webhook], target: Wanted) -> Plan:
    """Say what makes a stream's webhook as it is wanted. The one with the URL is ours, the others are left alone."""
    of_stream = [each for each in registered if each.stream == stream]
    ours = next((each for each in of_stream if each.url == target.url), None)
    others = tuple(each.id for each in of_stream if each is not ours)
    if ours is None:
        return Plan(
            stream, None, ("a new webhook",), {**_settings(target, {}), "MessageStream": stream}, others
        )
    return Plan(stream, ours.id, tuple(_changes(ours, target)), _settings(target, ours.headers), others)


def _changes(ours: Webhook, target: Wanted) -> list[str]:
    changes = []
    if target.basic is not None and target.basic != ours.basic:
        changes.append("Basic credentials: " + ("others" if ours.basic else "added"))
    if target.header is not None:
        name, value = target.header
        found = _named(ours.headers, name)
        if found != value:
            changes.append(f"secret in {name}: " + ("another" if found is not None else "added"))
    return changes + [
        f"{trigger}: {'on' if on else 'off'}"
        for trigger, on in target.triggers.items()
        if on != (trigger in ours.triggers)
    ]


def _settings(target: Wanted, headers: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "Url": target.url,
        "Triggers": {name: {"Enabled": on} for name, on in target.triggers.items()},
    }
    if target.basic is not None:
        settings["HttpAuth"] = {"Username": target.basic[0], "Password": target.basic[1]}
    if target.header is not None:
        name, value = target.header
        kept = {other: given for other, given in headers.items() if other.lower() != name.lower()}
        settings["HttpHeaders"] = [{"Name": n, "Value": v} for n, v in {**kept, name: value}.items()]
    return settings


def _named(headers: Mapping[str, str], name: str) -> str | None:
    return next((value for other, value in headers.items() if other.lower() == name.lower()), None)


def standing(ours: Webhook, live: Live) -> str:
    """Say whether the endpoint takes what a webhook sends: `first`, `second` (it takes an older credential), or `none`."""
    places = []
    if live.basic:
        places.append(_place(None if ours.basic is None else ":".join(ours.basic), live.basic))
    if live.secrets:
        places.append(_place(_named(ours.headers, live.secret_header), live.secrets))
    if not places or None in places:
        return "none"
    return "second" if any(places) else "first"


def _place(given: str | None, values: tuple[str, ...]) -> int | None:
    return values.index(given) if given in values else None
