"""The node's store of kept frames: on the disk while there is one that works, in memory while there is not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from becomingone.broker.kept_store import Gone, Kept, MemoryStore, StreamId
from becomingone.errors import ConfigError
from becomingone.node.spool.batches import SLOW_S, Batches
from becomingone.node.spool.disk import Disk, FolderDisk
from becomingone.node.spool.log import Log
from becomingone.node.spool.salvage import Salvage
from becomingone.runner import Runner, ThreadRunner
from becomingone.scheduling import NANOSECONDS, Scheduler, Timer

MEMORY_BYTES: Final = 4_000_000
"""Bytes of frames that wait in memory while the disk fails; beyond them the oldest goes."""

RETRY_S: Final = (1.0, 60.0)
"""Seconds after which a disk that has failed is tried again: at first, doubled each time up to the second."""

_READ_ATTEMPTS: Final = 5  # then what cannot be read is given up
_MOVED: Final = 100  # frames that go back from memory to the disk in one turn

_LOG = logging.getLogger(__name__)


class Spool:
    """A `KeptStore` on the disk.

    A message has been handed to the operating system when `append` returns, so that the end of the process cannot lose
    it; a power cut can lose what has not been synced: at most `sync_frames` messages, or those of `sync_s` seconds,
    and what came while the last sync was under way. A sync runs in a thread, for it takes 200 ms and more on a slow
    card. A disk that fails is tried again with back-off; meanwhile messages wait in memory.

    Parameters
    ----------
    folder : Path
        Where the files are; made if it is missing. Nobody else may use it.
    max_bytes : int
        Room on the disk, bytes; when it is used up, the oldest segment goes.
    sync_frames : int
        Messages that one sync puts on the disk.
    sync_s : float
        Seconds after which fewer are synced all the same.
    scheduler : Scheduler
        Gives the turns.
    runner : Runner, optional
        Where syncs run; a thread of its own by default.
    make_disk : callable, optional
        Opens the disk, again after each failure to; `folder` by default.

    Attributes
    ----------
    on_mended : callable or None
        Called when a disk that had failed works again.
    lost : int
        Messages that had to make room before they were committed.

    Raises
    ------
    ConfigError
        Another process uses the folder, or a later version of this software has written it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        sync_frames: int = 50,
        sync_s: float = 10.0,
        scheduler: Scheduler,
        runner: Runner | None = None,
        make_disk: Callable[[], Disk] | None = None,
    ) -> None:
        self.on_mended: Callable[[], None] | None = None
        self.lost = 0
        self._folder = folder
        self._scheduler = scheduler
        runner = runner or ThreadRunner(scheduler, "spool")
        self._batches = Batches(scheduler, runner, log=self._working, on_outcome=self._synced)
        self._make_disk = make_disk or (lambda: FolderDisk(folder))
        self._memory = MemoryStore(min(max_bytes, MEMORY_BYTES))
        self._disk: Salvage | None = None
        self._log: Log | None = None
        self._max_bytes = max_bytes
        self._fault = ""
        self._retry: Timer | None = None
        self._retry_s = RETRY_S[0]
        self._proving = self._proven = False
        self._unreadable = 0
        self._gone: list[Gone] = []
        self._closed = False
        self.limit(max_bytes=max_bytes, sync_frames=sync_frames, sync_s=sync_s)
        try:
            self._open()
        except OSError as error:
            self._fail("cannot be opened", error)

    def limit(self, *, max_bytes: int, sync_frames: int, sync_s: float) -> None:
        """Change the limits; less room takes effect with the next segment."""
        self._max_bytes = max_bytes
        self._batches.frames = sync_frames
        self._batches.period_s = sync_s
        if self._log is not None:
            self._log.max_bytes = max_bytes

    @property
    def fault(self) -> str:
        """What is wrong with the disk; empty while nothing is."""
        hangs = f"{self._folder}: a sync has not returned for more than {SLOW_S:.0f} s" if self._batches.hangs else ""
        return self._fault or hangs

    @property
    def damaged(self) -> int:
        """Places on the disk that could not be read, each with one message or a few."""
        return self._log.damaged if self._log is not None else 0

    @property
    def taken(self) -> int:
        """See `KeptStore.taken`."""
        return self._memory.taken + (self._log.taken if self._log is not None else 0)

    def __len__(self) -> int:
        """See `KeptStore.__len__`."""
        return len(self._memory) + (len(self._log) if self._log is not None else 0)

    def streams(self) -> list[StreamId]:
        """See `KeptStore.streams`."""
        return list(dict.fromkeys([*(self._log.streams() if self._log is not None else []), *self._memory.streams()]))

    def append(self, entry: Kept) -> list[Gone]:
        """See `KeptStore.append`."""
        if self._log is None or self._fault:
            self._lose(self._memory.append(entry))
        else:
            try:
                self._log.append(entry)
            except OSError as error:
                self._lose(self._memory.append(entry))
                self._fail("cannot be written", error)
            else:
                self._batches.written(len(entry.payload))
            self._lose(self._log.take_gone())
        gone, self._gone = self._gone, []
        return gone

    def next(self, stream: StreamId, seq: int) -> Kept | None:
        """See `KeptStore.next`; None also while the disk cannot be read."""
        if self._log is not None:
            try:
                entry = self._log.next(stream, seq)
            except OSError as error:
                self._unreadable += 1
                self._fail("cannot be read", error)
                return None
            if entry is not None:
                return entry
        return self._memory.next(stream, seq)

    def forget(self, stream: StreamId, seq: int) -> None:
        """See `KeptStore.forget`."""
        self._memory.forget(stream, seq)
        if self._log is not None:
            try:
                self._log.forget(stream, seq)
            except OSError as error:
                self._fail("cannot be used", error)
            else:
                self._batches.sync_later()

    def close(self) -> None:
        """Put everything on the disk, which may take a moment, and let the folder go."""
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
        self._batches.close()
        if self._log is not None and not self._fault:
            try:
                batch = self._log.end_batch(last=True)
                if batch is not None:
                    batch[0]()
            except OSError as error:
                _LOG.error("%s: the last frames may not be on the disk: %s", self._folder, error)
        self._log = None
        if self._disk is not None:
            self._disk.close()

    # -- faults --------------------------------------------------------------------------------------------------------

    def _working(self) -> Log | None:
        return None if self._fault and not self._proving else self._log

    def _synced(self, log: Log, error: OSError | None, in_sync: bool) -> None:
        """Hear what became of a batch."""
        if self._closed:
            return
        if error is not None:
            if in_sync:
                self._take_back(log)
            self._fail("cannot be synced" if in_sync else "cannot be written", error)
        elif self._proving:
            self._proving, self._proven = False, True
            self._try_again()

    def _take_back(self, log: Log) -> None:
        """Write again, elsewhere, what a failed sync may have lost: the system believes that it has been written."""
        try:
            entries = log.withdraw()
        except OSError as second:
            self._fail("can neither be synced nor read", second)
            return
        waiting: list[Kept] = []
        while (entry := self._memory.oldest()) is not None:
            waiting.append(entry)
            self._memory.forget(entry.stream, entry.seq)
        for entry in [*entries, *waiting]:
            self._lose(self._memory.append(entry))

    def _open(self) -> None:
        disk = Salvage(self._make_disk())
        disk.forgiving = self._unreadable >= _READ_ATTEMPTS
        try:
            self._log = Log(disk, max_bytes=self._max_bytes)
        except OSError:
            self._unreadable += 1
            disk.close()
            raise
        self._disk = disk

    def _fail(self, what: str, error: Exception) -> None:
        """Say what is wrong, keep what comes in memory, and try again later."""
        if not self._fault:
            self._fault = f"{self._folder} {what}: {error}"
            _LOG.error("%s; frames wait in memory until it can", self._fault)
        self._proving = self._proven = False
        if self._retry is None and not self._closed:
            due = self._scheduler.monotonic_ns() + int(self._retry_s * NANOSECONDS)
            self._retry = self._scheduler.call_at(due, self._try_again)
            self._retry_s = min(2 * self._retry_s, RETRY_S[1])

    def _try_again(self) -> None:
        """Bring what waits in memory to the disk, part by part; once that is synced, the disk is trusted again."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self._closed:
            return
        try:
            if self._log is None:
                self._open()
            moved = self._move()
        except (OSError, ConfigError) as error:
            self._fail("still fails", error)
            return
        if not moved:
            self._retry = self._scheduler.call_at(self._scheduler.monotonic_ns(), self._try_again)
            return
        self._proving = not self._proven
        if self._proving and self._batches.sync():
            return
        self._mend()

    def _mend(self) -> None:
        self._proving = self._proven = False
        self._fault = ""
        self._retry_s = RETRY_S[0]
        if self._disk is not None:
            self._disk.forgiving = self._unreadable >= _READ_ATTEMPTS
        _LOG.warning("%s works again; nothing waits in memory any more", self._folder)
        self._batches.sync_later()
        if self.on_mended is not None:
            self.on_mended()

    def _move(self) -> bool:
        """Bring a part of what waits in memory to the disk; True when that was all."""
        log = self._log
        if log is None:
            return True
        for _ in range(_MOVED):
            entry = self._memory.oldest()
            if entry is None:
                return True
            log.append(entry)
            self._memory.forget(entry.stream, entry.seq)
            self._lose(log.take_gone())
        return False

    def _lose(self, gone: list[Gone]) -> None:
        """Take note of what had to make room; the next `append` gives it."""
        self._gone += gone
        count = sum(some.count for some in gone)
        if count and not self.lost:
            _LOG.error("%s is full: the oldest frames go before the hub has committed them", self._folder)
        self.lost += count
