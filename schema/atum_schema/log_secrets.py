"""Finding the secrets of the settings, so that logs can leave them out whatever quotes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

_SHORTEST: Final = 8


def secrets_of(settings: BaseModel) -> frozenset[str]:
    """Give all secret values, and what is secret in those that are URLs, pairs or lists; nothing under 8 characters.

    Shorter ones are words that lines need; in URLs they are left out all the same, by their place.
    """
    values = [value.get_secret_value() for _, value in settings if isinstance(value, SecretStr)]
    return frozenset(part for value in values for part in _parts(value) if len(part) >= _SHORTEST)


def _parts(value: str) -> Iterator[str]:
    yield value
    if "://" in value:
        yield from _of_url(value)
        return
    for item in value.split(","):
        yield item.strip()
        # `id:key` or `user:password`.
        yield item.partition(":")[2].strip()


def _of_url(value: str) -> Iterator[str]:
    try:
        parts = urlsplit(value)
        password = parts.password
    except ValueError:
        return
    if password:
        yield password
        yield unquote(password)
    for name, one in parse_qsl(parts.query):
        if "password" in name:
            yield one
