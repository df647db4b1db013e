"""What a mail holds, and what a setting hides, is in no log line, metric, queue, error, or row that is not there to hold it."""

from __future__ import annotations

import sys
import time
import traceback
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx
import orjson
import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from atum_ops.stack.ports import free_port
from atum_producers import BrokerMailer
from atum_schema.errors import AtumError
from atum_schema.log_keys import HEAD, KEYS, TAIL
from atum_schema.mail import Mail
from atum_schema.migrate import migrate
from tests import canary, command_line
from tests.api import Api
from tests.intaking import publish
from tests.nodes import eventually
from tests.system import HANG_S, SETTLED_SOON, System
from tests.webhooks import PATH, WebhookEndpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from atum_ops.stack.postgres import PostgresNode
    from atum_ops.stack.rabbit import RabbitNode
    from tests.system import Part

K = FaultKind
HOOK_PASSWORD: Final = "a-canary-of-the-webhook"
#: Values of settings that hide something, as no test data elsewhere has them.
SECRETS: Final = {
    "ATUM_POSTMARK_ACCOUNT_TOKEN": "canary-account-token-77",
    "ATUM_WEBHOOK_BASIC": f"postmark:{HOOK_PASSWORD}",
    "ATUM_ALERT_WEBHOOK_TOKEN": "canary-alert-token-77",
}
TOKEN: Final = "canary-postmark-token-77"
WRONG: Final = "canary-wrong-password-77"


@dataclass(kw_only=True)
class Running:
    """All parts at their most talkative, and everything that is searched afterwards."""

    system: System
    postgres: PostgresNode
    rabbit: RabbitNode
    stack: ExitStack
    parts: list[tuple[str, Part]] = field(default_factory=list)
    ports: list[tuple[Part, int]] = field(default_factory=list)
    #: What was raised, shown or answered.
    told: list[tuple[str, bytes]] = field(default_factory=list)

    def start(self, name: str, *arguments: str, serving: bool = True, **settings: str) -> Part:
        """Start a part with metrics on a port of its own."""
        port = free_port()
        command = [
            sys.executable,
            "-m",
            "atum_ops" if name != "poisoned" else "tests.poisoned_worker",
            *arguments,
        ]
        ports = {"ATUM_METRICS_PORT": str(port), "ATUM_EXPORTER_PORT": str(port)}
        part = self.system._launched(command, {**ports, **settings})
        self.ports.append((part, port))
        self.parts.append((f"{name} {len(self.parts)}", part))
        return self.system.await_output(part, "serving") if serving else part

    def mail(self, to: str, **fields: Any) -> Mail:
        """Make a mail to `to` at the strange domain."""
        given = {"to": f"{canary.WORD} <{to}@{canary.DOMAIN}>", "attachments": [canary.attachment()]}
        return Mail(**{**canary.FIELDS, **given, **fields})

    def enqueue(self, to: str, **fields: Any) -> UUID:
        return self.system.mailer.enqueue(self.mail(to, **fields))

    def faulty(self, *rules: FaultRule) -> None:
        self.system.simulator.set_faults(FaultPlan(rules=rules, hang_s=HANG_S))

    def metrics(self) -> None:
        """Note the metrics of all parts that run."""
        for part, port in self.ports:
            if part.running:
                answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30)
                assert b"atum_mailer_build_info" in answer.content
                self.told.append((f"metrics at {port}", answer.content))

    def end(self, mail_id: UUID, *statuses: str, seconds: float = 60) -> None:
        """Wait until the mail has one of these statuses; note what is told of it."""
        state = self.system.mailer.get
        assert eventually(lambda: state(mail_id).status in statuses, seconds=seconds), (
            state(mail_id),
            statuses,
            self.system.story(mail_id),
        )
        self.told.append(("state", repr(state(mail_id)).encode()))


@pytest.fixture
def running(own_postgres: PostgresNode, own_rabbit: RabbitNode) -> Iterator[Running]:
    migrate(own_postgres.url)
    simulation = SimulatorConfig(token=TOKEN, fates={}, time_scale=0.001, latency_ms=5)
    settings = {
        **SETTLED_SOON,
        **SECRETS,
        "ATUM_LOG_LEVEL": "debug",
        "ATUM_CATCH_UP_S": "1",
        "ATUM_CATCH_UP_AGES_S": "5",
        "ATUM_ATTEMPTS": "3",
        "ATUM_OUTAGE_REQUESTS": "10000",
    }
    with (
        System(
            database_url=own_postgres.url,
            amqp_url=own_rabbit.url,
            relays=0,
            workers=0,
            simulation=simulation,
            settings=settings,
        ) as system,
        ExitStack() as stack,
    ):
        yield Running(system=system, postgres=own_postgres, rabbit=own_rabbit, stack=stack)


def test_what_a_mail_holds_and_what_a_setting_hides_is_found_nowhere_else(running: Running) -> None:
    system = running.system
    running.start("relay", "relay")
    running.start("intake", "intake")
    running.start("exporter", "exporter")
    unreadable = poison_and_unreadable(running)
    running.start("worker", "worker")
    running.end(unreadable, "dead", "held", "retrying")
    by_http = stack_of_http(running)
    fates(running)
    ways_in(running, by_http)
    servers_away(running, by_http)
    wrong_credentials(running)
    running.metrics()
    left_in_queues(running)
    told = [
        *running.told,
        *[(name, part.output().encode()) for name, part in running.parts],
        *canary.rows(system.database_url),
        *canary.messages(system.amqp_url, running.rabbit),
        ("log of PostgreSQL", running.postgres.log.read_bytes()),
        ("log of RabbitMQ", running.rabbit.log.read_bytes()),
    ]
    words = [canary.WORD, canary.SUBJECT, canary.TEXT]
    leaks = [(where, around) for where, text in told for around in canary.found(text, words)]
    assert not leaks, "\n".join(f"{where}: {around!r}" for where, around in leaks)
    ours = [(where, text) for where, text in told if not where.startswith("log of")]
    secrets = [(where, around) for where, text in ours for around in canary.found(text, secrets_of(running))]
    assert not secrets, "\n".join(f"{where}: {around!r}" for where, around in secrets)
    assert_lines_are_known(running)


def poison_and_unreadable(running: Running) -> UUID:
    """A mail that kills its worker, and content that nobody can read."""
    system = running.system
    unreadable, poison = running.enqueue("unreadable"), running.enqueue("poison")
    system.query("UPDATE atum.content SET key_id = 'gone' WHERE mail_id = %(id)s RETURNING 1", id=unreadable)
    deadline = time.monotonic() + 240
    while system.mailer.get(poison).status != "dead":
        assert time.monotonic() < deadline
        part = running.start("poisoned", str(poison), serving=False)
        assert eventually(partial(has_killed, running, part, poison), seconds=60)
        part.kill()
    return unreadable


def has_killed(running: Running, part: Part, poison: UUID) -> bool:
    return not part.running or running.system.mailer.get(poison).status == "dead"


def complains(part: Part) -> bool:
    return '"level":"warning"' in part.output() or not part.running


def stack_of_http(running: Running) -> tuple[Api, httpx.Client]:
    """Start API and webhook endpoint, and have the provider tell the latter."""
    settings = {**running.system.environment, "ATUM_LOG_LEVEL": "debug"}
    api = running.stack.enter_context(Api(running.system.database_url, settings=settings))
    endpoint = running.stack.enter_context(WebhookEndpoint(running.system.database_url, settings=settings))
    running.parts += [("api", api), ("webhooks", endpoint)]  # type: ignore[list-item]
    running.system.simulator.register_webhook(endpoint.url + PATH, basic=("postmark", HOOK_PASSWORD))
    refused = endpoint.tell(
        {"RecordType": "Bounce", "Email": f"x@{canary.DOMAIN}"}, basic=("postmark", WRONG)
    )
    garbage = endpoint.tell(canary.TEXT.encode(), basic=("postmark", HOOK_PASSWORD))
    stray = endpoint.tell(
        {
            "RecordType": "Bounce",
            "MessageID": canary.WORD,
            "Email": f"x@{canary.DOMAIN}",
            "Details": canary.TEXT,
        },
        basic=("postmark", HOOK_PASSWORD),
    )
    assert (refused.status_code, garbage.status_code // 100, stray.status_code) == (401, 2, 200)
    return api, running.stack.enter_context(api.client("shop"))


def fates(running: Running) -> None:
    """Everything that can become of a mail that was accepted."""
    system = running.system
    answer = command_line.run(
        "suppressions", "add", f"never@{canary.DOMAIN}", "--stream", "outbound", "--yes", **system.environment
    )
    assert answer.status == 0, answer
    system.simulator.set_inactive([f"inactive@{canary.DOMAIN}"])
    running.faulty(
        FaultRule(kind=K.MIXED, recipient="rejected@"),
        FaultRule(kind=K.INVALID_FIELDS, recipient="invalid@", max_count=1),
        FaultRule(kind=K.UNKNOWN_ERROR, recipient="strange@"),
        FaultRule(kind=K.PARTIAL_INACTIVE, recipient="partly@"),
        FaultRule(kind=K.SENDER_UNKNOWN, recipient="sender@", max_count=1),
        FaultRule(kind=K.MAINTENANCE, recipient="later@", max_count=1),
        FaultRule(kind=K.RATE_LIMIT, recipient="limited@", max_count=1),
        FaultRule(kind=K.HANG_AFTER, recipient="hangs@", max_count=1),
        FaultRule(kind=K.RESET_BEFORE, recipient="reset@", max_count=1),
        FaultRule(kind=K.HTML_200, recipient="page@", max_count=1),
        FaultRule(kind=K.SERVER_ERROR_BEFORE, recipient="error@", max_count=1),
        FaultRule(kind=K.UNAUTHORIZED, recipient="token@", max_count=1),
    )
    ends = {
        "fine": ("delivered",),
        "bounce-hard": ("bounced",),
        "complaint": ("complained",),
        "bounce-soft": ("sent",),
        "never": ("suppressed",),
        "inactive": ("dead", "suppressed"),
        "rejected": ("dead",),
        "invalid": ("delivered", "dead"),
        "strange": ("dead", "held", "retrying", "unknown"),
        "partly": ("delivered",),
        **dict.fromkeys(("later", "limited", "hangs", "reset", "page", "error"), ("delivered",)),
        "token": ("delivered",),
    }
    several = {"partly": {"cc": f"also@{canary.DOMAIN}"}}
    ids = {}
    for to, expected in ends.items():
        # One at a time: a fault is of a whole request.
        ids[to] = running.enqueue(to, **several.get(to, {}))
        running.end(ids[to], *expected)
    running.faulty()
    replayed = command_line.run("dead", "replay", ids["rejected"], "--yes", **system.environment)
    assert replayed.status == 0, replayed
    running.end(ids["rejected"], "delivered")
    assert eventually(
        lambda: system.query("SELECT 1 FROM atum.webhook_inbox WHERE state = 'new'") == [], seconds=60
    )


def ways_in(running: Running, by_http: tuple[Api, httpx.Client]) -> None:
    """Each way in, with what is good and with what is refused."""
    api, shop = by_http
    with BrokerMailer(running.system.amqp_url, client="shop", timeout=30) as mailer:
        by_broker = mailer.enqueue(running.mail("broker"))
    assert eventually(
        lambda: running.system.query("SELECT 1 FROM atum.mail WHERE id = %(id)s", id=by_broker) != []
    )
    running.end(by_broker, "delivered")
    publish(running.system.amqp_url, [f"no job: {canary.TEXT}".encode()])
    bad = {
        "version": 1,
        "from": f"{canary.WORD}@@{canary.DOMAIN}",
        "to": canary.WORD,
        "subject": canary.SUBJECT,
    }
    publish(running.system.amqp_url, [bad])
    document = {
        "from": f"shop@{canary.DOMAIN}",
        "to": f"http@{canary.DOMAIN}",
        "subject": canary.SUBJECT,
        "text": canary.TEXT,
    }
    headers = {"X-Correlation-Id": "order-4711"}
    taken = shop.post("/v1/mails", json=document, headers=headers)
    assert (taken.status_code, taken.headers["x-correlation-id"]) == (202, "order-4711")
    for wrong in ({"to": canary.WORD}, {canary.WORD: 1}, {"text": 7}):
        assert shop.post("/v1/mails", json={**document, **wrong}).status_code // 100 == 4
    assert shop.get(f"/v1/mails/{canary.WORD}").status_code == 404
    assert shop.get("/v1/mails", params={canary.WORD: canary.SUBJECT}).status_code == 400
    assert shop.put(f"/v1/suppressions/outbound/other@{canary.DOMAIN}").status_code // 100 == 2
    like_postmark = {
        "From": document["from"],
        "To": f"postmark@{canary.DOMAIN}",
        "Subject": canary.SUBJECT,
        "TextBody": canary.TEXT,
    }
    key = shop.headers["Authorization"].removeprefix("Bearer ")
    token = {"X-Postmark-Server-Token": key}
    assert httpx.post(f"{api.url}/email", json=like_postmark, headers=token).status_code == 200
    refused = httpx.post(f"{api.url}/email", json={**like_postmark, "To": canary.WORD}, headers=token)
    assert refused.status_code == 422
    assert (
        httpx.post(
            f"{api.url}/email", json=like_postmark, headers={"X-Postmark-Server-Token": WRONG}
        ).status_code
        == 401
    )
    output = api.output()
    assert '"correlation_id":"order-4711"' in output
    assert key not in output


def servers_away(running: Running, by_http: tuple[Api, httpx.Client]) -> None:
    """The database and the broker go, and come back; what is raised meanwhile tells nothing either."""
    _, shop = by_http
    running.postgres.stop()
    with pytest.raises(AtumError) as raised:
        running.system.new_mailer().enqueue(running.mail("away"))
    running.told.append(("raised", "".join(traceback.format_exception(raised.value)).encode()))
    away = shop.post(
        "/v1/mails", json={"from": f"shop@{canary.DOMAIN}", "to": "a@b.example", "subject": "x", "text": "x"}
    )
    assert away.status_code == 503
    running.told.append(("answer", away.content))
    running.postgres.start()
    running.rabbit.restart()
    back = running.enqueue("back")
    running.end(back, "delivered", seconds=90)


def wrong_credentials(running: Running) -> None:
    """Parts that nobody lets in say so without what they tried with."""
    for name, variable, url in (
        ("relay", "ATUM_DATABASE_URL", running.system.database_url),
        ("relay", "ATUM_AMQP_URL", running.system.amqp_url),
        ("intake", "ATUM_AMQP_URL", running.system.amqp_url),
    ):
        parts = urlsplit(url)
        wrong = url.replace(f":{parts.password}@", f":{WRONG}@")
        assert WRONG in wrong
        part = running.start(name, name, serving=False, **{variable: wrong})
        assert eventually(partial(complains, part), seconds=60)
        part.kill()


def left_in_queues(running: Running) -> None:
    """Leave tickets, dead letters and a job in the queues, to be looked at."""
    for name, part in running.parts:
        if name.startswith(("worker", "intake")) and part.running:
            part.kill()
    publish(running.system.amqp_url, [{"version": 1, "subject": canary.SUBJECT}], app_id="shop")
    ticket = running.enqueue("ticket")
    batch = "SELECT 1 FROM atum.batch WHERE %(id)s = ANY(mail_ids) AND published_at IS NOT NULL"
    assert eventually(lambda: running.system.query(batch, id=ticket) != [], seconds=60)


def secrets_of(running: Running) -> list[str]:
    """List what settings hide, as long as it cannot be met by chance."""
    environment = running.system.environment
    passwords = [urlsplit(environment[name]).password for name in ("ATUM_DATABASE_URL", "ATUM_AMQP_URL")]
    keys = environment["ATUM_CONTENT_KEYS"].partition(":")[2]
    values = [TOKEN, WRONG, HOOK_PASSWORD, keys, *SECRETS.values(), *passwords]
    return [value for value in values if value is not None and len(value) > 7]


def assert_lines_are_known(running: Running) -> None:
    """Every line of every part is one JSON object whose keys are in the list, and which says who says it."""
    lines = [
        (name, line) for name, part in running.parts for line in part.output().splitlines() if line.strip()
    ]
    assert len(lines) > 100
    strange = []
    for name, line in lines:
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError:
            strange.append((name, line))
            continue
        if not {*HEAD, *TAIL} <= document.keys() <= KEYS.keys() or "dropped" in document:
            strange.append((name, line))
    assert not strange, "\n".join(f"{name}: {line}" for name, line in strange)
