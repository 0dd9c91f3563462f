"""Where messages are kept until the hub has committed them: the face of every store, and one in memory."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable
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


@dataclass(frozen=True, slots=True)
class Gone:
    """Messages that had to make room before the hub had committed them.

    Parameters
    ----------
    stream : tuple of str and int
        The stream, and the boot id.
    seq : int
        The highest sequence number among them; of the stream, everything up to it is gone.
    count : int
        How many they are.
    """

    stream: StreamId
    seq: int
    count: int


class KeptStore(Protocol):
    """A bounded store of messages; when it is full, the oldest makes room.

    Attributes
    ----------
    on_mended : callable or None
        Called when a store that was in trouble is well again, and may have more than it gave meanwhile.
    """

    on_mended: Callable[[], None] | None

    @property
    def fault(self) -> str:
        """What is wrong with it; empty while nothing is."""
        ...

    @property
    def damaged(self) -> int:
        """Places that could not be read, each with one message or a few."""
        ...

    def append(self, entry: Kept) -> list[Gone]:
        """Keep a message that comes after all others of its stream; give what had to make room.

        When this returns, the end of the process loses it no more, where the store has anything that outlives it.
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

    @property
    def taken(self) -> int:
        """Bytes that the messages take."""
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

    fault = ""
    damaged = 0

    def __init__(self, most_bytes: int) -> None:
        self.on_mended: Callable[[], None] | None = None
        self._most_bytes = most_bytes
        self._rows: dict[StreamId, _Row] = {}
        self._order: deque[Kept] = deque()
        self._bytes = 0
        self._count = 0

    def append(self, entry: Kept) -> list[Gone]:
        """See `KeptStore.append`."""
        row = self._rows.setdefault(entry.stream, _Row())
        row.entries.append(entry)
        self._order.append(entry)
        self._bytes += _size(entry)
        self._count += 1
        dropped: dict[StreamId, Gone] = {}
        while self._bytes > self._most_bytes and self._count > 1:
            oldest = self._order[0]
            if self._holds(oldest):
                before = dropped.get(oldest.stream)
                count = 1 if before is None else before.count + 1
                dropped[oldest.stream] = Gone(oldest.stream, oldest.seq, count)
                self.forget(oldest.stream, oldest.seq)
            self._tidy()
        return list(dropped.values())

    def oldest(self) -> Kept | None:
        """Give the message that has been here longest."""
        self._tidy()
        return self._order[0] if self._order else None

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

    @property
    def taken(self) -> int:
        """See `KeptStore.taken`."""
        return self._bytes

    def _holds(self, entry: Kept) -> bool:
        row = self._rows.get(entry.stream)
        return row is not None and row.entries[row.head].seq <= entry.seq

    def _tidy(self) -> None:
        """Let go of what was forgotten at the old end of the order."""
        while self._order and not self._holds(self._order[0]):
            self._order.popleft()


def _size(entry: Kept) -> int:
    return len(entry.topic) + len(entry.payload)
