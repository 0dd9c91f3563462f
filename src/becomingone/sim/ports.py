"""The hardware of a simulated node."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, TextIO

from becomingone.devices.contract import AudioPort
from becomingone.errors import DeviceUnavailableError
from becomingone.scheduling import NANOSECONDS, MeshClock, Scheduler, Timer
from becomingone.sim.pins import PinChange, mock_pins
from becomingone.sim.sound import SimSound


class ScheduledDeadman:
    """See `becomingone.devices.contract.Deadman`; on a scheduler's timer, for virtual time.

    Parameters
    ----------
    timeout_s : float
        Seconds after a feed.
    expire : callable
        Called in a turn of the scheduler; while it raises, it is called again after each timeout.
    scheduler : Scheduler
        Gives the turns.
    """

    def __init__(self, timeout_s: float, expire: Callable[[], None], *, scheduler: Scheduler) -> None:
        self._timeout_ns = round(timeout_s * NANOSECONDS)
        self._expire = expire
        self._scheduler = scheduler
        self._timer: Timer | None = None
        self._closed = False

    def feed(self) -> None:
        """See `Deadman.feed`."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._closed:
            self._timer = self._scheduler.call_at(self._scheduler.monotonic_ns() + self._timeout_ns, self._due)

    def close(self) -> None:
        """See `Deadman.close`."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _due(self) -> None:
        self._timer = None
        try:
            self._expire()
        except Exception:
            self.feed()
            raise


class SimPorts:
    """A clock, a terminal that keeps its text, pins that keep every change, and nothing else.

    Parameters
    ----------
    clock : MeshClock
        The node's clock in virtual time.
    scheduler : Scheduler, optional
        The node's own; a `Bench` sets it. Without one there are no deadlines.

    Attributes
    ----------
    screen : StringIO
        What the terminal has shown.
    pin_changes : list of PinChange
        What the pins have done.
    """

    def __init__(self, clock: MeshClock, scheduler: Scheduler | None = None) -> None:
        self.clock = clock
        self.scheduler = scheduler
        self.screen = io.StringIO()
        self.pin_changes: list[PinChange] = []
        self._pins: Any = None
        self._audio: SimSound | None = None

    @property
    def audio(self) -> AudioPort:
        """A sound card that plays to nobody and records nothing."""
        if self._audio is None:
            self._audio = SimSound(self.clock)
        return self._audio

    @property
    def pins(self) -> Any:  # noqa: ANN401 - gpiozero has no types
        """A mock of gpiozero's; ``pins.pin(17).drive_low()`` presses a button."""
        if self._pins is None:
            self._pins = mock_pins(self.clock, self.pin_changes)
        return self._pins

    @property
    def terminal(self) -> TextIO:
        """What a display writes to."""
        return self.screen

    def deadman(self, timeout_s: float, expire: Callable[[], None]) -> ScheduledDeadman:
        """Make a deadline in virtual time.

        Raises
        ------
        DeviceUnavailableError
            These ports belong to no node.
        """
        if self.scheduler is None:
            msg = "these ports belong to no node, and have no deadlines"
            raise DeviceUnavailableError(msg)
        return ScheduledDeadman(timeout_s, expire, scheduler=self.scheduler)
