"""The hub's half of kept messages: nothing twice, nothing out of order, and what to acknowledge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from becomingone.broker.kept_store import StreamId

MOST_STREAMS: Final = 65_536
"""Streams and boots that are followed at once."""

_LOOK_AGAIN: Final = 1_000  # refusals after a look for room that was in vain: it takes a while


class Verdict(StrEnum):
    """What a kept message is to its receiver."""

    NEW = "new"
    """The next one of its stream: take it."""

    DUPLICATE = "duplicate"
    """Had before: drop it. The sender does not know, so it is acknowledged again."""

    EARLY = "early"
    """One before it is missing: drop it. The sender sends both again, or announces what it no longer has."""

    REFUSED = "refused"
    """Of one stream too many."""


@dataclass(slots=True)
class _Mark:
    received: int
    committed: int


class KeptReceiver:
    """Follows the streams of kept messages by their sequence numbers.

    Parameters
    ----------
    marks : mapping, optional
        Stream and boot to the highest sequence number up to which all is committed: what the memory still knows after a
        restart. A stream that is not in it begins at 0, or where its sender says (`oldest_kept`).
    most_streams : int
        See `MOST_STREAMS`. When there are so many, streams of boots that a later one has followed are forgotten: what
        still comes of them is taken from where its sender says that it begins.

    Attributes
    ----------
    duplicates, early, refused : int
        Messages dropped for these reasons.
    lost : int
        Sequence numbers that their sender no longer had when they were still missing here.
    """

    def __init__(self, marks: Mapping[StreamId, int] | None = None, *, most_streams: int = MOST_STREAMS) -> None:
        self.duplicates = 0
        self.early = 0
        self.refused = 0
        self.lost = 0
        self._most = most_streams
        self._marks = {name: _Mark(seq, seq) for name, seq in (marks or {}).items()}
        self._due: set[StreamId] = set()
        self._look_again = 0
        if len(self._marks) > most_streams:
            self._make_room()

    def take(self, stream: str, boot: int, seq: int) -> Verdict:
        """Judge a message; one that is NEW counts as received, and has to be `committed`."""
        mark = self._mark((stream, boot))
        if mark is None:
            self.refused += 1
            return Verdict.REFUSED
        if seq <= mark.received:
            self.duplicates += 1
            self._due.add((stream, boot))
            return Verdict.DUPLICATE
        if seq > mark.received + 1:
            self.early += 1
            return Verdict.EARLY
        mark.received = seq
        return Verdict.NEW

    def committed(self, stream: str, boot: int, seq: int) -> None:
        """Take note that everything received up to and with `seq` is on stable storage.

        Raises
        ------
        ValueError
            It has not been received.
        """
        mark = self._marks.get((stream, boot))
        if mark is None or seq > mark.received:
            msg = f"{stream}, boot {boot}: {seq} cannot be committed, it has not been received"
            raise ValueError(msg)
        if seq > mark.committed:
            mark.committed = seq
            self._due.add((stream, boot))

    def rollback(self) -> None:
        """Forget what was received and could not be committed: its senders send it again."""
        for mark in self._marks.values():
            mark.received = mark.committed

    def oldest_kept(self, stream: str, boot: int, seq: int) -> int:
        """Take the sender's word that it has nothing before `seq` any more; give how many that loses."""
        mark = self._mark((stream, boot))
        if mark is None or seq <= mark.received + 1:
            return 0
        missing = seq - 1 - mark.received
        # What was received and is not committed is gone too, should this process end now: nobody can send it again.
        mark.received = mark.committed = seq - 1
        self._due.add((stream, boot))
        self.lost += missing
        return missing

    def acknowledgements(self) -> list[tuple[str, int, int]]:
        """Give what is to be acknowledged since the last call: stream, boot and highest committed sequence number."""
        due = [(*name, self._marks[name].committed) for name in sorted(self._due)]
        self._due.clear()
        return [(stream, boot, seq) for stream, boot, seq in due if seq >= 0]

    def marks(self) -> Mapping[StreamId, int]:
        """Give, for every stream and boot, up to where everything is committed."""
        return {name: mark.committed for name, mark in self._marks.items()}

    def forget(self, stream: str, boot: int) -> None:
        """Follow a stream and boot no more, for it has ended."""
        self._marks.pop((stream, boot), None)
        self._due.discard((stream, boot))

    def _mark(self, name: StreamId) -> _Mark | None:
        mark = self._marks.get(name)
        if mark is None and len(self._marks) >= self._most and self.refused >= self._look_again:
            self._make_room(name)
        if mark is None and len(self._marks) < self._most:
            mark = self._marks[name] = _Mark(-1, -1)
        return mark

    def _make_room(self, *fresh: StreamId) -> None:
        """Forget streams of boots that are over, the earliest boots first, until an eighth of the room is free."""
        newest: dict[str, int] = {}
        for stream, boot in (*self._marks, *fresh):
            newest[stream] = max(boot, newest.get(stream, boot))
        over = [
            name for name, mark in self._marks.items() if name[1] < newest[name[0]] and mark.received == mark.committed
        ]
        self._look_again = self.refused + (0 if over else _LOOK_AGAIN)
        over.sort(key=lambda name: name[1])
        for stream, boot in over[: len(self._marks) - self._most + max(1, self._most // 8)]:
            self.forget(stream, boot)
