"""Taking over, step by step, what is still right in a damaged database that was set aside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from becomingone.hub.memory.ledger import Ledger
from becomingone.hub.memory.protocol import CHECKPOINT, FRAME, Record, StreamKey
from becomingone.hub.memory.scan import (
    ENTRIES,
    FRAMES,
    UNREADABLE,
    Damage,
    Row,
    entry_digest,
    frame_digest,
    links,
    rows_after,
    streams_of,
)
from becomingone.hub.memory.schema import connect_to_read

STEP: Final = 1_000
"""Records that are taken over in one transaction."""


class Salvage:
    """Takes over what is right.

    Parameters
    ----------
    aside : Path
        The damaged database.
    begun : dict
        By kind, up to which number an earlier life has got; see `position`.

    Attributes
    ----------
    saved, lost : int
        Records that were taken over, and of which it is known that they are not.
    done : bool
        Whether nothing is left.
    """

    def __init__(self, aside: Path, begun: dict[str, int] | None = None) -> None:
        self.aside = aside
        self.saved = 0
        self.lost = 0
        self.done = False
        self.position: dict[str, int] = dict(begun or {})
        self._database = connect_to_read(aside)
        self._database.text_factory = bytes
        self._streams, _ = streams_of(self._database, lambda _damage: None)
        self._steps = self._walk()

    def marks(self) -> dict[StreamKey, int]:
        """Give up to where streams were committed, where that is certain."""
        return {key: mark for key, mark in self._streams.values() if mark is not None}

    def step(self, ledger: Ledger, now_us: int) -> None:
        """Take over some more, within the caller's transaction."""
        if not next(self._steps, None):
            self.done = True
        else:
            kind, rows = self._batch
            if kind == FRAME:
                self.saved += ledger.add_frames(
                    Record(self._streams[stream][0], seq, time_us, frame) for _, stream, seq, time_us, frame, _ in rows
                )
            else:
                ledger.add_entries((kind, time_us, body.decode()) for _, _, time_us, body, _ in rows)
                self.saved += len(rows)
            self.position[kind] = rows[-1][0]
        ledger.checkpoint("salvaged", now_us, salvage=self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Give what a checkpoint says of it."""
        return {"from": self.aside.name, "done": self.done, "saved": self.saved, "lost": self.lost, "to": self.position}

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _walk(self) -> Iterator[bool]:
        for kind, first, anchor in self._chains():
            if kind == CHECKPOINT:
                continue
            after = self.position.get(kind, 0)
            rows = (
                rows_after(self._database, FRAMES, (), after)
                if kind == FRAME
                else rows_after(self._database, ENTRIES, (kind.encode(),), after)
            )
            digest = frame_digest(self._streams) if kind == FRAME else entry_digest(kind.encode())
            # In a later life the last one that was taken is where the chain goes on.
            begin, before = (after + 1, self._hash(kind, after)) if after else (first, anchor)
            right = links(rows, digest, kind=kind, first=begin, anchor=before, report=self._lose)
            while batch := list(islice(right, STEP)):
                self._batch: tuple[str, list[Row]] = kind, batch
                yield True

    def _chains(self) -> list[tuple[str, int, bytes]]:
        try:
            found = self._database.execute("SELECT kind, first, anchor FROM chains").fetchall()
            return sorted((kind.decode(), first, anchor) for kind, first, anchor in found)
        except (*UNREADABLE, AttributeError, ValueError, TypeError):
            return []

    def _hash(self, kind: str, number: int) -> bytes:
        query, bound = (FRAMES, ()) if kind == FRAME else (ENTRIES, (kind.encode(),))
        row = next(rows_after(self._database, query, bound, number - 1), None)
        return row[-1] if row is not None and row[0] == number else b""

    def _lose(self, damage: Damage) -> None:
        self.lost += damage.last - damage.first + 1


def last_salvage(ledger: Ledger, aside: Path) -> dict[str, int]:
    """Find how far an earlier life has got, in the newest checkpoint that says so."""
    found = ledger.database.execute(
        "SELECT json_extract(body, '$.salvage.to') FROM entries"
        " WHERE kind = ? AND json_extract(body, '$.salvage.from') = ?"
        " ORDER BY number DESC LIMIT 1",
        (CHECKPOINT, aside.name),
    ).fetchone()
    return {} if found is None else json.loads(found[0])
