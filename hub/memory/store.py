"""The memory in a SQLite database, written by a thread of its own."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from becomingone.errors import ConfigError
from becomingone.hub.memory.checkpoint import text_of
from becomingone.hub.memory.lock import FileLock, lock_of
from becomingone.hub.memory.migrate import migrate
from becomingone.hub.memory.opening import Opener
from becomingone.hub.memory.protocol import Committed, Record, StreamKey, Tell, checked_kind
from becomingone.hub.memory.reader import MemoryReader
from becomingone.hub.memory.section import MemorySection
from becomingone.hub.memory.writer import Waiting, Writer
from becomingone.scheduling import Scheduler
from becomingone.wire.signature import Signer

_LOG = logging.getLogger(__name__)

CLOSE_S: Final = 1.0
"""Seconds for the last commit when the hub stops; nobody has been told of it, so the nodes still have its frames."""

_SALVAGE_PAUSE_S: Final = 0.02
_MOST_TOLD: Final = 100
_Batch = tuple[Sequence[Record], Mapping[StreamKey, int], Committed]


class Outbox:
    """What there is to tell, until somebody listens; from any thread.

    Parameters
    ----------
    scheduler : Scheduler
        Whose turns hear of it.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._lock = threading.Lock()
        self._tell: Tell | None = None
        self._early: deque[tuple[str, dict[str, Any]]] = deque(maxlen=_MOST_TOLD)

    def put(self, kind: str, content: dict[str, Any]) -> None:
        """Tell it in the scheduler's turn."""
        with self._lock:
            tell = self._tell
            if tell is None:
                self._early.append((kind, content))
                return
        try:
            self._scheduler.post(partial(_call, tell, kind, content))
        except RuntimeError:  # the loop has ended; it stands in the log
            return

    def open(self, tell: Tell) -> None:
        """Have everything told from now on, and what has been waiting."""
        with self._lock:
            self._tell = tell
            early, self._early = list(self._early), deque(maxlen=_MOST_TOLD)
        for kind, content in early:
            self.put(kind, content)


class SqliteMemory:
    """Frames and entries in a SQLite database; see `protocol.Memory`.

    A record that is there already is left as it is. When the database grows beyond its room, the oldest go.

    Parameters
    ----------
    path : Path
        The database; its folder is made. An older ``frames.db`` beside it is migrated first.
    scheduler : Scheduler
        Whose turns hear of commits.
    section : MemorySection
        The rules.
    signer : Signer, optional
        The hub's identity, which signs checkpoints.
    boot : int
        The hub's boot id.

    Raises
    ------
    ConfigError
        It cannot be opened, is another program's database, comes from a newer version, or is in use.
    """

    def __init__(
        self,
        path: Path,
        scheduler: Scheduler,
        *,
        section: MemorySection,
        signer: Signer | None = None,
        boot: int = 0,
    ) -> None:
        self._path = path
        self._scheduler = scheduler
        self._section = section
        self._work: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._entries: deque[Waiting] = deque()
        self._entry_bytes = 0
        self._called = False
        self._under_way = 0
        self.refused = 0
        self._outbox = Outbox(scheduler)
        self._writer = Writer(
            Opener(path, boot=boot, signer=signer, time_us=scheduler.time_us), section, self._outbox.put
        )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file_lock = FileLock(lock_of(path))
            try:
                migrate(path, now_us=scheduler.time_us(), boot=boot, signer=signer)
                self._marks = self._writer.open()
            except BaseException:
                self._writer.close()
                self._file_lock.close()
                raise
        except (OSError, sqlite3.Error) as error:
            msg = f"{path} cannot be used: {error}; give a state_dir that this user may write, or move the file away"
            raise ConfigError(msg) from error
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self._thread.start()

    def marks(self) -> Mapping[StreamKey, int]:
        """See `FrameLog.marks`."""
        return self._marks

    def commit(self, records: Sequence[Record], marks: Mapping[StreamKey, int], done: Committed) -> None:
        """See `FrameLog.commit`."""
        self._under_way += len(records)
        self._work.put((records, marks, done))

    def append(self, kind: str, time_us: int, body: Mapping[str, Any]) -> bool:
        """See `Memory.append`."""
        text = text_of(body)
        text.encode()  # a lone surrogate is found here, and not when a whole batch is written
        checked_kind(kind)
        with self._lock:
            if (
                len(self._entries) >= self._section.queue_entries
                or self._entry_bytes + len(text) > self._section.queue_mb * 1e6
            ):
                self.refused += 1
                return False
            self._entries.append((kind, int(time_us), text))
            self._entry_bytes += len(text)
            called, self._called = self._called, True
        if not called:
            self._work.put(((), {}, _nobody))
        return True

    def reader(self) -> MemoryReader:
        """See `Memory.reader`."""
        return MemoryReader(self._path)

    def figures(self) -> dict[str, Any]:
        """See `Memory.figures`; ``age_s`` and ``commit_ms`` are of the last commit."""
        written = self._writer.written
        return {
            "records": written.records,
            "bytes": written.size,
            "commits": written.commits,
            "age_s": round((self._scheduler.time_us() - written.at_us) / 1e6, 1) if written.commits else None,
            "commit_ms": round(written.took_ms, 1),
            "waiting": len(self._entries) + self._under_way,
            "refused": self.refused,
            "failures": written.failures,
            "damaged": written.damaged,
            "saved": written.saved,
            "lost": written.lost,
            "fault": written.fault,
            "checkpoint": written.checkpoint,
            "head": written.head,
        }

    def watch(self, tell: Tell) -> None:
        """See `Memory.watch`."""
        self._outbox.open(tell)

    def close(self) -> None:
        """See `FrameLog.close`."""
        self._work.put(None)
        self._thread.join(CLOSE_S)
        if self._thread.is_alive():
            _LOG.error("%s: the last commit has not returned; the nodes keep its frames", self._path)

    # -- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            records, marks, done = batch
            if done is _nobody:  # entries only: what comes within commit_s goes with them
                late = self._next(self._section.commit_s)
                if late is None:
                    break
                records, marks, done = late
            if not self._write(records, marks, done):
                break
        self._write((), {}, _nobody)
        self._writer.close()
        self._file_lock.close()

    def _next(self, wait_s: float | None = None) -> _Batch | None:
        """Wait for a batch; when the time is up, an empty one."""
        while True:
            try:
                if wait_s is not None:
                    return self._work.get(timeout=wait_s)
                return self._work.get(timeout=_SALVAGE_PAUSE_S) if self._writer.busy else self._work.get()
            except queue.Empty:
                if wait_s is not None:
                    return (), {}, _nobody
                self._writer.idle()

    def _write(self, records: Sequence[Record], marks: Mapping[StreamKey, int], done: Committed) -> bool:
        """Write a batch and what waits; False where nobody listens any more."""
        with self._lock:
            entries = list(self._entries)
            self._called = False
        if not records and not marks and not entries and done is _nobody:
            return True
        kept = self._writer.write(records, marks, entries)
        with self._lock:
            if kept:
                for _ in entries:
                    self._entry_bytes -= len(self._entries.popleft()[2])
            if self._entries and not self._called:
                self._called = True
                self._work.put(((), {}, _nobody))
        if done is _nobody:
            return True
        try:
            self._scheduler.post(lambda: self._tell(records, marks if kept else None, done))
        except RuntimeError:  # the loop has ended; nobody was told, so the node sends it again
            return False
        return True

    def _tell(self, records: Sequence[Record], reached: Mapping[StreamKey, int] | None, done: Committed) -> None:
        self._under_way -= len(records)
        done(reached)


def _call(tell: Tell, kind: str, content: dict[str, Any]) -> None:
    tell(kind, content)


def _nobody(_reached: Mapping[StreamKey, int] | None) -> None:
    """Stand for whoever would hear of a batch of entries only."""
