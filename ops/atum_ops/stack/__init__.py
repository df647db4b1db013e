"""PostgreSQL and RabbitMQ on this machine, for demos, benchmarks and tests: private, on loopback, gone afterwards."""

from __future__ import annotations

from atum_ops.stack.local import LocalStack
from atum_ops.stack.node import Node
from atum_ops.stack.postgres import PostgresNode
from atum_ops.stack.pristine import Pristine
from atum_ops.stack.rabbit import RabbitNode

__all__ = ["LocalStack", "Node", "PostgresNode", "Pristine", "RabbitNode"]
