"""What the records that hold no message have to say: routes, marks and summaries."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from becomingone.broker.kept_store import StreamId

_ROUTE: Final = struct.Struct("<IH")
_MARK: Final = struct.Struct("<QQ")
_COUNT: Final = struct.Struct("<I")
_PLACE: Final = struct.Struct("<QI")
_EXTENT: Final = struct.Struct("<QQIIH")

MARK_BYTES: Final = _MARK.size


class Route(NamedTuple):
    """Where a message goes: what all messages of a channel in a band and boot have in common."""

    stream: StreamId
    topic: str


class Extent(NamedTuple):
    """What a segment holds of a stream: its first and last sequence number, and how many messages."""

    stream: StreamId
    first: int
    last: int
    messages: int


def digest(content: bytes) -> int:
    """Give 64 bits by which a content is known."""
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def stream_digest(stream: StreamId) -> int:
    """Give 64 bits by which a stream is known."""
    return digest(_ROUTE.pack(stream[1], 0) + stream[0].encode())


def pack_route(route: Route) -> bytes:
    """Write a route; its digest is that of these bytes."""
    name = route.stream[0].encode()
    return _ROUTE.pack(route.stream[1], len(name)) + name + route.topic.encode()


def unpack_route(content: bytes) -> Route:
    """Read a route."""
    boot, length = _ROUTE.unpack_from(content)
    at = _ROUTE.size + length
    return Route((content[_ROUTE.size : at].decode(), boot), content[at:].decode())


def pack_marks(marks: Mapping[StreamId, int]) -> bytes:
    """Write, by stream, the sequence number up to which all is done with."""
    return b"".join(_MARK.pack(stream_digest(stream), seq) for stream, seq in marks.items())


def unpack_marks(content: bytes) -> Iterator[tuple[int, int]]:
    """Read the digests of streams and their marks."""
    yield from _MARK.iter_unpack(content)


class Summary(NamedTuple):
    """What a segment holds: of each stream, and where in it the summaries of which other segments stand."""

    extents: list[Extent]
    summaries: dict[int, int]


def pack_summary(extents: Iterable[Extent], summaries: Mapping[int, int]) -> bytes:
    """Write what a segment holds."""
    parts = [_COUNT.pack(len(summaries)), *(_PLACE.pack(*place) for place in summaries.items())]
    for (name, boot), first, last, count in extents:
        encoded = name.encode()
        parts += (_EXTENT.pack(first, last, count, boot, len(encoded)), encoded)
    return b"".join(parts)


def unpack_summary(content: bytes) -> Summary:
    """Read what a segment holds."""
    (count,) = _COUNT.unpack_from(content)
    at = _COUNT.size + count * _PLACE.size
    summary = Summary([], dict(_PLACE.iter_unpack(content[_COUNT.size : at])))
    while at < len(content):
        first, last, count, boot, length = _EXTENT.unpack_from(content, at)
        at += _EXTENT.size + length
        summary.extents.append(Extent((content[at - length : at].decode(), boot), first, last, count))
    return summary
