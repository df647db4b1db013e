"""A connection that no header of a sender can end.

pika ends the connection over a header that Python has no value for: a timestamp in milliseconds, say, which is in the year
57868. The message would return to its queue, and end the next connection too, for ever.
"""

from __future__ import annotations

import struct
from typing import Any

from pika import frame, spec
from pika.adapters.select_connection import SelectConnection

_PREFIX = struct.Struct(">BHL")
_HEADER = struct.Struct(">HHQH")
_LENGTH = struct.Struct(">L")
_BEFORE_HEADERS = (spec.BasicProperties.FLAG_CONTENT_TYPE, spec.BasicProperties.FLAG_CONTENT_ENCODING)


class LenientConnection(SelectConnection):  # type: ignore[misc] # pika is not typed
    """Reads a message whose headers cannot be read as one that has none."""

    def _read_frame(self) -> Any:
        try:
            return super()._read_frame()
        except Exception:
            read = read_without_headers(bytes(self._frame_buffer))
            if read is None:
                raise
            return read


def read_without_headers(data: bytes) -> tuple[int, frame.Header] | None:
    """Read the whole content header at the beginning of `data` as if its table of headers was not there.

    Gives what pika's own reader gives: its length and the frame; None if it is no content header with such a table
    (AMQP 0-9-1, §4.2.6.1).
    """
    kind, channel, size = _PREFIX.unpack_from(data)
    end = spec.FRAME_HEADER_SIZE + size
    if kind != spec.FRAME_HEADER:
        return None
    class_id, _, body_size, flags = _HEADER.unpack_from(data, spec.FRAME_HEADER_SIZE)
    if not flags & spec.BasicProperties.FLAG_HEADERS:
        return None
    start = table = spec.FRAME_HEADER_SIZE + _HEADER.size
    for flag in _BEFORE_HEADERS:
        if flags & flag:
            table += 1 + data[table]
    (length,) = _LENGTH.unpack_from(data, table)
    rest = data[start:table] + data[table + _LENGTH.size + length : end]
    properties = spec.props[class_id]()
    properties.decode(struct.pack(">H", flags & ~spec.BasicProperties.FLAG_HEADERS) + rest)
    return end + spec.FRAME_END_SIZE, frame.Header(channel, body_size, properties)
