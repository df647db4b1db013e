"""Test events that a check sends to the endpoint: with each live credential, and with wrong ones."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

import httpx
import orjson

from atum_ops.webhooks.findings import Finding, Level
from atum_ops.webhooks.live import basic_header
from atum_producers.webhooks import access, events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from atum_ops.webhooks.live import Live
    from atum_schema.encryption import Keyring
    from atum_schema.settings import Settings

TRACE: Final = "X-PM-Webhook-Trace-Id"
_TIMEOUT_S: Final = 20.0
_ALIVE_S: Final = 2.0
_REFUSALS: Final = frozenset({401, 403, 429})
_OTHERS: Final = "the endpoint there runs with other credentials: restart it after they change"


class Probe(NamedTuple):
    """One test event."""

    name: str
    genuine: bool
    body: bytes
    headers: dict[str, str]

    def dedupe(self, keyring: Keyring) -> bytes:
        """Give the identity under which the endpoint stores it."""
        return events.arrival(self.body, keyring=keyring, trace=self.headers.get(TRACE)).dedupe

    def __repr__(self) -> str:
        """Say which one it is; its headers are secret."""
        return f"Probe({self.name!r})"


def probes(live: Live, *, now: float) -> list[Probe]:
    """Make the events: each live credential once, and of each kind one that is wrong. `now` is Unix time."""
    first = _headers(live, *(each[0] if each else None for each in (live.basic, live.secrets)))
    made = []
    for place, pair in enumerate(live.basic, start=1):
        made.append(_told(f"Basic {place}", True, {**first, "Authorization": basic_header(pair)}))
    for place, secret in enumerate(live.secrets, start=1):
        made.append(_told(f"secret {place}", True, {**first, live.secret_header: secret}))
    for place, key in enumerate(live.signing_keys, start=1):
        made.append(_signed(f"signing key {place}", True, key, now))
    if live.basic:
        pair = f"{live.basic[0].partition(':')[0]}:{secrets.token_urlsafe()}"
        made.append(_told("a wrong password", False, {**first, "Authorization": basic_header(pair)}))
    if live.secrets:
        made.append(_told("a wrong secret", False, {**first, live.secret_header: secrets.token_urlsafe()}))
    made.append(_signed("a wrong signature", False, secrets.token_urlsafe(), now))
    made.append(_told("no credential", False, {}))
    return made


def _headers(live: Live, pair: str | None, secret: str | None) -> dict[str, str]:
    headers = {} if pair is None else {"Authorization": basic_header(pair)}
    return headers if secret is None else {**headers, live.secret_header: secret}


def _told(name: str, genuine: bool, headers: dict[str, str]) -> Probe:
    return Probe(name, genuine, _body(), {**headers, TRACE: f"test-{secrets.token_hex(16)}"})


def _signed(name: str, genuine: bool, key: str, now: float) -> Probe:
    body = _body()
    return Probe(name, genuine, body, access.sign(body, key=key, now=now))


def _body() -> bytes:
    # A type that is not known: it is stored like any event, and applying it changes nothing.
    return orjson.dumps({"RecordType": "Test", "Test": secrets.token_hex(16)})


class Answered(NamedTuple):
    """What the endpoint answered to a probe."""

    probe: Probe
    #: None: nothing, for the reason in `error`.
    status: int | None
    error: str | None = None


def here(settings: Settings) -> str:
    """Give the URL of an endpoint on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.webhook_host, settings.webhook_host)  # noqa: S104
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{settings.webhook_port}{settings.webhook_path}"


def is_alive(url: str) -> bool:
    """Say whether anybody takes connections there."""
    try:
        httpx.get(httpx.URL(url).copy_with(path="/healthz"), timeout=_ALIVE_S, trust_env=False)
    except httpx.HTTPError:
        return False
    return True


def send(url: str, made: Iterable[Probe]) -> Iterator[Answered]:
    """Send the events, one after the other; give what is answered. Once nobody answers, nobody is asked any more."""
    away: str | None = None
    with httpx.Client(timeout=_TIMEOUT_S, trust_env=False, follow_redirects=False) as client:
        for probe in made:
            if away is not None:
                yield Answered(probe, None, away)
                continue
            headers = {"Content-Type": "application/json", **probe.headers}
            try:
                answer = client.post(url, content=probe.body, headers=headers)
            except httpx.HTTPError as error:
                away = type(error).__name__
                yield Answered(probe, None, away)
            else:
                yield Answered(probe, answer.status_code, _error(answer))


def _error(answer: httpx.Response) -> str | None:
    try:
        document = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return None
    error = document.get("error") if isinstance(document, dict) else None
    return error[:200] if isinstance(error, str) else None


def judge(answered: Answered, *, stored: bool | None) -> Finding:
    """Say what an answer means; `stored` is whether the event is in our database, None: that is not known."""
    probe, status = answered.probe, answered.status
    about = f"test with {probe.name}"
    if status is None:
        return Finding(
            about, Level.AWAY, f"nobody answers: {answered.error}", "atum-mailer api --only webhooks"
        )
    if probe.genuine:
        return _of_genuine(about, answered, stored=stored)
    if status in _REFUSALS:
        return Finding(about, Level.GOOD, f"refused with {status}")
    if httpx.codes.is_success(status):
        return Finding(about, Level.BAD, f"answered {status}: anybody could tell us anything", _OTHERS)
    return Finding(
        about, Level.BAD, f"answered {status}, which refuses nobody", "see the log of the endpoint"
    )


def _of_genuine(about: str, answered: Answered, *, stored: bool | None) -> Finding:
    match answered.status:
        case 200 if stored is False:
            text = "taken, but it is not in this database"
            return Finding(about, Level.BAD, text, "the endpoint there has another ATUM_DATABASE_URL")
        case 200:
            return Finding(about, Level.GOOD, "stored" if stored else "taken")
        case 503 if answered.error and "taken from there" in answered.error:
            text = "its credentials hold; this machine is not in ATUM_WEBHOOK_ALLOW"
            return Finding(about, Level.NOTE, text)
        case 401 | 403 | 429:
            return Finding(about, Level.BAD, f"refused with {answered.status}", _OTHERS)
        case 404 | 405:
            text = f"answered {answered.status}: it is not the path of the endpoint"
            return Finding(about, Level.BAD, text, "compare ATUM_WEBHOOK_PATH with the URL and with proxies")
        case _:
            words = f": {answered.error}" if answered.error else ""
            text = f"answered {answered.status}{words}"
            return Finding(
                about, Level.BAD, text, "see the log of the endpoint; only 200 is success to the provider"
            )
