"""The exporter in this process, on a real database, scraped by HTTP."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

from atum_ops.exporter.exporter import Exporter
from atum_ops.stack.ports import LOOPBACK, free_port
from atum_schema import metrics_catalogue as m
from atum_schema import settings
from atum_schema.encryption import new_key
from tests.nodes import eventually

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterator

    from atum_schema.metrics_family import Family
    from atum_schema.settings import Settings

OF_DATABASE = {family.full_name for family in m.OF_DATABASE}


def loaded(url: str, **fields: Any) -> Settings:
    """Give the exporter's settings, with a free port."""
    usual = {"exporter_port": free_port(), "exporter_every_s": 1.0}
    return settings.load(database_url=url, content_keys=new_key("none"), **{**usual, **fields})


class Scraped:
    """What one scrape has shown."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.samples = [one for each in text_string_to_metric_families(text) for one in each.samples]

    @property
    def names(self) -> set[str]:
        """The names of all its samples."""
        return {sample.name for sample in self.samples}

    @property
    def of_database(self) -> set[str]:
        """The families of the database that are there."""
        return self.names & OF_DATABASE

    def value(self, family: Family, **labels: str) -> float:
        """Give the one series of a family with these labels."""
        (found,) = [
            sample.value
            for sample in self.samples
            if sample.name == family.full_name and labels.items() <= sample.labels.items()
        ]
        return found


class Served:
    """An exporter that serves; `scrape` asks it."""

    def __init__(self, port: int) -> None:
        self._port = port

    def scrape(self) -> Scraped:
        """Scrape once."""
        with closing(HTTPConnection(LOOPBACK, self._port, timeout=30)) as connection:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            assert answer.status == 200
            return Scraped(answer.read().decode())

    def up(self) -> bool:
        """Whether it could read the database."""
        return self.scrape().value(m.EXPORTER_UP) == 1

    def await_up(self, *, seconds: float = 30) -> Scraped:
        """Wait until it can read the database; give what it shows then."""
        assert eventually(self.up, seconds=seconds)
        return self.scrape()

    def await_down(self, *, seconds: float = 30) -> Scraped:
        """Wait until it cannot; give what it shows then."""
        assert eventually(lambda: not self.up(), seconds=seconds)
        return self.scrape()


@contextmanager
def serving(configured: Settings, **fields: Any) -> Iterator[Served]:
    """Run an exporter in a thread."""
    exporter = Exporter(configured, **fields)
    thread = threading.Thread(target=exporter.run)
    thread.start()
    try:
        served = Served(configured.exporter_port)
        assert eventually(lambda: _listens(served))
        yield served
    finally:
        exporter.stop()
        thread.join(30)
        assert not thread.is_alive()


def _listens(served: Served) -> bool:
    try:
        served.scrape()
    except ConnectionRefusedError:
        return False
    return True


def told(record: logging.LogRecord) -> str:
    """Give what a line of the log says: its event, and the detail beside it."""
    detail = getattr(record, "detail", None)
    return record.getMessage() if detail is None else f"{record.getMessage()}: {detail}"
