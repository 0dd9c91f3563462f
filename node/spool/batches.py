"""When to put on the disk what was written: after so many messages or bytes, or so long; one sync at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from becomingone.node.spool.log import Log, Position
from becomingone.runner import Runner
from becomingone.scheduling import NANOSECONDS, Scheduler, Timer

BATCH_BYTES: Final = 1 << 16
"""Bytes after which a batch is synced, however few messages they are."""

SLOW_S: Final = 30.0
"""Seconds after which a sync that has not returned is a fault."""


class Batches:
    """Syncs a log.

    Parameters
    ----------
    scheduler : Scheduler
        Gives the turns.
    runner : Runner
        Where syncs run: on a slow card one takes 200 ms and more.
    log : callable
        Gives the log, while there is one that works.
    on_outcome : callable
        Called with a log and None when it has been synced, or with what went wrong, and whether that was in the sync
        itself, so that what was written before may be lost.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        runner: Runner,
        *,
        log: Callable[[], Log | None],
        on_outcome: Callable[[Log, OSError | None, bool], None],
    ) -> None:
        self.frames = 50
        self.period_s = 10.0
        self._scheduler = scheduler
        self._runner = runner
        self._log = log
        self._on_outcome = on_outcome
        self._count = 0
        self._bytes = 0
        self._due: Timer | None = None
        self._since: int | None = None
        self._again = False
        self._closed = False

    @property
    def hangs(self) -> bool:
        """Whether a sync has been under way for too long."""
        return self._since is not None and self._scheduler.monotonic_ns() - self._since > SLOW_S * NANOSECONDS

    def written(self, size: int) -> None:
        """Take note of a message of so many bytes."""
        self._count += 1
        self._bytes += size
        if self._count >= self.frames or self._bytes >= BATCH_BYTES:
            self.sync()
        else:
            self.sync_later()

    def sync_later(self) -> None:
        """Sync at the latest when the time of a batch is over."""
        if self._due is None and not self._closed:
            due = self._scheduler.monotonic_ns() + int(self.period_s * NANOSECONDS)
            self._due = self._scheduler.call_at(due, self._in_time)

    def sync(self) -> bool:
        """Sync now; when a sync is under way, after that one. False where there is nothing: no outcome will come."""
        self._cancel()
        if self._since is not None:
            self._again = True
            return True
        log = self._log()
        if log is None or self._closed:
            return False
        self._count = self._bytes = 0
        try:
            batch = log.end_batch()
        except OSError as error:
            self._on_outcome(log, error, False)
            return True
        if batch is None:
            return False
        sync, position = batch
        self._since = self._scheduler.monotonic_ns()
        self._runner.submit(sync, lambda _result, error: self._synced(log, position, error))
        return True

    def close(self) -> None:
        """Begin no more syncs."""
        self._closed = True
        self._cancel()
        self._runner.close()

    def _in_time(self) -> None:
        self.sync()

    def _cancel(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _synced(self, log: Log, position: Position, error: BaseException | None) -> None:
        self._since = None
        again, self._again = self._again, False
        if self._closed:
            return
        if error is None:
            log.synced(position)
        elif not isinstance(error, OSError):
            raise error
        self._on_outcome(log, error, True)
        if again:
            self.sync()
