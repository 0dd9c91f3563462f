"""Up to when events were watched for: without that, no event could not be told from no news."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.streams.timeline import MAX_TIME_NS

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Watch:
    """The time up to which events were watched for.

    Parameters
    ----------
    since_ns : int
        From when on.

    Attributes
    ----------
    until_ns : int
        The caller moves it on once nothing can fail any more.

    Raises
    ------
    KernelError
        When the time is out of its range.
    """

    __slots__ = ("until_ns",)

    def __init__(self, since_ns: int) -> None:
        if not abs(since_ns) <= MAX_TIME_NS:
            raise KernelError(f"since_ns is {since_ns!r}; it must be within ±2^61 ns")
        self.until_ns = since_ns

    def checked(self, event_ns: NDArray[np.int64], until_ns: int) -> NDArray[np.int64]:
        """Return the events of the time since the last call, if that is what they are.

        An event at the very instant at which a call ended may be told with that call or with the next one.

        Raises
        ------
        KernelError
            When times are no whole numbers, not in order, or outside the time watched.
        """
        events = np.asarray(event_ns)
        if events.ndim != 1 or (events.shape[0] and events.dtype.kind not in "iu"):
            raise KernelError(f"events have shape {events.shape} and type {events.dtype}; they must be (n,) whole ns")
        self.later(until_ns)
        if not events.shape[0]:
            return events.astype(np.int64)
        if (np.diff(events) < 0).any():
            raise KernelError("time runs backwards: the events are not in ascending order")
        if int(events[0]) < self.until_ns or int(events[-1]) > until_ns:
            raise KernelError(f"an event lies outside {self.until_ns}..{until_ns} ns, the time that was watched")
        return events.astype(np.int64)

    def later(self, until_ns: int) -> None:
        """Refuse a time before the end of what was watched."""
        if not self.until_ns <= until_ns <= MAX_TIME_NS:
            raise KernelError(f"time runs backwards: until {until_ns} ns, but events are known to {self.until_ns} ns")
