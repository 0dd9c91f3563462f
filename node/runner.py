"""Where a device's blocking calls run: in a thread of their own, or at once in virtual time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

from becomingone.scheduling import Scheduler

T = TypeVar("T")
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
    """One daemon thread: a device that blocks for ever holds up nobody else, not even the end of the process.

    Parameters
    ----------
    scheduler : Scheduler
        Where outcomes are posted.
    name : str
        The thread's name.
    """

    def __init__(self, scheduler: Scheduler, name: str) -> None:
        self._scheduler = scheduler
        self._work: queue.SimpleQueue[tuple[Callable[[], object], Outcome] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, work: Callable[[], object], outcome: Outcome) -> None:
        """See `Runner.submit`."""
        self._work.put((work, outcome))

    def close(self) -> None:
        """See `Runner.close`."""
        self._work.put(None)

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            work, outcome = item
            result, error = _attempt(work)
            try:
                self._scheduler.post(lambda r=result, e=error, o=outcome: o(r, e))  # type: ignore[misc]
            except RuntimeError:  # the loop has ended: nobody waits for the outcome
                return


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


def _attempt(work: Callable[[], object]) -> tuple[object, BaseException | None]:
    try:
        return work(), None
    except Exception as error:  # noqa: BLE001 - the one boundary where a device's error becomes "unavailable"
        return None, error
