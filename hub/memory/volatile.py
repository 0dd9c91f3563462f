"""A memory that lives as long as its process: for virtual time, and for whoever wants nothing kept."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from becomingone.hub.memory.checkpoint import text_of
from becomingone.hub.memory.protocol import FRAME, LIVES, Committed, Entry, Record, StreamKey, Tell, checked_kind
from becomingone.hub.memory.section import MemorySection
from becomingone.scheduling import NANOSECONDS, Scheduler, Timer


class VolatileMemory:
    """Frames and entries in memory; see `protocol.Memory`.

    It outlives the hubs that use it one after the other, as a disk does: what a power cut would leave is all of it.
    Nothing is given up for lack of room.

    Parameters
    ----------
    scheduler : Scheduler
        Commits are done in its turns.
    section : MemorySection, optional
        Its ``commit_s`` and its queue count.

    Attributes
    ----------
    records : dict of (StreamKey, int) to Record
        Every frame that was committed, in that order.
    told : dict of str to list of Entry
        Every entry that was committed, by kind.
    writes : int
        Frames handed over, those that were there already too.
    """

    def __init__(self, scheduler: Scheduler, *, section: MemorySection | None = None) -> None:
        self.records: dict[tuple[StreamKey, int], Record] = {}
        self.told: dict[str, list[Entry]] = {}
        self.writes = 0
        self.refused = 0
        self._scheduler = scheduler
        self._section = section or MemorySection()
        self._marks: dict[StreamKey, int] = {}
        self._waiting: deque[tuple[str, int, str]] = deque()
        self._waiting_bytes = 0
        self._timer: Timer | None = None
        self._commits = 0
        self._at_us = 0
        self._bytes = 0

    def marks(self) -> Mapping[StreamKey, int]:
        """See `FrameLog.marks`."""
        lives: dict[tuple[str, str, str], list[int]] = {}
        for key in self._marks:
            lives.setdefault(key[:3], []).append(key.boot)
        newest = {channel: set(sorted(boots)[-LIVES:]) for channel, boots in lives.items()}
        return {key: seq for key, seq in self._marks.items() if key.boot in newest[key[:3]]}

    def commit(self, records: Sequence[Record], marks: Mapping[StreamKey, int], done: Committed) -> None:
        """See `FrameLog.commit`."""
        self._keep(records, marks)
        self._scheduler.post(lambda: done(marks))

    def append(self, kind: str, time_us: int, body: Mapping[str, Any]) -> bool:
        """See `Memory.append`."""
        text = text_of(body)
        text.encode()
        checked_kind(kind)
        section = self._section
        if len(self._waiting) >= section.queue_entries or self._waiting_bytes + len(text) > section.queue_mb * 1e6:
            self.refused += 1
            return False
        self._waiting.append((kind, int(time_us), text))
        self._waiting_bytes += len(text)
        if self._timer is None:
            due = self._scheduler.monotonic_ns() + int(section.commit_s * NANOSECONDS)
            self._timer = self._scheduler.call_at(due, lambda: self._keep((), {}))
        return True

    def reader(self) -> VolatileMemory:
        """See `Memory.reader`."""
        return self

    def figures(self) -> dict[str, Any]:
        """See `Memory.figures`; there is no chain."""
        return {
            "records": len(self.records) + sum(map(len, self.told.values())),
            "bytes": self._bytes,
            "commits": self._commits,
            "age_s": round((self._scheduler.time_us() - self._at_us) / 1e6, 1) if self._commits else None,
            "commit_ms": 0.0,
            "waiting": len(self._waiting),
            "refused": self.refused,
            "failures": 0,
            "damaged": 0,
            "saved": 0,
            "lost": 0,
            "fault": "",
            "checkpoint": 0,
            "head": "",
        }

    def watch(self, tell: Tell) -> None:
        """See `Memory.watch`: nothing ever happens to it."""

    def close(self) -> None:
        """See `FrameLog.close`; it goes on for the next hub, and for readers."""
        self._keep((), {})

    # -- reading ---------------------------------------------------------------------------------------------------

    def entries(self, kind: str, start_us: int, end_us: int, *, limit: int | None = None) -> Iterator[Entry]:
        """See `Reading.entries`."""
        found = [entry for entry in self.told.get(kind, ()) if start_us <= entry.time_us < end_us]
        return islice(sorted(found, key=lambda entry: entry.time_us), limit)

    def frames(
        self,
        start_us: int,
        end_us: int,
        *,
        node: str | None = None,
        band: str | None = None,
        channel: str | None = None,
    ) -> Iterator[Record]:
        """See `Reading.frames`."""
        wanted = (node, band, channel)
        found = [
            record
            for record in self.records.values()
            if start_us <= record.time_us < end_us
            and all(want in (None, have) for want, have in zip(wanted, record.stream, strict=False))
        ]
        return iter(sorted(found, key=lambda record: record.time_us))

    def last(self, kind: str) -> Entry | None:
        """See `Reading.last`."""
        told = self.told.get(kind)
        return told[-1] if told else None

    def summary(self) -> dict[str, Any]:
        """See `Reading.summary`."""
        times = {kind: [entry.time_us for entry in told] for kind, told in self.told.items()}
        if self.records:
            times[FRAME] = [record.time_us for record in self.records.values()]
        return {
            kind: {"records": len(found), "from_us": min(found), "to_us": max(found), "gone": 0}
            for kind, found in sorted(times.items())
        }

    def _keep(self, records: Sequence[Record], marks: Mapping[StreamKey, int]) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for record in records:
            self.writes += 1
            if (record.stream, record.seq) not in self.records:
                self.records[record.stream, record.seq] = record
                self._bytes += len(record.frame)
        for key, seq in marks.items():
            self._marks[key] = max(seq, self._marks.get(key, seq))
        for kind, time_us, text in self._waiting:
            told = self.told.setdefault(kind, [])
            told.append(Entry(len(told) + 1, kind, time_us, json.loads(text)))
            self._bytes += len(text)
        self._waiting.clear()
        self._waiting_bytes = 0
        self._commits += 1
        self._at_us = self._scheduler.time_us()
