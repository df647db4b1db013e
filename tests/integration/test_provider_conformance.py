"""What every provider keeps, whatever happens at the other end: one suite, run on Postmark and on SMTP."""

from __future__ import annotations

import ssl
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from atum_ops.simulator.config import SimulatorConfig
from atum_ops.simulator.faults import FaultKind, FaultPlan, FaultRule
from atum_ops.simulator.process import SimulatorProcess
from atum_schema.settings_smtp import SmtpServer
from atum_schema.steps import Step
from atum_workers.deadline import Deadline
from atum_workers.outcome import Accepted, Deferred, Rejected, Unclear
from atum_workers.postmark import Postmark
from atum_workers.smtp import Smtp
from tests.deadlines import OnceSent
from tests.smtp import Faulty, Script, faulty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from atum_schema.steps import Reached
    from atum_workers.deliver import Provider
    from atum_workers.outcome import Outcome

# The first is far less than what the servers would drag a request out to, and much for a machine that does other things.
SOON_S = 20.0
#: No server of anybody is there, and nobody gets it in between.
NOWHERE = 1


def item(to: str = "kim@example.net") -> dict[str, Any]:
    return {
        "From": "app@example.com",
        "To": to,
        "Subject": "Hello",
        "TextBody": "Hi",
        "MessageStream": "outbound",
        "Metadata": {"atum-mail": str(uuid.uuid4()), "atum-batch": str(uuid.uuid4())},
    }


class Side(ABC):
    """A provider of ours, and the server at its other end."""

    @abstractmethod
    def provider(self, reached: Reached = lambda _: None) -> Provider: ...

    @abstractmethod
    def nobody(self) -> Provider:
        """Make a provider whose server is not there."""

    @abstractmethod
    def fail(self, fault: Any) -> None:
        """Let the server do this from now on."""

    @abstractmethod
    def taken(self) -> Counter[str]:
        """Count what the server really took, by mail id."""

    #: Addresses that start so are refused by the server.
    bad = "bad@example.net"


class PostmarkSide(Side):
    def __init__(self, simulator: SimulatorProcess) -> None:
        self._simulator = simulator
        simulator.set_inactive([self.bad])

    def provider(self, reached: Reached = lambda _: None) -> Provider:
        return Postmark(base_url=self._simulator.url, token=self._simulator.config.token, reached=reached)

    def nobody(self) -> Provider:
        return Postmark(base_url=f"http://127.0.0.1:{NOWHERE}", token="x")

    def fail(self, fault: FaultKind) -> None:
        self._simulator.set_faults(FaultPlan(rules=(FaultRule(kind=fault),)))

    def taken(self) -> Counter[str]:
        return Counter(record.mail_id or "" for record in self._simulator.ledger())


class SmtpSide(Side):
    def __init__(self, server: Faulty) -> None:
        self._server = server

    def provider(self, reached: Reached = lambda _: None) -> Provider:
        return self._made(self._server.port, reached)

    def nobody(self) -> Provider:
        return self._made(NOWHERE, lambda _: None)

    def _made(self, port: int, reached: Reached) -> Provider:
        server = SmtpServer("127.0.0.1", port, "plain")
        return Smtp(server=server, tls=ssl.create_default_context(), reached=reached)

    def fail(self, fault: Script) -> None:
        self._server.script = fault

    def taken(self) -> Counter[str]:
        return self._server.copies()


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(SimulatorConfig()) as simulator:
        yield simulator


@pytest.fixture(params=["postmark", "smtp"])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    if request.param == "smtp":
        with faulty() as server:
            yield SmtpSide(server)
        return
    simulator = request.getfixturevalue("simulator")
    simulator.set_faults(FaultPlan())
    simulator.reset()
    yield PostmarkSide(simulator)


@pytest.fixture
def opened() -> Iterator[Callable[[Provider], Provider]]:
    """Give back the provider, and close it in the end."""
    providers: list[Provider] = []

    def keep(provider: Provider) -> Provider:
        providers.append(provider)
        return provider

    yield keep
    for provider in providers:
        provider.close()


def ids(items: Sequence[dict[str, Any]]) -> list[str]:
    return [each["Metadata"]["atum-mail"] for each in items]


def test_every_item_has_its_outcome_in_order_and_one_that_is_refused_harms_no_other(
    side: Side, opened: Callable[[Provider], Provider]
) -> None:
    items = [item(), item(side.bad), item("lee@example.net")]
    outcomes = opened(side.provider()).post(items, Deadline.start(30))
    assert [type(each) for each in outcomes] == [Accepted, Rejected, Accepted]
    good, _, other = ids(items)
    assert side.taken() == {good: 1, other: 1}
    accepted = [each.message_id for each in outcomes if isinstance(each, Accepted)]
    assert len(set(accepted)) == 2


def test_a_mail_one_of_whose_recipients_is_refused_goes_to_none_or_says_so(
    side: Side, opened: Callable[[Provider], Provider]
) -> None:
    # A13: nobody is dropped without notice.
    mixed = item(f"kim@example.net, {side.bad}")
    (outcome,) = opened(side.provider()).post([mixed], Deadline.start(30))
    if isinstance(side, SmtpSide):
        assert isinstance(outcome, Rejected)
        assert outcome.reason == "smtp_550"
        assert side.taken() == {}
    else:
        # Postmark takes it, and names whom it leaves out.
        assert isinstance(outcome, Accepted)
        assert outcome.remark is not None


def test_a_server_that_is_not_there_costs_no_attempt(
    side: Side, opened: Callable[[Provider], Provider]
) -> None:
    outcomes = opened(side.nobody()).post([item(), item()], Deadline.start(30))
    assert [(type(each), getattr(each, "charged", None)) for each in outcomes] == [(Deferred, False)] * 2


def test_nothing_is_posted_after_the_deadline(side: Side, opened: Callable[[Provider], Provider]) -> None:
    outcomes = opened(side.provider()).post([item(), item()], Deadline.start(0))
    assert [type(each) for each in outcomes] == [Deferred] * 2
    assert side.taken() == {}


def test_who_was_frozen_before_the_last_byte_has_sent_nothing(
    side: Side, opened: Callable[[Provider], Provider]
) -> None:
    passed = [0.0]

    def freeze(step: Step) -> None:
        if step is Step.BODY_BEGUN:
            passed[0] = 3600.0

    provider = opened(side.provider(freeze))
    deadline = Deadline.start(30, boot=lambda: passed[0], wall=lambda: passed[0])
    (outcome,) = provider.post([item()], deadline)
    assert isinstance(outcome, Deferred)
    assert (outcome.reason, outcome.charged) == ("not_sent", False)
    assert side.taken() == {}


def test_many_threads_send_every_mail_once(side: Side, opened: Callable[[Provider], Provider]) -> None:
    provider = opened(side.provider())
    batches = [[item() for _ in range(3)] for _ in range(12)]
    outcomes: list[Outcome] = []

    def work(batch: list[dict[str, Any]]) -> None:
        outcomes.extend(provider.post(batch, Deadline.start(60)))

    threads = [threading.Thread(target=work, args=(batch,)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(each) for each in outcomes] == [Accepted] * 36
    assert side.taken() == dict.fromkeys([one for batch in batches for one in ids(batch)], 1)


SMTP_FAULTS = {
    "greeting closes": Script({"greeting": ""}),
    "greeting is slow": Script({"greeting": "silence"}),
    "greeting drips": Script({"greeting": "drip"}),
    "greeting refuses": Script({"greeting": "554 no service"}),
    "greeting is too long": Script({"greeting": "220 " + "x" * 20_000}),
    "greeting is no reply": Script({"greeting": "HTTP/1.1 400 Bad Request"}),
    "EHLO closes": Script({"EHLO": ""}),
    "EHLO refuses": Script({"EHLO": "502 what"}),
    "MAIL later": Script({"MAIL": "451 later"}),
    "MAIL refuses": Script({"MAIL": "550 no"}),
    "MAIL closes": Script({"MAIL": ""}),
    "MAIL shuts down": Script({"MAIL": "421 closing"}),
    "RCPT later": Script({"RCPT": "450 greylisted"}),
    "RCPT closes": Script({"RCPT": ""}),
    "RCPT drips": Script({"RCPT": "drip"}),
    "DATA refuses": Script({"DATA": "554 no"}),
    "DATA goes wrong": Script({"DATA": "250 ok"}),
    "DATA closes": Script({"DATA": ""}),
    "END is cut off": Script(cut_after=60),
    "END later": Script({"END": "451 later"}),
    "END refuses": Script({"END": "554 spam"}),
    "END closes": Script({"END": ""}),
    "END is silent": Script({"END": "silence"}),
    "END drips": Script({"END": "drip"}),
    "END is no reply": Script({"END": "999 what"}),
}
POSTMARK_FAULTS = (
    FaultKind.RATE_LIMIT,
    FaultKind.UNAUTHORIZED,
    FaultKind.INVALID_REQUEST,
    FaultKind.SERVER_ERROR_AFTER,
    FaultKind.BAD_GATEWAY_BEFORE,
    FaultKind.MAINTENANCE,
    FaultKind.HANG_BEFORE,
    FaultKind.HANG_AFTER,
    FaultKind.RESET_BEFORE,
    FaultKind.RESET_AFTER,
    FaultKind.CUT_BODY,
    FaultKind.DRIP,
    FaultKind.TRUNCATED_JSON,
    FaultKind.HTML_200,
)
FAULTS = [
    *[pytest.param("smtp", fault, id=f"smtp {name}") for name, fault in SMTP_FAULTS.items()],
    *[pytest.param("postmark", fault, id=f"postmark {fault.value}") for fault in POSTMARK_FAULTS],
]


@pytest.mark.parametrize(("side", "fault"), FAULTS, indirect=["side"])
def test_whatever_goes_wrong_the_deadline_is_kept_and_no_clear_outcome_is_a_lie(
    side: Side, fault: Any, opened: Callable[[Provider], Provider]
) -> None:
    side.fail(fault)
    items = [item(), item()]
    begun = time.monotonic()
    outcomes = opened(side.provider()).post(items, Deadline.start(0.6))
    assert time.monotonic() - begun < SOON_S
    assert len(outcomes) == len(items)
    taken = side.taken()
    for one, outcome in zip(ids(items), outcomes, strict=True):
        # A5: definitely not sent and unknown are never mixed up.
        assert taken[one] <= 1
        if isinstance(outcome, Accepted):
            assert taken[one] == 1
        elif isinstance(outcome, Deferred | Rejected):
            assert taken[one] == 0
        else:
            assert isinstance(outcome, Unclear)


@pytest.mark.parametrize(
    "name", [name for name in SMTP_FAULTS if not name.startswith("END")], ids=lambda name: name
)
def test_over_smtp_nothing_is_unclear_before_the_final_dot(
    name: str, opened: Callable[[Provider], Provider]
) -> None:
    with faulty() as server:
        server.script = SMTP_FAULTS[name]
        outcomes = opened(SmtpSide(server).provider()).post([item()], Deadline.start(0.6))
    assert [type(each) for each in outcomes] in ([Deferred], [Rejected])


def test_over_smtp_a_message_that_is_cut_off_halfway_was_not_sent(
    opened: Callable[[Provider], Provider],
) -> None:
    large = {**item(), "TextBody": ("x" * 900 + "\n") * 12_000}
    with faulty() as server:
        server.script = Script(cut_after=60)
        (outcome,) = opened(SmtpSide(server).provider()).post([large], Deadline.start(30))
    assert isinstance(outcome, Deferred)
    assert (outcome.reason, outcome.charged) == ("not_sent", False)


@pytest.mark.parametrize("name", ["END closes", "END is silent", "END drips", "END is no reply"])
def test_over_smtp_a_final_dot_without_a_clear_reply_is_unclear(
    name: str, opened: Callable[[Provider], Provider]
) -> None:
    with faulty() as server:
        server.script = SMTP_FAULTS[name]
        once = OnceSent(0.6, lambda: bool(server.taken))
        (outcome,) = opened(SmtpSide(server).provider(once.reached)).post([item()], once.deadline)
        assert server.copies().total() == 1
    assert isinstance(outcome, Unclear)
