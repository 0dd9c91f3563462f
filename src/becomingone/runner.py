"""Where blocking calls run: in a thread of their own, or at once in virtual time."""

from __future__ import annotations

import errno
import queue
import threading
from collections.abc import Callable
from typing import Final, Protocol

from becomingone.scheduling import Scheduler

IDLE_S: Final = 5.0
Outcome = Callable[[object, BaseException | None], None]


class Runner(Protocol):
    """Runs one call at a time and hands its outcome to the scheduler."""

    def submit(self, work: Callable[[], object], outcome: Outcome) -> None:
        """Run `work`; then `outcome(result, error)` in the scheduler's turn."""
        ...

    def close(self) -> None:
        """Take no more work."""
        ...


class ThreadRunner:
    """A daemon thread while there is work: a device that blocks for ever holds up nobody else, not even the end.

    Parameters
    ----------
    scheduler : Scheduler
        Where outcomes are posted.
    name : str
        The thread's name.
    idle_s : float
        Seconds without work after which the thread ends; the next work has another.
    """

    def __init__(self, scheduler: Scheduler, name: str, *, idle_s: float = IDLE_S) -> None:
        self._scheduler = scheduler
        self._name = name
        self._idle_s = idle_s
        self._work: queue.SimpleQueue[tuple[Callable[[], object], Outcome] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._running = False
        self._closed = False

    def submit(self, work: Callable[[], object], outcome: Outcome) -> None:
        """See `Runner.submit`."""
        with self._lock:
            if self._closed:
                return
            self._work.put((work, outcome))
            if not self._running:
                try:
                    threading.Thread(target=self._run, name=self._name, daemon=True).start()
                except RuntimeError as error:  # no memory, or too many: the caller is not to wait for ever
                    self._work.get_nowait()
                    refused = OSError(errno.EAGAIN, f"{error}")  # what devices and disks fail with
                    self._scheduler.post(lambda: outcome(None, refused))
                else:
                    self._running = True

    def close(self) -> None:
        """See `Runner.close`."""
        with self._lock:
            self._closed = True
            self._work.put(None)

    def _run(self) -> None:
        while (item := self._next()) is not None:
            work, outcome = item
            result, error = _attempt(work)
            try:
                self._scheduler.post(lambda r=result, e=error, o=outcome: o(r, e))  # type: ignore[misc]
            except RuntimeError:  # the loop has ended: nobody waits for the outcome
                return

    def _next(self) -> tuple[Callable[[], object], Outcome] | None:
        """Wait for work; None when there has been none for a while, or there will be none any more."""
        try:
            return self._work.get(timeout=self._idle_s)
        except queue.Empty:
            with self._lock:
                self._running = not self._work.empty()
                return self._work.get() if self._running else None


class InlineRunner:
    """Runs the work at once: for virtual time, where nothing blocks.

    Parameters
    ----------
    scheduler : Scheduler
        Where outcomes are posted.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def submit(self, work: Callable[[], object], outcome: Outcome) -> None:
        """See `Runner.submit`."""
        result, error = _attempt(work)
        self._scheduler.post(lambda: outcome(result, error))

    def close(self) -> None:
        """See `Runner.close`."""


class DirectRunner:
    """Runs the work at once, and hears of the outcome at once: for what never blocks."""

    def submit(self, work: Callable[[], object], outcome: Outcome) -> None:
        """See `Runner.submit`."""
        outcome(*_attempt(work))

    def close(self) -> None:
        """See `Runner.close`."""


def _attempt(work: Callable[[], object]) -> tuple[object, BaseException | None]:
    try:
        return work(), None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the one boundary where an error becomes "unavailable"
        return None, error
