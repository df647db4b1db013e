"""The webhooks that are registered (Postmark developer docs, "Webhooks API")."""

from __future__ import annotations

import base64
from collections import Counter
from copy import deepcopy
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from atum_ops.simulator import texts
from atum_ops.simulator.texts import Refusal
from atum_ops.simulator.webhook_events import TRIGGERS
from atum_schema.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BAD_URL: Final = 1352
BAD_FIELD: Final = 1353
UNKNOWN_STREAM: Final = 1226
_FIRST_ID: Final = 1001
_FLAGS: Final[Mapping[str, str]] = {
    "Open": "PostFirstOpenOnly",
    "Bounce": "IncludeContent",
    "SpamComplaint": "IncludeContent",
}


class Status(StrEnum):
    """Whether events of one type are sent to one webhook."""

    ACTIVE = "Active"
    #: Too many in a row were given up.
    PAUSED = "Paused"
    #: It was saved without a probe.
    UNVERIFIED = "Unverified"


class Webhook:
    """One registered webhook: its settings as the API has them, and how it fares."""

    def __init__(self, webhook_id: int, settings: Mapping[str, Any]) -> None:
        self.id = webhook_id
        self.settings = settings
        self.statuses: dict[str, Status] = {}
        #: Events taken, retries, events given up, and events not sent because their type was paused, by type.
        self.totals: dict[str, Counter[str]] = {trigger: Counter() for trigger in TRIGGERS}
        #: How many of a type in a row were given up.
        self.failures: Counter[str] = Counter()

    @property
    def url(self) -> str:
        """Where events are sent to."""
        url: str = self.settings["Url"]
        return url

    @property
    def enabled(self) -> list[str]:
        """The types of event that it wants."""
        return [trigger for trigger in TRIGGERS if self.settings["Triggers"][trigger]["Enabled"]]

    def wants(self, record_type: str) -> bool:
        """Say whether events of a type are meant for it, whether they can be sent or not."""
        trigger = self.settings["Triggers"].get(record_type)
        return trigger is not None and trigger["Enabled"]

    def become(self, status: Status) -> None:
        """Give every type that it wants this status."""
        self.statuses = dict.fromkeys(self.enabled, status)
        self.failures.clear()

    def headers(self) -> list[tuple[str, str]]:
        """Give the headers that its owner asked for."""
        found = [(one["Name"], one["Value"]) for one in self.settings["HttpHeaders"]]
        parts, auth = urlsplit(self.url), self.settings["HttpAuth"]
        pair = None
        if auth is not None:
            pair = f"{auth['Username']}:{auth['Password']}"
        elif parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        if pair is not None:
            found.append(("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"))
        return found

    @property
    def shown_url(self) -> str:
        """Where events are sent to, without credentials."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def to_document(self) -> dict[str, Any]:
        """Give it as the API does, password included."""
        return {"ID": self.id, **self.settings}


class Webhooks:
    """All registered webhooks."""

    def __init__(self, streams: Mapping[str, str]) -> None:
        self._streams = streams
        self._all: dict[int, Webhook] = {}
        self._next = _FIRST_ID

    def __bool__(self) -> bool:
        return bool(self._all)

    def all(self, stream: str | None = None) -> list[Webhook]:
        """Give those of a stream, or all."""
        return [one for one in self._all.values() if stream in {None, one.settings["MessageStream"]}]

    def get(self, webhook_id: int) -> Webhook | None:
        """Give the webhook with this id, or None."""
        return self._all.get(webhook_id)

    def read(self, document: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> Webhook | Refusal:
        """Give the webhook that a request describes, not yet saved; `known` are the settings that it changes."""
        settings = _settings(document, known)
        if isinstance(settings, Refusal):
            return settings
        if self._streams.get(settings["MessageStream"], "Inbound") == "Inbound":
            return Refusal(UNKNOWN_STREAM, texts.UNKNOWN_STREAM)
        return Webhook(0, settings)

    def save(self, webhook: Webhook) -> None:
        """Keep a webhook, in place of that with the same id; one without an id gets one."""
        if not webhook.id:
            webhook.id = self._next
            self._next += 1
        self._all[webhook.id] = webhook

    def remove(self, webhook_id: int) -> bool:
        """Forget a webhook; False when there is none."""
        return self._all.pop(webhook_id, None) is not None

    def use(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Have these and no others, all verified. Raises SettingsError when one makes no sense."""
        self._all.clear()
        for document in documents:
            webhook = self.read(document)
            if isinstance(webhook, Refusal):
                raise SettingsError(f"not a webhook: {webhook.message}")
            webhook.become(Status.ACTIVE)
            self.save(webhook)


def _basic(user: str, password: str) -> tuple[str, str]:
    return "Authorization", f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _settings(document: Mapping[str, Any], known: Mapping[str, Any] | None) -> dict[str, Any] | Refusal:
    settings: dict[str, Any] = deepcopy(dict(known)) if known is not None else _blank()
    if known is None:
        settings["MessageStream"] = document.get("MessageStream") or settings["MessageStream"]
    url = document.get("Url", settings["Url"])
    if not _is_url(url):
        return Refusal(BAD_URL, texts.BAD_WEBHOOK_URL)
    settings["Url"] = url
    for name, is_right in (("HttpAuth", _is_auth), ("HttpHeaders", _are_headers)):
        if document.get(name) is not None:
            if not is_right(document[name]):
                return _bad(name)
            settings[name] = document[name]
    wrong = _change(settings["Triggers"], document.get("Triggers") or {})
    return settings if wrong is None else _bad(wrong)


def _bad(name: str) -> Refusal:
    return Refusal(BAD_FIELD, texts.BAD_WEBHOOK.format(name=name))


def _blank() -> dict[str, Any]:
    triggers: dict[str, dict[str, bool]] = {trigger: {"Enabled": False} for trigger in TRIGGERS}
    for trigger, flag in _FLAGS.items():
        triggers[trigger][flag] = False
    return {
        "Url": None,
        "MessageStream": "outbound",
        "HttpAuth": None,
        "HttpHeaders": [],
        "Triggers": triggers,
    }


def _change(triggers: dict[str, dict[str, bool]], given: Any) -> str | None:
    """Change triggers as asked; give the name of what is wrong."""
    if not isinstance(given, dict):
        return "Triggers"
    for trigger, flags in given.items():
        if trigger not in triggers or not isinstance(flags, dict):
            return f"Triggers.{trigger}"
        for flag, value in flags.items():
            if flag not in triggers[trigger] or not isinstance(value, bool):
                return f"Triggers.{trigger}.{flag}"
            triggers[trigger][flag] = value
    return None


def _is_url(given: Any) -> bool:
    if not isinstance(given, str):
        return False
    try:
        parts = urlsplit(given)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _is_auth(given: Any) -> bool:
    return _has(given, "Username", "Password")


def _are_headers(given: Any) -> bool:
    return isinstance(given, list) and all(_has(one, "Name", "Value") for one in given)


def _has(given: Any, *names: str) -> bool:
    # What ends a line would end a header.
    return (
        isinstance(given, dict)
        and given.keys() == set(names)
        and all(isinstance(part, str) and part and part.isprintable() for part in given.values())
    )
