"""Reading a memory from end to end, past what cannot be read, and checking each link of its chains."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from becomingone.hub.memory.chain import entry_hash, frame_hash, stream_hash, stream_name
from becomingone.hub.memory.protocol import StreamKey

Row = tuple[Any, ...]

FRAMES: Final = "SELECT number, stream, seq, time_us, frame, hash FROM frames WHERE number > ? ORDER BY number"
ENTRIES: Final = (
    "SELECT number, id, time_us, body, hash FROM entries WHERE kind = CAST(? AS TEXT) AND number > ? ORDER BY number"
)

UNREADABLE: Final = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What reading a damaged database may raise: SQLite's message may hold the very text that is none."""

_FURTHEST: Final = 1 << 40


class Damage(NamedTuple):
    """Something that is not as it was written.

    Parameters
    ----------
    where : str
        A kind of records, or a part of the database.
    first, last : int
        Numbers of the records; 0 where it is not about records.
    what : str
        What is wrong.
    """

    where: str
    first: int
    last: int
    what: str

    def __str__(self) -> str:
        if not self.first:
            return f"{self.where}: {self.what}"
        return f"{self.where} {self.first}{f'..{self.last}' if self.last > self.first else ''}: {self.what}"


Report = Callable[[Damage], None]


def rows_after(database: sqlite3.Connection, query: str, bound: Sequence[object], start: int) -> Iterator[Row]:
    """Give the rows of a query by ascending number, from beyond `start`; what cannot be read is passed over.

    Parameters
    ----------
    database : sqlite3.Connection
        The database.
    query : str
        Its last parameter is the number after which it begins, its first column the number.
    bound : sequence
        The other parameters.
    start : int
        See above.
    """
    at: Any = start  # in a damaged database a number may be none
    while True:
        try:
            for row in database.execute(query, (*bound, at)):
                at = row[0]
                yield row
        except UNREADABLE:
            if not isinstance(at, int):
                return
            beyond = _beyond(database, f"{query} LIMIT 1", bound, at)
            if beyond is None:
                return
            at = beyond
        else:
            return


def _beyond(database: sqlite3.Connection, query: str, bound: Sequence[object], at: int) -> int | None:
    """Find the least number after `at` from which rows can be read again: double the step, then halve it."""

    def look(after: int) -> bool | None:
        """Tell whether there is a row after it; None where that cannot be read."""
        try:
            return database.execute(query, (*bound, after)).fetchone() is not None
        except UNREADABLE:
            return None

    step = 1
    while (found := look(at + step)) is None and step < _FURTHEST:
        step *= 2
    if not found:
        return None
    low, high = at + step // 2, at + step
    while high - low > 1:
        middle = (low + high) // 2
        if look(middle) is None:
            low = middle
        else:
            high = middle
    return high


def streams_of(
    database: sqlite3.Connection, report: Report
) -> tuple[dict[int, tuple[StreamKey, int | None]], list[bytes]]:
    """Read the table of streams: by row, its key and mark, and the hashes of all in the order of their rows."""
    found: dict[int, tuple[StreamKey, int | None]] = {}
    digests: list[bytes] = []
    query = "SELECT id, node, band, channel, boot, mark, hash FROM streams WHERE id > ? ORDER BY id"
    for row, node, band, channel, boot, mark, stored in rows_after(database, query, (), -_FURTHEST):
        digests.append(stored)
        try:
            key = StreamKey(_text(node), _text(band), _text(channel), boot)
            if stream_hash(row, stream_name(key), mark) == stored:
                found[row] = key, mark
                continue
        except (TypeError, ValueError, AttributeError, struct.error):
            pass  # no more a stream than one whose hash is another
        report(Damage("streams", row, row, "altered"))
    return found, digests


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


Digest = Callable[[bytes, Row], bytes]
"""Hashes a row, given the hash before it."""


def frame_digest(streams: dict[int, tuple[StreamKey, int | None]]) -> Digest:
    """Give what hashes a row of `FRAMES`."""
    names = {row: stream_name(key) for row, (key, _) in streams.items()}

    def digest(previous: bytes, row: Row) -> bytes:
        number, stream, seq, time_us, frame, _ = row
        return frame_hash(previous, number, seq, time_us, names[stream], frame)

    return digest


def entry_digest(kind: bytes) -> Digest:
    """Give what hashes a row of `ENTRIES`, whose texts are given as bytes."""

    def digest(previous: bytes, row: Row) -> bytes:
        number, identity, time_us, body, _ = row
        return entry_hash(previous, number, identity, time_us, kind, body)

    return digest


def links(
    rows: Iterator[Row], digest: Digest, *, kind: str, first: int, anchor: bytes, report: Report
) -> Iterator[Row]:
    """Give the rows that are as they were written, each after its hash was compared; report what is not.

    Where the hash of one record does not fit, either the record or its hash has been altered: by which of the two the
    next one goes on is told which.
    """
    expected, previous, other = first, anchor, b""
    for row in rows:
        number, stored = row[0], row[-1]
        if number != expected:
            if not isinstance(number, int):  # what has no number cannot be placed
                report(Damage(kind, expected, expected, "altered"))
                continue
            if number < expected:
                report(Damage(kind, number, number, "before the beginning"))
                continue
            report(Damage(kind, expected, number - 1, "missing"))
            previous = other = b""  # what went before the next one is not known
        expected = number + 1
        try:
            right = digest(previous, row) if previous else b""
            if right != stored and other and digest(other, row) == stored:
                right = stored
        except (TypeError, KeyError, struct.error, OverflowError):
            right = b""
        if right == stored:
            previous, other = stored, b""
            yield row
            continue
        unknown = not previous
        previous, other = (stored, right) if isinstance(stored, bytes) else (right, b"")
        report(Damage(kind, number, number, "cannot be checked: what it follows is missing" if unknown else "altered"))
