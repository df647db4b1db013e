"""RabbitMQ killed, wiped, or its virtual host made anew under load: Postgres knows all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from atum_ops.simulator.config import SimulatorConfig
from tests.nodes import eventually, private_rabbit
from tests.sharing import Shared
from tests.system import System, letters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from atum_ops.stack.rabbit import RabbitNode


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared[RabbitNode]]:
    """A RabbitMQ for this module alone, to break."""
    with Shared(private_rabbit) as one:
        yield one


@pytest.fixture
def rabbit(shared: Shared[RabbitNode], request: pytest.FixtureRequest) -> RabbitNode:
    return shared.lend(request.node)


def killed(rabbit: RabbitNode) -> None:
    rabbit.kill()
    rabbit.start()


def wiped(rabbit: RabbitNode) -> None:
    rabbit.wipe()


def virtual_host_made_anew(rabbit: RabbitNode) -> None:
    rabbit.rabbitmqctl(
        "eval",
        'rabbit_vhost:delete(<<"/">>, <<"tests">>), rabbit_vhost:add(<<"/">>, <<"tests">>), '
        "rabbit_auth_backend_internal:set_permissions("
        '<<"atum">>, <<"/">>, <<".*">>, <<".*">>, <<".*">>, <<"tests">>).',
    )


@pytest.mark.parametrize("disaster", [killed, wiped, virtual_host_made_anew])
def test_a_disaster_of_the_broker_under_load_loses_and_doubles_nothing(
    database_url: str, rabbit: RabbitNode, disaster: Callable[[RabbitNode], None]
) -> None:
    with System(
        database_url=database_url,
        amqp_url=rabbit.url,
        workers=1,
        simulation=SimulatorConfig(latency_ms=80),
        settings={"ATUM_BATCH_MAILS": "10", "ATUM_WINDOW": "20"},
    ) as system:
        system.mailer.enqueue(letters(1000))
        assert eventually(lambda: 0 < system.waiting() < 900)
        # Meanwhile workers pull from Postgres, so nothing need be left when the broker is back.
        disaster(rabbit)
        system.settled()
        system.check(sent=1000)
