"""The frames that nodes keep until they are committed here: one SQLite table, written by a thread of its own."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from becomingone.errors import ConfigError
from becomingone.scheduling import Scheduler

_LOG = logging.getLogger(__name__)

_VERSION: Final = 1

_SCHEMA: Final = """
CREATE TABLE frames (
    node TEXT NOT NULL, band TEXT NOT NULL, channel TEXT NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,
    time_us INTEGER NOT NULL, frame BLOB NOT NULL,
    PRIMARY KEY (node, band, channel, boot, seq)
) WITHOUT ROWID;
CREATE INDEX frames_by_time ON frames (time_us);
CREATE TABLE marks (
    node TEXT NOT NULL, band TEXT NOT NULL, channel TEXT NOT NULL, boot INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (node, band, channel, boot)
) WITHOUT ROWID;
"""

LIVES: Final = 16
"""Lives of a node whose marks are kept; what still comes of an earlier one, its node says where it begins."""

_FORGET: Final = """
DELETE FROM marks WHERE (node, band, channel, boot) IN (
    SELECT node, band, channel, boot FROM (
        SELECT node, band, channel, boot,
            row_number() OVER (PARTITION BY node, band, channel ORDER BY boot DESC) AS place
        FROM marks
    ) WHERE place > ?
)
"""
_FORGET_EVERY: Final = 1_000  # commits: the marks of a year of restarts must not take the frames' room

CLOSE_S: Final = 1.0
"""Seconds for the last commit when the hub stops; nobody has been told of it, so the nodes still have its frames."""

_STEP: Final = 100
_STEPS: Final = 100
"""Rows that are given up at once, and how often in one commit, when the table is too large."""


class StreamKey(NamedTuple):
    """A channel in a band, in one life of its node."""

    node: str
    band: str
    channel: str
    boot: int


class Record(NamedTuple):
    """One kept frame.

    Parameters
    ----------
    stream : StreamKey
        Whose it is.
    seq, time_us : int
        As in the frame.
    frame : bytes
        The frame as it came, sealed or not.
    """

    stream: StreamKey
    seq: int
    time_us: int
    frame: bytes


Committed = Callable[[Mapping[StreamKey, int] | None], None]
"""Called in the scheduler's turn once a batch is on stable storage, with up to where each stream is; with None when it
is not, and
nothing of the batch has been kept."""


class FrameLog(Protocol):
    """Where kept frames are committed."""

    def marks(self) -> Mapping[StreamKey, int]:
        """Give up to where each stream was committed when this was opened."""
        ...

    def commit(self, records: Sequence[Record], marks: Mapping[StreamKey, int], done: Committed) -> None:
        """Commit a batch, and the marks that it leads to; returns at once."""
        ...

    def close(self) -> None:
        """Finish what is under way."""
        ...


class SqliteFrameLog:
    """The frames in a SQLite database.

    A record that is there already is left as it is. When the table grows beyond its room, the oldest frames go.

    Parameters
    ----------
    path : Path
        The database; its folder is made.
    scheduler : Scheduler
        Whose turns hear of commits.
    max_mb : float
        Room for it, MB.

    Raises
    ------
    ConfigError
        It cannot be opened, is no such database, or comes from a newer version.
    """

    def __init__(self, path: Path, scheduler: Scheduler, *, max_mb: float) -> None:
        self._path = path
        self._scheduler = scheduler
        self._max_bytes = int(max_mb * 1e6)
        self._work: queue.SimpleQueue[tuple[Sequence[Record], Mapping[StreamKey, int], Committed] | None]
        self._work = queue.SimpleQueue()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as database:
                self._prepare(database)
                database.execute(_FORGET, (LIVES,))
                rows = database.execute("SELECT node, band, channel, boot, seq FROM marks").fetchall()
        except (OSError, sqlite3.Error) as error:
            msg = f"{path} cannot be used: {error}; give a state_dir that this user may write, or move the file away"
            raise ConfigError(msg) from error
        self._marks = {StreamKey(node, band, channel, boot): seq for node, band, channel, boot, seq in rows}
        self._database: sqlite3.Connection | None = None
        self._fault = ""
        self._commits = 0
        self._thread = threading.Thread(target=self._run, name="frames", daemon=True)
        self._thread.start()

    def marks(self) -> Mapping[StreamKey, int]:
        """See `FrameLog.marks`."""
        return self._marks

    def commit(self, records: Sequence[Record], marks: Mapping[StreamKey, int], done: Committed) -> None:
        """See `FrameLog.commit`."""
        self._work.put((records, marks, done))

    def close(self) -> None:
        """See `FrameLog.close`."""
        self._work.put(None)
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            _LOG.error("%s: the last commit has not returned; the nodes keep its frames", self._path)

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")  # an acknowledgement promises that a power cut loses nothing
        return database

    def _prepare(self, database: sqlite3.Connection) -> None:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            msg = f"{self._path} was written by a newer version ({version}, this one knows {_VERSION}): update this hub"
            raise ConfigError(msg)
        if version == 0:
            database.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            records, marks, done = item
            kept = marks if self._try(records, marks) else None
            try:
                self._scheduler.post(lambda done=done, kept=kept: done(kept))  # type: ignore[misc]
            except RuntimeError:  # the loop has ended; nobody was told, so the node sends it again
                break
        self._let_go()

    def _try(self, records: Iterable[Record], marks: Mapping[StreamKey, int]) -> bool:
        """Write a batch; after a failure the database is opened anew, for it may have been mended or moved away."""
        try:
            if self._database is None:
                self._database = self._connect()
                self._prepare(self._database)
            self._write(self._database, records, marks)
        except Exception as error:  # noqa: BLE001 - whatever it is, this thread is the only one that commits
            if self._fault != f"{error}":
                self._fault = f"{error}"
                _LOG.error("%s cannot be written: %s; the nodes keep their frames", self._path, error)
            self._let_go()
            return False
        if self._fault:
            self._fault = ""
            _LOG.warning("%s can be written again", self._path)
        return True

    def _let_go(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            try:
                database.close()
            except sqlite3.Error as error:
                _LOG.error("%s cannot be closed: %s", self._path, error)

    def _write(self, database: sqlite3.Connection, records: Iterable[Record], marks: Mapping[StreamKey, int]) -> None:
        database.execute("BEGIN IMMEDIATE")
        try:
            database.executemany(
                "INSERT OR IGNORE INTO frames VALUES (?, ?, ?, ?, ?, ?, ?)",
                ((*record.stream, record.seq, record.time_us, record.frame) for record in records),
            )
            database.executemany(
                "INSERT INTO marks VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = max(seq, excluded.seq)",
                ((*stream, seq) for stream, seq in marks.items()),
            )
            self._commits += 1
            if self._commits % _FORGET_EVERY == 0:
                database.execute(_FORGET, (LIVES,))
            self._make_room(database)
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise

    def _make_room(self, database: sqlite3.Connection) -> None:
        """Give up the oldest rows, in steps, until a twentieth of the room is free; a commit must stay short."""
        if self._size(database) <= self._max_bytes:
            return
        for _ in range(_STEPS):
            database.execute(
                "DELETE FROM frames WHERE (node, band, channel, boot, seq) IN"
                " (SELECT node, band, channel, boot, seq FROM frames ORDER BY time_us LIMIT ?)",
                (_STEP,),
            )
            if self._size(database) <= 0.95 * self._max_bytes:
                return

    def _size(self, database: sqlite3.Connection) -> int:
        """Give the bytes of the pages that are in use."""
        pages, free, size = (
            int(database.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size


class MemoryFrameLog:
    """Frames in memory, for the simulation: what a power cut of the hub's machine would leave is all of it.

    Attributes
    ----------
    records : dict of (StreamKey, int) to Record
        Everything that was committed.
    writes : int
        Records handed over, those that were there already too.
    """

    def __init__(self) -> None:
        self.records: dict[tuple[StreamKey, int], Record] = {}
        self.writes = 0
        self._marks: dict[StreamKey, int] = {}

    def marks(self) -> Mapping[StreamKey, int]:
        """See `FrameLog.marks`."""
        return dict(self._marks)

    def commit(self, records: Sequence[Record], marks: Mapping[StreamKey, int], done: Committed) -> None:
        """See `FrameLog.commit`."""
        for record in records:
            self.writes += 1
            self.records.setdefault((record.stream, record.seq), record)
        self._marks.update(marks)
        done(marks)

    def close(self) -> None:
        """See `FrameLog.close`."""
