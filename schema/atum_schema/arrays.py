"""Binary array parameters for set-based statements, made in one pass.

psycopg's own list dumper works element by element in Python and took most of the client's time in the hot path when
profiled. The format is PostgreSQL's array_send: dimensions, a null flag, the
element type, then length and bytes of each element (PostgreSQL 15 source, arrayfuncs.c).
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from psycopg.adapt import Dumper
from psycopg.pq import Format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.abc import AdaptContext, Buffer

_HEAD: Final = struct.Struct("!iiIii")
_LENGTH: Final = struct.Struct("!i")
_INT4: Final = struct.Struct("!ii")
_FLOAT8: Final = struct.Struct("!id")
_INT8: Final = struct.Struct("!iq")
_NULL: Final = _LENGTH.pack(-1)
_TRUE: Final = _LENGTH.pack(1) + b"\x01"
_FALSE: Final = _LENGTH.pack(1) + b"\x00"
_UUID_LENGTH: Final = _LENGTH.pack(16)
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND


class _Array:
    """A list on its way into a statement."""

    __slots__ = ("_encoded", "values")
    oid = 0
    element_oid = 0

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values
        self._encoded: bytes | None = None

    def encode(self) -> bytes:
        """Give the array in PostgreSQL's binary format; made once, for statements that share an array."""
        if self._encoded is None:
            self._encoded = self._encode()
        return self._encoded

    def _encode(self) -> bytes:
        if not self.values:
            return struct.pack("!iiI", 0, 0, self.element_oid)
        head = _HEAD.pack(1, 1, self.element_oid, len(self.values), 1)
        return head + b"".join(self.elements(self.values))

    @staticmethod
    def elements(values: Sequence[Any]) -> list[bytes]:
        """Give each element with its length."""
        raise NotImplementedError


class Texts(_Array):
    """text[] from str or None."""

    oid, element_oid = 1009, 25

    @staticmethod
    def elements(values: Sequence[Any]) -> list[bytes]:
        encoded = [None if value is None else value.encode() for value in values]
        return [_NULL if each is None else _LENGTH.pack(len(each)) + each for each in encoded]


class Bytes(_Array):
    """bytea[] from bytes."""

    oid, element_oid = 1001, 17

    @staticmethod
    def elements(values: Sequence[Any]) -> list[bytes]:
        return [_LENGTH.pack(len(value)) + value for value in values]


class Uuids(_Array):
    """uuid[] from UUID."""

    oid, element_oid = 2951, 2950

    @staticmethod
    def elements(values: Sequence[Any]) -> list[bytes]:
        return [_UUID_LENGTH + value.bytes for value in values]


class Ints(_Array):
    """int[] from int or None."""

    oid, element_oid = 1007, 23

    @staticmethod
    def elements(values: Sequence[Any]) -> list[bytes]:
        return [_NULL if value is None else _INT4.pack(4, value) for value in values]


class Floats(_Array):
    """float8[] from float or None."""

    oid, element_oid = 1022, 701

    @staticmethod
    def elements(values: Sequence[Any]) -> list[bytes]:
        return [_NULL if value is None else _FLOAT8.pack(8, value) for value in values]


class Booleans(_Array):
    """boolean[] from bool."""

    oid, element_oid = 1000, 16

    @staticmethod
    def elements(values: Sequence[Any]) -> list[bytes]:
        return [_TRUE if value else _FALSE for value in values]


class Times(_Array):
    """timestamptz[] from aware datetime or None."""

    oid, element_oid = 1185, 1184

    @staticmethod
    def elements(values: Sequence[Any]) -> list[bytes]:
        return [_NULL if value is None else _INT8.pack(8, _microseconds(value)) for value in values]


def _microseconds(moment: datetime) -> int:
    since = moment - _EPOCH
    return since.days * _DAY + since.seconds * _SECOND + since.microseconds


ALL: Final[tuple[type[_Array], ...]] = (Texts, Bytes, Uuids, Ints, Floats, Booleans, Times)


def _dumper(kind: type[_Array]) -> type[Dumper]:
    class ArrayDumper(Dumper):
        format = Format.BINARY
        oid = kind.oid

        def dump(self, obj: _Array) -> Buffer | None:
            return obj.encode()

    return ArrayDumper


_DUMPERS: Final = tuple((kind, _dumper(kind)) for kind in ALL)


def register(context: AdaptContext) -> None:
    """Let the cursors of a connection, or one cursor, take these arrays."""
    for kind, dumper in _DUMPERS:
        context.adapters.register_dumper(kind, dumper)
