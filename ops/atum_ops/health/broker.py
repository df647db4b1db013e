"""`broker`: RabbitMQ answers, takes messages, and no alarm of its memory or disk blocks publishers."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import pika
import pika.exceptions

from atum_ops.health.findings import Finding, bad, good, unknown
from atum_schema import away
from atum_schema.errors import SettingsError
from atum_schema.settings import NO_AMQP_URL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from atum_ops.health.surroundings import Surroundings
    from atum_schema.settings import Settings

NAME: Final = "broker"
NOT_SET: Final = "ATUM_AMQP_URL is not set"
_ANSWER_S: Final = 5.0
_BLOCKED_S: Final = 2.0
_AWAY: Final = (
    "see that RabbitMQ runs and that ATUM_AMQP_URL is right; meanwhile workers take batches from Postgres"
)
_ALARM: Final = "free memory or disk on the broker, see: rabbitmq-diagnostics alarms; meanwhile workers take batches from Postgres"


@contextmanager
def connected(settings: Settings) -> Iterator[Any]:
    """Connect to RabbitMQ. Raises pika's errors and `OSError` when it does not answer, `SettingsError` for a wrong URL."""
    try:
        parameters = pika.URLParameters(settings.need_amqp_url())
    except ValueError:
        # Its own words may quote the password.
        raise SettingsError(NO_AMQP_URL) from None
    parameters.socket_timeout = parameters.stack_timeout = _ANSWER_S
    parameters.blocked_connection_timeout = _BLOCKED_S
    parameters.connection_attempts = 1
    connection = pika.BlockingConnection(parameters)
    try:
        yield connection
    finally:
        # A connection that an alarm blocks cannot even say good-bye.
        with suppress(pika.exceptions.AMQPError, OSError):
            connection.close()


def look(surroundings: Surroundings) -> list[Finding]:
    """Publish a message to a queue of our own, which is gone afterwards, and wait for its confirm."""
    if surroundings.settings.amqp_url is None:
        return [unknown(NAME, NOT_SET, "set ATUM_AMQP_URL, to have the broker and its queues looked at")]
    reasons: list[str] = []
    try:
        with connected(surroundings.settings) as connection:
            # Pika tells its own callbacks between calls only, which is too late for a connection that is then closed.
            inner = connection._impl  # noqa: SLF001
            inner.add_on_connection_blocked_callback(
                lambda _, frame: reasons.append(str(frame.method.reason))
            )
            channel = connection.channel()
            name = channel.queue_declare("", exclusive=True, auto_delete=True).method.queue
            channel.confirm_delivery()
            channel.basic_publish("", name, b"health")
            version = inner.server_properties.get("version", "?")
    except pika.exceptions.ConnectionBlockedTimeout:
        return [_alarm(reasons)]
    except (pika.exceptions.AMQPError, OSError) as error:
        if reasons:
            return [_alarm(reasons)]
        return [bad(NAME, f"RabbitMQ does not answer: {away.words(error)}", _AWAY)]
    return [good(NAME, f"RabbitMQ {version} takes messages; no alarm")]


def _alarm(reasons: list[str]) -> Finding:
    return bad(NAME, f"an alarm blocks publishers: {', '.join(reasons) or 'no reason given'}", _ALARM)
