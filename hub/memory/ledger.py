"""The memory's database as its one writer sees it: what is added is chained, within the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from becomingone.hub.memory import chain as hashes
from becomingone.hub.memory.checkpoint import Chain, signed, statement, text_of, total
from becomingone.hub.memory.protocol import CHECKPOINT, FRAME, LIVES, Record, StreamKey
from becomingone.hub.memory.schema import DamagedError, transaction

if TYPE_CHECKING:
    from becomingone.wire.signature import Signer

RECORD_BYTES: Final = 64
"""What goes with the bytes of a record, about: its hash, its numbers, its place in the indexes."""

_INSERT_FRAME: Final = "INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?)"
_INSERT_ENTRY: Final = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)"

_FORGOTTEN: Final = """
SELECT node, band, channel, boot FROM (
    SELECT node, band, channel, boot, mark,
        row_number() OVER (PARTITION BY node, band, channel ORDER BY boot DESC) AS place
    FROM streams WHERE mark IS NOT NULL
) WHERE place > ?
"""


class _Stream:
    """A row of the table: its name as it is hashed, its mark, and up to where its frames are here."""

    __slots__ = ("mark", "name", "reached", "row")

    def __init__(self, row: int, name: bytes, mark: int | None, reached: int) -> None:
        self.row = row
        self.name = name
        self.mark = mark
        self.reached = reached


class Ledger:
    """An open memory.

    After an exception of any method the transaction must be rolled back and the ledger thrown away: what it knows by
    heart may be ahead of the tables.

    Parameters
    ----------
    database : sqlite3.Connection
        A memory of this version, see `schema`.
    boot : int
        The hub's boot id, for the checkpoints.
    signer : Signer, optional
        The hub's identity.

    Raises
    ------
    DamagedError
        What it has to know to go on cannot be right.
    """

    def __init__(self, database: sqlite3.Connection, *, boot: int, signer: Signer | None) -> None:
        self.database = database
        self.chains: dict[str, Chain] = {}
        self.since = 0
        self._boot = boot
        self._signer = signer
        self._streams: dict[StreamKey, _Stream] = {}
        self._hashes: dict[int, bytes] = {}
        self._changed: set[StreamKey] = set()
        try:
            self._load()
        except (TypeError, ValueError, sqlite3.OperationalError) as error:  # a text that is none, a NULL
            if isinstance(error, sqlite3.OperationalError) and "UTF-8" not in str(error):
                raise
            msg = f"what the chains begin with cannot be read: {error}"
            raise DamagedError(msg) from error

    def _load(self) -> None:
        database = self.database
        roots = database.execute("SELECT id, made_us, hash FROM root").fetchall()
        if len(roots) != 1 or hashes.root_hash(*roots[0][:2]) != roots[0][2]:
            msg = "the table root does not hold its one row"
            raise DamagedError(msg)
        self.identity, _, self.root = roots[0]
        for kind, first, anchor, size in database.execute("SELECT kind, first, anchor, bytes FROM chains").fetchall():
            newest = (
                database.execute("SELECT number, hash FROM frames ORDER BY number DESC LIMIT 1").fetchone()
                if kind == FRAME
                else database.execute(
                    "SELECT number, hash FROM entries WHERE kind = ? ORDER BY number DESC LIMIT 1", (kind,)
                ).fetchone()
            )
            last, head = newest or (first - 1, anchor)
            self.chains[kind] = Chain(first, anchor, last, head, size)
        self._row = database.execute("SELECT coalesce(max(id), 0) FROM entries").fetchone()[0]
        for row, node, band, channel, boot, mark, stored in database.execute(
            "SELECT id, node, band, channel, boot, mark, hash FROM streams ORDER BY id"
        ).fetchall():
            key = StreamKey(node, band, channel, boot)
            stream = _Stream(row, hashes.stream_name(key), mark, -1)
            if hashes.stream_hash(row, stream.name, mark) != stored:
                msg = f"row {row} of the table streams has been altered"
                raise DamagedError(msg)
            newest = database.execute("SELECT max(seq) FROM frames WHERE stream = ?", (row,)).fetchone()[0]
            stream.reached = -1 if newest is None else newest
            self._streams[key] = stream
            self._hashes[row] = stored

    def transaction(self) -> AbstractContextManager[None]:
        """Begin a transaction; what is raised within undoes it all."""
        return transaction(self.database)

    def marks(self) -> dict[StreamKey, int]:
        """Give up to where each stream has been committed."""
        return {key: stream.mark for key, stream in self._streams.items() if stream.mark is not None}

    @property
    def records(self) -> int:
        """How many records there are."""
        return total(self.chains.values())

    # -- what is added ---------------------------------------------------------------------------------------------

    def add_frames(self, records: Iterable[Record]) -> int:
        """Add frames, but none that is there; give how many were new."""
        chain = self._chain(FRAME)
        rows: list[tuple[int, int, int, int, bytes, bytes]] = []
        number, head, size, before = chain.last, chain.head, chain.size, chain.last
        streams, digest = self._streams, hashes.frame_hash
        for key, seq, time_us, frame in records:
            stream = streams.get(key) or self._new_stream(key)
            if seq > stream.reached:
                stream.reached = seq
            else:  # out of order: only then one has to look
                self.database.executemany(_INSERT_FRAME, rows)
                rows.clear()
                if self._is_there(stream.row, seq):
                    continue
            number += 1
            head = digest(head, number, seq, time_us, stream.name, frame)
            rows.append((number, stream.row, seq, time_us, frame, head))
            size += len(frame) + RECORD_BYTES
        self.database.executemany(_INSERT_FRAME, rows)
        if number > before:
            chain.last, chain.head, chain.size = number, head, size
            self.since += number - before
            self._save(FRAME, chain)
        return number - before

    def add_entries(self, entries: Iterable[tuple[str, int, str]]) -> None:
        """Add entries: kind, time and body."""
        rows: list[tuple[int, str, int, int, str, bytes]] = []
        kinds: set[str] = set()
        for kind, time_us, text in entries:
            chain = self._chain(kind)
            body = text.encode()
            self._row += 1
            chain.last += 1
            chain.head = hashes.entry_hash(chain.head, chain.last, self._row, time_us, kind.encode(), body)
            chain.size += len(body) + RECORD_BYTES
            rows.append((self._row, kind, chain.last, time_us, text, chain.head))
            kinds.add(kind)
        self.database.executemany(_INSERT_ENTRY, rows)
        self.since += len(rows)
        for kind in sorted(kinds):
            self._save(kind, self.chains[kind])

    def set_marks(self, marks: Mapping[StreamKey, int]) -> bool:
        """Raise marks, none goes back; tell whether one was raised."""
        for key, seq in marks.items():
            stream = self._streams.get(key) or self._new_stream(key)
            if stream.mark is None or seq > stream.mark:
                stream.mark = seq
                self._changed.add(key)
        raised = bool(self._changed)
        self._save_marks()
        return raised

    def forget(self) -> bool:
        """Give up the marks of lives long past, and streams of which nothing is left; tell whether there were any."""
        old = [StreamKey(*row) for row in self.database.execute(_FORGOTTEN, (LIVES,)).fetchall()]
        for key in old:
            self._streams[key].mark = None
            self._changed.add(key)
        self._save_marks()
        gone = self.database.execute(
            "SELECT id, node, band, channel, boot FROM streams"
            " WHERE mark IS NULL AND NOT EXISTS (SELECT 1 FROM frames WHERE stream = streams.id)"
        ).fetchall()
        for row, *names in gone:
            self.database.execute("DELETE FROM streams WHERE id = ?", (row,))
            del self._streams[StreamKey(*names)], self._hashes[row]
        return bool(old or gone)

    def checkpoint(self, reason: str, now_us: int, **content: Any) -> int:  # noqa: ANN401 - what JSON can hold
        """State where the chains begin and end; give the statement's number."""
        self._chain(CHECKPOINT)
        body = statement(
            reason,
            self.chains,
            memory=self.identity,
            boot=self._boot,
            marks=hashes.marks_hash(self._hashes.values()),
            signer=self._signer,
        )
        self.add_entries([(CHECKPOINT, now_us, text_of(signed({**body, **content}, self._signer)))])
        self.since = 0
        return self.chains[CHECKPOINT].last

    # -- what is given up ------------------------------------------------------------------------------------------

    def prune(self, kind: str, upto: int) -> None:
        """Give up the oldest records of a kind; a checkpoint must follow in the same transaction."""
        chain = self.chains[kind]
        upto = min(upto, chain.last)
        if upto < chain.first:
            return
        table, column, which, bound = (
            ("frames", "frame", "number <= ?", (upto,))
            if kind == FRAME
            else ("entries", "body", "kind = ? AND number <= ?", (kind, upto))
        )
        count, size = self.database.execute(
            f"SELECT count(*), coalesce(sum(length(CAST({column} AS BLOB))), 0) FROM {table} WHERE {which}",  # noqa: S608
            bound,
        ).fetchone()
        if upto == chain.last:
            chain.anchor = chain.head
        else:
            (chain.anchor,) = self.database.execute(
                f"SELECT hash FROM {table} WHERE {which.replace('<=', '=')}",  # noqa: S608 - of our own words
                bound,
            ).fetchone()
        self.database.execute(f"DELETE FROM {table} WHERE {which}", bound)  # noqa: S608
        chain.first = upto + 1
        chain.size -= size + RECORD_BYTES * count
        self._save(kind, chain)

    def median_time(self, kind: str, upto: int) -> int:
        """Give the median of the times of the oldest records of a kind, up to a number, µs."""
        table, which, bound = (
            ("frames", "number <= ?", (upto,))
            if kind == FRAME
            else ("entries", "kind = ? AND number <= ?", (kind, upto))
        )
        times = [time_us for (time_us,) in self.database.execute(f"SELECT time_us FROM {table} WHERE {which}", bound)]  # noqa: S608
        return int(sorted(times)[len(times) // 2])

    # -- rows ------------------------------------------------------------------------------------------------------

    def _chain(self, kind: str) -> Chain:
        chain = self.chains.get(kind)
        if chain is None:
            start = hashes.genesis(self.root, kind.encode())
            chain = self.chains[kind] = Chain(1, start, 0, start, 0)
        return chain

    def _save(self, kind: str, chain: Chain) -> None:
        self.database.execute(
            "INSERT INTO chains VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET first = excluded.first, anchor = excluded.anchor, bytes = excluded.bytes",
            (kind, chain.first, chain.anchor, chain.size),
        )

    def _new_stream(self, key: StreamKey) -> _Stream:
        name = hashes.stream_name(key)
        row = self.database.execute("SELECT coalesce(max(id), 0) + 1 FROM streams").fetchone()[0]
        digest = hashes.stream_hash(row, name, None)
        self.database.execute("INSERT INTO streams VALUES (?, ?, ?, ?, ?, NULL, ?)", (row, *key, digest))
        self._hashes[row] = digest
        stream = self._streams[key] = _Stream(row, name, None, -1)
        return stream

    def _save_marks(self) -> None:
        rows: list[tuple[int | None, bytes, int]] = []
        for key in sorted(self._changed):
            stream = self._streams[key]
            digest = self._hashes[stream.row] = hashes.stream_hash(stream.row, stream.name, stream.mark)
            rows.append((stream.mark, digest, stream.row))
        self._changed.clear()
        self.database.executemany("UPDATE streams SET mark = ?, hash = ? WHERE id = ?", rows)

    def _is_there(self, stream: int, seq: int) -> bool:
        found = self.database.execute("SELECT 1 FROM frames WHERE stream = ? AND seq = ?", (stream, seq))
        return found.fetchone() is not None
