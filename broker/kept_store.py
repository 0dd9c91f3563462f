"""Where messages are kept until the hub has committed them: the face of every store, and one in memory."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

StreamId = tuple[str, int]
"""A stream of a sender, such as one channel, and the boot id in which its sequence numbers count."""

_COMPACT_AT: Final = 256


@dataclass(frozen=True, slots=True)
class Kept:
    """One message that must reach the hub.

    Parameters
    ----------
    stream : tuple of str and int
        The stream, and the boot id.
    seq : int
        Grows by 1 within a stream.
    topic, payload : str, bytes
        What is published.
    kept_ns : int or None
        When it was made, on the sender's monotonic clock; None where it comes from an earlier life.
    """

    stream: StreamId
    seq: int
    topic: str
    payload: bytes
    kept_ns: int | None = None


class KeptStore(Protocol):
    """A bounded store of messages; when it is full, the oldest makes room."""

    def append(self, entry: Kept) -> list[Kept]:
        """Keep a message that comes after all others of its stream; give those that had to make room.

        It is on stable storage, as far as the store has any, when this returns.
        """
        ...

    def next(self, stream: StreamId, seq: int) -> Kept | None:
        """Give the first message of a stream after `seq`."""
        ...

    def forget(self, stream: StreamId, seq: int) -> None:
        """Drop the messages of a stream up to and with `seq`."""
        ...

    def streams(self) -> Iterable[StreamId]:
        """Give the streams that have messages."""
        ...

    def __len__(self) -> int:
        """Count the messages."""
        ...


@dataclass(slots=True)
class _Row:
    entries: list[Kept] = field(default_factory=list[Kept])
    head: int = 0

    def first_after(self, seq: int) -> int:
        return bisect_right(self.entries, seq, lo=self.head, key=lambda entry: entry.seq)

    def cut(self, head: int) -> None:
        self.head = head
        if head >= _COMPACT_AT and 2 * head >= len(self.entries):
            del self.entries[:head]
            self.head = 0


class MemoryStore:
    """A store that dies with the process.

    Parameters
    ----------
    most_bytes : int
        Bytes of topics and payloads that it holds; the newest message is held whatever its size.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._rows: dict[StreamId, _Row] = {}
        self._order: deque[Kept] = deque()
        self._bytes = 0
        self._count = 0

    def append(self, entry: Kept) -> list[Kept]:
        """See `KeptStore.append`."""
        row = self._rows.setdefault(entry.stream, _Row())
        row.entries.append(entry)
        self._order.append(entry)
        self._bytes += _size(entry)
        self._count += 1
        dropped: list[Kept] = []
        while self._bytes > self._most_bytes and self._count > 1:
            oldest = self._order[0]
            if self._holds(oldest):
                dropped.append(oldest)
                self.forget(oldest.stream, oldest.seq)
            self._tidy()
        return dropped

    def next(self, stream: StreamId, seq: int) -> Kept | None:
        """See `KeptStore.next`."""
        row = self._rows.get(stream)
        if row is None:
            return None
        place = row.first_after(seq)
        return row.entries[place] if place < len(row.entries) else None

    def forget(self, stream: StreamId, seq: int) -> None:
        """See `KeptStore.forget`."""
        row = self._rows.get(stream)
        if row is None:
            return
        place = row.first_after(seq)
        for entry in row.entries[row.head : place]:
            self._bytes -= _size(entry)
            self._count -= 1
        if place == len(row.entries):
            del self._rows[stream]
        else:
            row.cut(place)
        self._tidy()

    def streams(self) -> Iterable[StreamId]:
        """See `KeptStore.streams`."""
        return list(self._rows)

    def __len__(self) -> int:
        """See `KeptStore.__len__`."""
        return self._count

    def _holds(self, entry: Kept) -> bool:
        row = self._rows.get(entry.stream)
        return row is not None and row.entries[row.head].seq <= entry.seq

    def _tidy(self) -> None:
        """Let go of what was forgotten at the old end of the order."""
        while self._order and not self._holds(self._order[0]):
            self._order.popleft()


def _size(entry: Kept) -> int:
    return len(entry.topic) + len(entry.payload)
