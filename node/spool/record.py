"""A record of the spool as bytes: a head with a checksum, and what it holds; finding them again among ruins.

All numbers are little-endian. A head has 34 bytes:

======  ====  ==========================================================================================
offset  size  what it is
======  ====  ==========================================================================================
0       2     marker of the segment's number
2       4     CRC-32 (IEEE 802.3) over what follows and the content, begun with the segment's number
6       4     bytes of content, and the `Kind` in the four highest bits
10      8     digest of the route: stream, boot and topic
18      8     sequence number
26      8     1 + the monotonic time at which a frame was kept, ns; 0 where that is not known
======  ====  ==========================================================================================

A file is used many times, under another number each time; because marker and checksum depend on it, what an earlier
use has left behind is never taken for a record.
"""

from __future__ import annotations

import enum
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

PAGE: Final = 4096
"""Bytes that a file system writes at least, and at whose multiples a batch begins."""

MAX_CONTENT: Final = (1 << 28) - 1

_HEAD: Final = struct.Struct("<HIIQQQ")
_CHECKED: Final = struct.Struct("<IQQQ")
_BEFORE_CHECKED: Final = 6
HEAD: Final = _HEAD.size


class Kind(enum.IntEnum):
    """What a record holds."""

    FRAME = 1
    """A message, on its route."""

    ROUTE = 2
    """What a route's digest stands for."""

    MARKS = 3
    """Up to which message of which routes all are done with."""

    SUMMARY = 4
    """What stands in an earlier segment, whose number is in the place of the sequence number."""

    GAP = 5
    """Nothing, up to the end of the page."""

    TORN = 6
    """Nothing between the offset in the place of the sequence number and here: a power cut has torn it."""


class Record(NamedTuple):
    """One record, where it stands.

    Parameters
    ----------
    offset, size : int
        In its segment, with its head.
    kind : Kind
        What it is.
    route, seq, kept_ns : int
        See the head.
    content : bytes
        The message, or whatever the kind has.
    """

    offset: int
    size: int
    kind: Kind
    route: int
    seq: int
    kept_ns: int | None
    content: bytes


class Codec(NamedTuple):
    """Writes and reads the records of one segment.

    Parameters
    ----------
    generation : int
        The segment's number, 64 bits.
    """

    generation: int
    marker: int
    seed: int

    @classmethod
    def of(cls, generation: int) -> Codec:
        """Make the codec of a segment."""
        seed = zlib.crc32(generation.to_bytes(8, "little"))
        return cls(generation, seed & 0xFFFF or 0xB01E, seed)  # a marker of zeros would be found in every empty file

    def encode(
        self, kind: Kind, content: bytes = b"", *, route: int = 0, seq: int = 0, kept_ns: int | None = None
    ) -> bytes:
        """Write a record.

        Raises
        ------
        ValueError
            The content is longer than `MAX_CONTENT`.
        """
        if len(content) > MAX_CONTENT:
            msg = f"a record holds at most {MAX_CONTENT} bytes, not {len(content)}"
            raise ValueError(msg)
        length = kind << 28 | len(content)
        kept = 0 if kept_ns is None else kept_ns + 1
        check = zlib.crc32(content, zlib.crc32(_CHECKED.pack(length, route, seq, kept), self.seed))
        return _HEAD.pack(self.marker, check, length, route, seq, kept) + content

    def decode(self, data: bytes, at: int = 0) -> Record | None:
        """Read the record at an offset; None where there is no whole one."""
        if at + HEAD > len(data):
            return None
        marker, check, length, route, seq, kept = _HEAD.unpack_from(data, at)
        end = at + HEAD + (length & MAX_CONTENT)
        if marker != self.marker or end > len(data) or not 1 <= length >> 28 <= len(Kind):
            return None
        content = data[at + HEAD : end]
        if zlib.crc32(content, zlib.crc32(data[at + _BEFORE_CHECKED : at + HEAD], self.seed)) != check:
            return None
        return Record(at, end - at, Kind(length >> 28), route, seq, kept - 1 if kept else None, content)

    def size(self, data: bytes) -> int:
        """Give the size, head included, that the record at the beginning claims to have; 0 where there is none."""
        if len(data) < HEAD:
            return 0
        marker, _, length, *_ = _HEAD.unpack_from(data)
        return HEAD + (length & MAX_CONTENT) if marker == self.marker else 0

    def find(self, data: bytes, start: int) -> Record | None:
        """Find the first whole record from an offset on."""
        sign = self.marker.to_bytes(2, "little")
        at = data.find(sign, start)
        while at >= 0:
            record = self.decode(data, at)
            if record is not None:
                return record
            at = data.find(sign, at + 1)
        return None


class Scan:
    """Reads a segment from its beginning, over whatever is damaged.

    Parameters
    ----------
    codec : Codec
        The segment's.
    data : bytes
        All of it.

    Attributes
    ----------
    damaged : int
        Places before the last record where something stood that cannot be read any more.
    end : int
        Where the last record ends.
    """

    def __init__(self, codec: Codec, data: bytes) -> None:
        self.damaged = 0
        self.end = 0
        self._codec = codec
        self._data = data

    def __iter__(self) -> Iterator[Record]:
        """Give every whole record that holds something."""
        codec, data = self._codec, self._data
        while True:
            record = codec.decode(data, self.end) or self._beyond()
            if record is None:
                return
            self.end = page_end(record.offset + HEAD) if record.kind is Kind.GAP else record.offset + record.size
            if record.kind < Kind.GAP:
                yield record

    def _beyond(self) -> Record | None:
        """Find the next record where none begins at the end of the last."""
        at = self.end
        boundary = page_end(at)
        if boundary - at < HEAD:  # too short for a gap to be written down
            record = self._codec.decode(self._data, boundary)
            if record is not None:
                return record
        record = self._codec.find(self._data, at)
        if record is not None and not (record.kind is Kind.TORN and record.seq <= at):
            self.damaged += 1
        return record


def page_end(offset: int) -> int:
    """Give the first multiple of `PAGE` that is not below an offset."""
    return -(-offset // PAGE) * PAGE
