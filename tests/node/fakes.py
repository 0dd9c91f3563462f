"""Fake devices and runners that record what was asked of them, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from becomingone.devices.contract import Block, Channel, Origin, Reading
from becomingone.runner import Outcome
from becomingone.sim.clock import VirtualScheduler

SECOND_NS = 1_000_000_000


def channel(name: str = "a", rate_hz: float = 10.0, floor: float = 0.0) -> Channel:
    return Channel(name, "V", rate_hz, "voltage", floor)


def block(start_ns: int, samples: Sequence[float], *, spacing_s: float = 0.01, name: str = "a", **flags: bool) -> Block:
    return Block(name, start_ns, spacing_s * 1e9, np.asarray(samples, np.float64), **flags)


class SlowClock:
    """Virtual time plus what reads have taken: virtual time itself stands still within a turn."""

    def __init__(self, scheduler: VirtualScheduler) -> None:
        self._scheduler = scheduler
        self.taken_ns = 0

    def monotonic_ns(self) -> int:
        return self._scheduler.monotonic_ns() + self.taken_ns

    def time_us(self) -> int:
        return self._scheduler.time_us()


class FakeSensor:
    """Gives what `reading` gives, and keeps when it was read and how often it was closed."""

    origin: Origin = "live"

    def __init__(
        self,
        *channels: Channel,
        reading: Callable[[], Reading] = lambda: {"a": 1.0},
        closing: Callable[[], None] = lambda: None,
    ) -> None:
        self.channels = channels
        self.reads = 0
        self.closed = 0
        self._reading = reading
        self._closing = closing

    def read(self) -> Reading:
        self.reads += 1
        return self._reading()

    def close(self) -> None:
        self.closed += 1
        self._closing()


class HeldRunner:
    """Keeps the work until the test lets it run, one call at a time, as a thread does; after `close` nothing runs."""

    def __init__(self, scheduler: VirtualScheduler) -> None:
        self._scheduler = scheduler
        self.held: list[tuple[Callable[[], object], Outcome] | None] = []

    def submit(self, work: Callable[[], object], outcome: Outcome) -> None:
        self.held.append((work, outcome))

    def close(self) -> None:
        self.held.append(None)

    @property
    def closed(self) -> bool:
        return None in self.held

    def answer(self) -> None:
        """Run what was submitted first."""
        item = self.held.pop(0)
        assert item is not None, "the runner was closed before"
        work, outcome = item
        try:
            result, error = work(), None
        except Exception as raised:  # noqa: BLE001 - as the real one
            result, error = None, raised
        self._scheduler.post(lambda: outcome(result, error))
        self._scheduler.run_for(0.0)


class FakeOutput:
    """An output that keeps every call; `failing` makes a method of that name raise."""

    def __init__(self, role: str = "display") -> None:
        self.role = role
        self.calls: list[dict[str, float] | str] = []
        self.failing: set[str] = set()

    def apply(self, values: Mapping[str, float]) -> None:
        self.calls.append(dict(values))
        if "apply" in self.failing:
            msg = "the lamp is broken"
            raise OSError(msg)

    def rest(self) -> None:
        self.calls.append("rest")
        if "rest" in self.failing:
            msg = "the switch is stuck"
            raise OSError(msg)
