"""The control side of a running simulator, from another process."""

from __future__ import annotations

from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import orjson

from atum_ops.simulator.records import LedgerRecord, Summary, TruthRecord
from atum_schema.errors import SettingsError, StackError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from atum_ops.simulator.faults import FaultPlan
    from atum_ops.simulator.webhook_faults import WebhookFaults

_TIMEOUT_S = 60.0
_READ = 1 << 20
_OK, _FORBIDDEN, _GONE, _WRONG = 200, 403, 404, 422


class Remote:
    """Talks to the `/_control/` side at a URL. Safe to use from several threads: each call has its own connection.

    Every method raises StackError, saying what to do, when no simulator answers there or it wants another token.
    """

    def __init__(self, url: str, token: str) -> None:
        address = urlsplit(url)
        if address.scheme != "http" or not address.hostname:
            raise SettingsError(f"the simulator's URL is {url!r}, it must be like http://127.0.0.1:8025")
        self._url = url
        self._host, self._port = address.hostname, address.port
        self._token = token

    def summary(self) -> Summary:
        """Count what was really accepted, and what went wrong."""
        return Summary.from_document(self._call("GET", "summary"))

    def ledger(self, *, after: int = 0, limit: int | None = None) -> Iterator[LedgerRecord]:
        """Give the records of accepted messages with `seq` > `after`, in order, as they stood when asked."""
        path = f"ledger?after={after}" + (f"&limit={limit}" if limit is not None else "")
        with self._request("GET", path) as response:
            for line in _lines(response):
                yield LedgerRecord.from_document(orjson.loads(line))

    def truth(self) -> Iterator[TruthRecord]:
        """Give what is true of each recipient of each accepted message that has a fate, in order."""
        with self._request("GET", "truth") as response:
            for line in _lines(response):
                yield TruthRecord.from_document(orjson.loads(line))

    def webhooks(self) -> dict[str, Any]:
        """Give `webhooks` with their statistics, `counts`, their `faults`, the `fates`, and what is still to come.

        `upcoming` counts the steps that have not happened yet, `pending` the deliveries that are not done.
        """
        return self._call("GET", "webhooks")

    def register_webhook(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Register a webhook, as the provider's API has it but without a probe; give what `webhooks` gives.

        Raises SettingsError when it makes no sense; so do the next ones.
        """
        return self._call("POST", "webhooks", dict(document))

    def remove_webhook(self, webhook_id: int) -> dict[str, Any]:
        """Forget a webhook; give what `webhooks` gives."""
        return self._call("DELETE", "webhooks", {"id": webhook_id})

    def set_webhook_faults(self, faults: WebhookFaults) -> dict[str, Any]:
        """Let these faults hit webhooks from now on; give what `webhooks` gives."""
        return self._call("POST", "webhook_faults", faults.to_document())

    def set_webhook_outage(self, outage: str) -> dict[str, Any]:
        """Begin an outage of webhooks, `lost` or `failing`, or end it (""); the other faults stay."""
        return self._call("POST", "webhook_faults", {"outage": outage})

    def set_fates(self, shares: Mapping[str, float] | None) -> dict[str, Any]:
        """Give fates other shares, from the next message on; None: messages have no fate. Gives what `webhooks` gives."""
        return self._call("POST", "fates", {"shares": None if shares is None else dict(shares)})

    def status(self) -> dict[str, Any]:
        """Give what is being played (`scenario`), `conditions`, the plan (`faults`), and how often each kind `fired`."""
        return self._call("GET", "status")

    def set_faults(self, plan: FaultPlan) -> None:
        """Replace the fault plan; it starts from its beginning."""
        self._call("POST", "faults", plan.to_document())

    def scenario(self, name: str, seconds: float | None = None) -> dict[str, Any]:
        """Play a scenario, for so many seconds or until it is cleared; give the status.

        Raises SettingsError for a name or a time that makes no sense.
        """
        return self._call("POST", "scenario", {"name": name, "seconds": seconds})

    def clear_scenario(self) -> dict[str, Any]:
        """End the scenario, if one is being played; give the status."""
        return self._call("DELETE", "scenario")

    def tune(self, conditions: Mapping[str, float | bool]) -> dict[str, Any]:
        """Change some of the conditions; give the status. Raises SettingsError when one is unknown or wrong."""
        return self._call("POST", "conditions", dict(conditions))

    def set_inactive(self, addresses: list[str]) -> None:
        """Replace all suppressions: these addresses have bounced, on every stream."""
        self._call("POST", "inactive", {"addresses": addresses})

    def set_suppressions(self, suppressions: list[Mapping[str, str]]) -> None:
        """Replace all suppressions, each with `EmailAddress`, and `MessageStream`, `SuppressionReason`, `Origin` as wanted.

        Raises SettingsError when one makes no sense.
        """
        self._call("POST", "suppressions", {"suppressions": suppressions})

    def content(self, message_id: str) -> dict[str, Any] | None:
        """Give a message as it was sent, attachments included, or None when it is no longer kept."""
        with self._request("GET", f"content?id={quote(message_id, safe='')}", also=_GONE) as response:
            said: dict[str, Any] = orjson.loads(response.read())
            return None if response.status == _GONE else said

    def reset(self) -> None:
        """Forget messages, counters, suppressions, tuning and scenario; the plan starts from its beginning."""
        self._call("POST", "reset", {})

    def _call(self, method: str, path: str, document: object = None) -> dict[str, Any]:
        with self._request(method, path, document) as response:
            said = response.read()
        try:
            result: dict[str, Any] = orjson.loads(said)
        except orjson.JSONDecodeError:
            raise StackError(f"what answers on {self._url} is no simulator") from None
        return result

    @contextmanager
    def _request(
        self, method: str, path: str, document: object = None, *, also: int = _OK
    ) -> Iterator[HTTPResponse]:
        connection = HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
        try:
            body = orjson.dumps(document) if document is not None else None
            connection.request(
                method, f"/_control/{path}", body=body, headers={"X-Control-Token": self._token}
            )
            with connection.getresponse() as response:
                if response.status != also:
                    self._check(response)
                yield response
        except ConnectionRefusedError:
            raise StackError(
                f"nothing listens on {self._url}: start it with `atum-mailer simulator`, or name its place with --url"
                " or ATUM_SIMULATOR_URL (a simulator that refuses connections listens again when its scenario ends;"
                " until then only its control port answers)"
            ) from None
        except (OSError, HTTPException) as error:
            raise StackError(
                f"no simulator answers on {self._url}: {error or type(error).__name__}"
            ) from error
        finally:
            connection.close()

    def _check(self, response: HTTPResponse) -> None:
        if response.status == _OK:
            return
        said = response.read().decode(errors="replace")
        if response.status == _FORBIDDEN:
            raise StackError(
                f"the simulator on {self._url} wants another control token: set ATUM_SIMULATOR_CONTROL_TOKEN to the"
                " one that it was started with"
            )
        if response.status == _WRONG and said.startswith('{"error":'):
            raise SettingsError(orjson.loads(said)["error"])
        raise StackError(
            f"what answers on {self._url} is no simulator, or another version: {response.status} {said}"
        )


def _lines(response: HTTPResponse) -> Iterator[bytes]:
    rest = b""
    while piece := response.read1(_READ):
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        raise StackError("the stream ended in the middle of a record")
