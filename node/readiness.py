"""Tells the supervisor when the node is at work, and in one line how things are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from becomingone.node.process import Host
from becomingone.node.sampler import Status
from becomingone.scheduling import NANOSECONDS, Scheduler, Timer

WITHIN_S: Final = 20.0
"""Seconds after which a node counts as started although the broker is out of reach, or a device is missing."""

_NAMED = 3
"""Devices that a status names."""


class Readiness:
    """Ready means connected, and every device at work; or, after a time, whatever there is, explicitly.

    A start never fails because a broker or a device is away: the node goes on trying, and says what is missing.

    Parameters
    ----------
    host : Host
        Is told once that the node is ready, and from then on of every change.
    scheduler : Scheduler
        Gives the turns.
    within_s : float
        Seconds from `start` after which the node is ready in any case.
    note : str
        Put before every status: that this is safe mode, say.
    """

    def __init__(self, host: Host, scheduler: Scheduler, *, within_s: float = WITHIN_S, note: str = "") -> None:
        self._host = host
        self._scheduler = scheduler
        self._within_ns = int(within_s * NANOSECONDS)
        self._note = note
        self._link = "not connected yet"
        self._names: tuple[str, ...] | None = None
        self._statuses: Mapping[str, Status] = {}
        self._told: str | None = None
        self._deadline: Timer | None = None
        self._closed = False

    def start(self) -> None:
        """Begin to count the time."""
        due = self._scheduler.monotonic_ns() + self._within_ns
        self._deadline = self._scheduler.call_at(due, self._be_ready)

    def close(self) -> None:
        """Tell no more: the node ends."""
        self._closed = True
        if self._deadline is not None:
            self._deadline.cancel()

    def up(self) -> None:
        """Take note that what the node publishes arrives."""
        self._link = ""
        self._tell()

    def down(self, reason: str) -> None:
        """Take note that the broker is out of reach, and why."""
        self._link = reason or "no connection"
        self._tell()

    def devices(self, names: Sequence[str], statuses: Mapping[str, Status]) -> None:
        """Take note of how the devices are.

        Parameters
        ----------
        names : sequence of str
            All that are configured.
        statuses : mapping of str to Status
            Of those that have worked or failed.
        """
        self._names, self._statuses = tuple(names), dict(statuses)
        self._tell()

    @property
    def text(self) -> str:
        """How things are, in one line."""
        at_work = "connected" if not self._link else f"degraded: the broker is out of reach ({self._link})"
        missing = self._missing()
        devices = len(self._names or ())
        parts = [at_work, f"{devices - len(missing)} of {devices} devices at work"]
        if missing:
            more = len(missing) - _NAMED
            parts += [f"{name}: {self._reason(name)}" for name in missing[:_NAMED]]
            parts += [f"and {more} more"] if more > 0 else []
        return f"{self._note}; {'; '.join(parts)}" if self._note else "; ".join(parts)

    def _missing(self) -> list[str]:
        return [name for name in self._names or () if name not in self._statuses or not self._statuses[name].available]

    def _reason(self, name: str) -> str:
        return self._statuses[name].reason if name in self._statuses else "not opened yet"

    def _tell(self) -> None:
        if self._closed:
            return
        if self._told is None:
            if not self._link and self._names is not None and not self._missing():
                self._be_ready()
        elif self.text != self._told:
            self._told = self.text
            self._host.status(self._told)

    def _be_ready(self) -> None:
        if self._told is None and not self._closed:
            self._told = self.text
            self._host.ready(self._told)
