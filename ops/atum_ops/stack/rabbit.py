"""A private RabbitMQ node."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pika
import pika.exceptions

from atum_ops.stack.find import Places, find_rabbit, usual_places
from atum_ops.stack.node import Node
from atum_ops.stack.packages import RABBIT_PACKAGE, remedy
from atum_ops.stack.ports import LOOPBACK, free_port
from atum_ops.stack.process import GuardedProcess
from atum_schema.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path

USER = "atum"
_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"
_ANSWER_SECONDS = 2.0
_CTL_SECONDS = 60.0

# Two schedulers that sleep instead of spinning when idle, and Erlang's distribution on loopback alone.
_ERL_ARGS = (
    "+S 2:2 +SDio 4 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
)

_CONFIGURATION = """\
listeners.tcp.1 = {loopback}:{port}
default_user = {user}
default_pass = {password}
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 50MB
# A log segment of quorum queues is also kept in memory.
raft.wal_max_size_bytes = 64000000
log.console = true
log.console.level = info
log.file = false
"""


class RabbitNode(Node):
    """A RabbitMQ node of our own, apart from any other on this machine: name, cookie, epmd, ports.

    User `atum` (an administrator) with a random password, vhost `/`, no plugins, memory alarm at 1 GB.
    It runs as our own user. Raises StackError when RabbitMQ is not installed.
    """

    kind = "RabbitMQ"

    def __init__(self, directory: Path, *, port: int | None = None, places: Places | None = None) -> None:
        programs = find_rabbit(places or usual_places())
        if programs is None:
            raise StackError(remedy([RABBIT_PACKAGE]))
        self._programs = programs
        super().__init__(directory, port=port)
        self._password = secrets.token_urlsafe(24)
        #: Erlang node name.
        self.name = f"atum-{secrets.token_hex(4)}@localhost"
        self._epmd_port = 0
        self._distribution_port = 0

    @property
    def url(self) -> str:
        """`amqp://atum:…@127.0.0.1:PORT/%2F`."""
        return self.vhost_url("/")

    def vhost_url(self, vhost: str) -> str:
        """URL of another virtual host of this node."""
        return f"amqp://{USER}:{self._password}@{LOOPBACK}:{self.port}/{vhost.replace('/', '%2F')}"

    def is_ready(self) -> bool:
        """Whether it lets a client log in and opens vhost `/`."""
        return self.running and self._answers() and self._opens()

    def version(self) -> str:
        """Product and version, from the name of the installation."""
        return f"RabbitMQ {self._programs.parent.name.rpartition('-')[2]}"

    def rabbitmqctl(self, *arguments: str) -> str:
        """Run rabbitmqctl against this node; returns its output. About 1 s of processor time each.

        Raises StackError, with what it printed, when it fails or takes longer than a minute.
        """
        return self._tool("rabbitmqctl", *arguments)

    def _tool(self, tool: str, *arguments: str) -> str:
        try:
            done = subprocess.run(
                [str(self._programs / tool), "--quiet", *arguments],
                cwd=self.directory,
                env=self._environment(),
                capture_output=True,
                text=True,
                check=False,
                timeout=_CTL_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise StackError(f"{tool} {arguments[0]} took longer than {_CTL_SECONDS:g} s") from error
        if done.returncode != 0:
            raise StackError(f"{tool} {arguments[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def enable_plugin(self, name: str) -> None:
        """Enable a plugin that comes with RabbitMQ, until the node starts again. Raises StackError as `rabbitmqctl` does."""
        self._tool("rabbitmq-plugins", "enable", "--online", name)

    def _answers(self) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=_ANSWER_SECONDS) as connection:
                connection.sendall(_PROTOCOL_HEADER)
                return connection.recv(1) == _METHOD_FRAME
        except OSError:
            return False

    def _opens(self) -> bool:
        parameters = pika.URLParameters(self.url)
        parameters.socket_timeout = _ANSWER_SECONDS
        parameters.stack_timeout = _ANSWER_SECONDS
        parameters.blocked_connection_timeout = _ANSWER_SECONDS
        try:
            pika.BlockingConnection(parameters).close()
        except (pika.exceptions.AMQPError, OSError):
            return False
        return True

    def _launch(self) -> GuardedProcess:
        # Only this node's own tools use these two: new ones at each start cost nothing.
        self._epmd_port, self._distribution_port = free_port(), free_port()
        (self.directory / "home").mkdir(exist_ok=True)
        (self.directory / "plugins").write_text("[].\n")
        configuration = self.directory / "rabbitmq.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(
            _CONFIGURATION.format(loopback=LOOPBACK, port=self.port, user=USER, password=self._password)
        )
        return GuardedProcess(
            [str(self._programs / "rabbitmq-server")],
            directory=self.directory,
            environment=self._environment(),
            log=self.log,
        )

    def _environment(self) -> dict[str, str]:
        here = self.directory
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RABBITMQ_", "ERL_"))}
        return {
            **inherited,
            "HOME": str(here / "home"),
            "LC_ALL": "C.UTF-8",
            # An existing file that is empty: otherwise the system's rabbitmq-env.conf is read.
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "none.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(here / "mnesia"),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERL_ARGS,
            "RABBITMQ_CTL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self._epmd_port),
        }

    def _ask_to_stop(self, process: GuardedProcess) -> None:
        process.signal(signal.SIGTERM)

    def _delete_data(self) -> None:
        if (database := self.directory / "mnesia").exists():
            shutil.rmtree(database)

    def _server_pid(self, process: GuardedProcess) -> int | None:
        # The process we started is a shell that waits for the virtual machine.
        return process.named("beam.smp")
