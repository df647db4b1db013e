"""Test events: one with each live credential, which must be taken, and some with wrong ones, which must not."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple, Self
from urllib.parse import urlsplit

import httpx
import orjson

from atum_ops.webhook_check import Finding, Verdict
from atum_ops.webhook_freshness import TEST
from atum_ops.webhook_remedies import remedy
from atum_ops.webhook_setup import live
from atum_producers.webhooks import access
from atum_workers import transport
from atum_workers.deadline import Deadline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from atum_schema.settings import Settings

_TIMEOUT_S: Final = 10.0
_ANSWER: Final = 4096
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where such a server is reached
_ELSEWHERE: Final = "nothing is taken from there yet"
_REFUSED: Final = frozenset({401, 403, 429})


class Probe(NamedTuple):
    """One test event."""

    name: str
    headers: dict[str, str]
    body: bytes
    genuine: bool

    @property
    def identity(self) -> bytes:
        """What the inbox knows it by."""
        return hashlib.sha256(self.body).digest()


class Answer(NamedTuple):
    """What came back."""

    #: None: nothing.
    status: int | None
    #: In the endpoint's words, or the name of what went wrong on the way.
    error: str | None


def local_url(settings: Settings) -> str:
    """Give the URL of an endpoint on this machine."""
    host = _ANYWHERE.get(settings.webhook_host, settings.webhook_host)
    where = f"[{host}]" if ":" in host else host
    return f"http://{where}:{settings.webhook_port}{settings.webhook_path}"


def probes(settings: Settings, *, now: float) -> list[Probe]:
    """Make the test events. `now` is Unix time. Raises `SettingsError`."""
    access.demanded(settings)
    basic, secret = live(settings.webhook_basic), live(settings.webhook_secret)
    keys = live(settings.webhook_signing_keys)
    name = settings.webhook_secret_header
    first, second = basic[0] if basic else None, secret[0] if secret else None
    made = [
        *(
            _told(f"Basic credential {_of(place, basic)}", one, second, name)
            for place, one in enumerate(basic)
        ),
        *(
            _told(f"{name} {_of(place, secret)}", first, one, name)
            for place, one in enumerate(secret)
            # The first went along with the Basic ones.
            if place or first is None
        ),
        *(_signed(f"signing key {_of(place, keys)}", key, now) for place, key in enumerate(keys)),
        _told("no credentials", None, None, name, genuine=False),
    ]
    if first is not None:
        user = first.partition(":")[0]
        made.append(_told("a wrong password", f"{user}:{_wrong()}", second, name, genuine=False))
    if secret:
        made.append(_told(f"a wrong {name}", first, _wrong(), name, genuine=False))
    if keys:
        made.append(_signed("a wrong signing key", _wrong(), now, genuine=False))
    return made


def _told(what: str, basic: str | None, secret: str | None, name: str, *, genuine: bool = True) -> Probe:
    headers = {"Content-Type": "application/json"}
    if basic is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(basic.encode()).decode()}"
    if secret is not None:
        headers[name] = secret
    return Probe(what, headers, _body(), genuine)


def _signed(what: str, key: str, now: float, *, genuine: bool = True) -> Probe:
    body = _body()
    headers = {"Content-Type": "application/json", **access.sign(body, key=key, now=now)}
    return Probe(what, headers, body, genuine)


def _of(place: int, all_of_them: Sequence[str]) -> str:
    return f"{place + 1} of {len(all_of_them)}"


def _body() -> bytes:
    return orjson.dumps({"RecordType": TEST, "TestID": secrets.token_hex(16)})


def _wrong() -> str:
    return secrets.token_urlsafe(32)


def listens(url: str) -> bool:
    """Whether anybody answers at a URL, whatever it says."""
    parts = urlsplit(url)
    with _Client(f"{parts.scheme}://{parts.netloc}") as client:
        return client.ask("GET", "/healthz", {}, b"").status is not None


def send(url: str, made: Sequence[Probe]) -> list[tuple[Probe, Answer]]:
    """Post test events to a URL until there is one that nobody answers."""
    parts = urlsplit(url)
    answers: list[tuple[Probe, Answer]] = []
    with _Client(f"{parts.scheme}://{parts.netloc}") as client:
        for probe in made:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            answer = client.ask("POST", path, probe.headers, probe.body)
            answers.append((probe, answer))
            if answer.status is None:
                break
    return answers


class _Client:
    def __init__(self, origin: str) -> None:
        self._clock = transport.Clock()
        self._client = transport.client(origin, {"User-Agent": "atum-mailer"}, self._clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Make one request; give the answer, or what came in between."""
        encoded = {name.encode(): value.encode() for name, value in headers.items()}
        try:
            with (
                self._clock.bound(Deadline.start(_TIMEOUT_S)),
                self._client.stream(method, path, headers=encoded, content=body) as response,
            ):
                raw = b""
                for chunk in response.iter_bytes():
                    raw += chunk
                    if len(raw) > _ANSWER:
                        break
        except httpx.HTTPError as error:
            return Answer(None, type(error).__name__)
        return Answer(response.status_code, _error(raw))


def _error(raw: bytes) -> str | None:
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    error = document.get("error") if isinstance(document, dict) else None
    return error[:200] if isinstance(error, str) and error.isprintable() else None


def judged(probe: Probe, answer: Answer) -> Finding:
    """Say what an answer means."""
    about = f"test: {probe.name}"
    if answer.status is None:
        return Finding(about, Verdict.UNKNOWN, f"no answer ({answer.error})", remedy(None))
    if probe.genuine:
        return _genuine(about, answer.status, answer.error)
    if answer.status in _REFUSED:
        return Finding(about, Verdict.GOOD, f"refused (HTTP {answer.status})")
    if answer.status < 300:  # noqa: PLR2004 - success
        return Finding(
            about,
            Verdict.BAD,
            f"taken (HTTP {answer.status})",
            "anybody can tell us anything: something in front of the endpoint answers, or adds credentials",
        )
    return Finding(about, Verdict.UNKNOWN, f"neither taken nor refused (HTTP {answer.status})")


def _genuine(about: str, status: int, error: str | None) -> Finding:
    if status == httpx.codes.OK:
        return Finding(about, Verdict.GOOD, "taken")
    words = f"HTTP {status}" + (f": {error}" if error else "")
    if error == _ELSEWHERE:
        return Finding(
            about,
            Verdict.NOTE,
            "the credential is right, but this machine is outside ATUM_WEBHOOK_ALLOW",
            "check from an address on the list to see an event stored",
        )
    return Finding(about, Verdict.BAD, words, remedy(status))
