"""A sampler keeps one device going: opens it, reads it at its pace, times it, retries it when it fails."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np

from becomingone.broker.backoff import Backoff
from becomingone.devices.contract import Block, Sensor
from becomingone.errors import DeviceError
from becomingone.runner import DirectRunner, Runner
from becomingone.scheduling import NANOSECONDS, MeshClock, Repeating, Scheduler, Timer

STALL_S = 5.0
"""Seconds after which an opening, or a read, that has not returned makes the device unavailable; for a read that is
one of many, at least three periods."""

_LOG = logging.getLogger(__name__)


class Status(NamedTuple):
    """Whether a device works, and why not."""

    available: bool
    reason: str = ""


class Sampler:
    """One device's sampler.

    Parameters
    ----------
    name : str
        The device's name, for the log.
    make : callable
        Opens the device; called again after every failure, with back-off.
    clock : MeshClock
        Times the readings.
    scheduler : Scheduler
        Gives the turns.
    runner : Runner
        Where the device's calls run.
    rng : random.Random
        Spreads the retries.
    frames_per_s : float
        How often a bulk source is emptied.
    latency_s : float
        The device's delay, taken off the times of what it gives, s.
    on_open : callable
        Called with the device's channels whenever it has been opened.
    on_blocks : callable
        Called with what was read.
    on_status : callable
        Called when the device has become available or unavailable.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Sensor],
        *,
        clock: MeshClock,
        scheduler: Scheduler,
        runner: Runner,
        rng: random.Random,
        frames_per_s: float,
        latency_s: float = 0.0,
        on_open: Callable[[Sensor], None],
        on_blocks: Callable[[Sequence[Block]], None],
        on_status: Callable[[Status], None],
    ) -> None:
        self.name = name
        self.status: Status | None = None
        self.missed = 0
        self._make = make
        self._clock = clock
        self._scheduler = scheduler
        self._runner = runner
        self._direct = DirectRunner()
        self._backoff = Backoff(rng, base_s=0.5, cap_s=30.0)
        self._frame_period = 1.0 / frames_per_s
        self._latency_ns = round(latency_s * NANOSECONDS)
        self._delivered = False
        self._works_since: int | None = None
        self._on_open = on_open
        self._on_blocks = on_blocks
        self._on_status = on_status
        self._device: Sensor | None = None
        self._pace: Repeating | None = None
        self._retry: Timer | None = None
        self._stall: Timer | None = None
        self._opening = False
        self._busy_since: int | None = None
        self._stall_ns = int(STALL_S * NANOSECONDS)
        self._closed = False

    @property
    def hung_ns(self) -> int:
        """How long the present read of a device that has delivered before has been under way, ns."""
        if self._busy_since is None or not self._delivered:
            return 0
        return self._clock.monotonic_ns() - self._busy_since

    def start(self) -> None:
        """Open the device."""
        self._retry = None
        if not self._closed:
            self._opening = True
            self._watch("opening")
            self._runner.submit(self._make, self._opened)

    def close(self) -> None:
        """Stop reading and let the device go."""
        self._closed = True
        self._stop_pace()
        self._watch(None)
        if self._retry is not None:
            self._retry.cancel()
        self._let_go()
        if not self._opening:  # what is being opened has to be closed yet
            self._runner.close()

    def _opened(self, result: object, error: BaseException | None) -> None:
        self._opening = False
        self._watch(None)
        if error is None:
            self._device = cast("Sensor", result)
        if self._closed:
            self._let_go()
            self._runner.close()
        elif error is not None:
            self._fail(error)
        elif self._accepted(cast("Sensor", result)):
            self._watch("read")  # until there is a pace whose turns notice it
            self._read()

    def _accepted(self, device: Sensor) -> bool:
        """Show the device to the owner, who may refuse it."""
        try:
            if not device.channels:
                raise DeviceError("it has no channels")
            self._on_open(device)
        except (DeviceError, ValueError) as refused:  # a name, a rate or a floor that cannot be is a ValueError
            self._fail(refused)
            return False
        return True

    def _let_go(self) -> None:
        if self._device is not None:
            self._runner.submit(self._device.close, lambda _result, _error: None)
            self._device = None

    def _watch(self, what: str | None) -> None:
        """Say so when this has not returned in time; None: nothing is waited for any more."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if what is not None:
            status = Status(available=False, reason=f"its {what} has not returned")
            due = self._scheduler.monotonic_ns() + int(STALL_S * NANOSECONDS)
            self._stall = self._scheduler.call_at(due, lambda: self._set_status(status))

    def _read(self) -> None:
        now = self._clock.monotonic_ns()
        if self._busy_since is not None:
            self.missed += 1
            if now - self._busy_since > self._stall_ns and (self.status is None or self.status.available):
                self._set_status(Status(available=False, reason="its read has not returned"))
            return
        device = self._device
        if device is not None:
            self._busy_since = now
            reader = self._direct if getattr(device, "instant", False) else self._runner
            reader.submit(lambda: self._timed(device), self._taken)

    def _timed(self, device: Sensor) -> tuple[bool, list[Block]]:
        """Read, and tell whether it is a bulk source, which times its samples itself."""
        before = self._clock.monotonic_ns()
        reading = device.read()
        if not isinstance(reading, Mapping):
            blocks = list(reading)
            if self._latency_ns:
                blocks = [replace(block, start_ns=block.start_ns - self._latency_ns) for block in blocks]
            return True, blocks
        middle = (before + self._clock.monotonic_ns()) // 2 - self._latency_ns
        return False, [
            Block(
                channel.name,
                middle,
                NANOSECONDS / channel.rate_hz,
                np.array([np.nan if (value := reading.get(channel.name)) is None else value], np.float64),
            )
            for channel in device.channels
        ]

    def _taken(self, result: object, error: BaseException | None) -> None:
        self._busy_since = None
        self._watch(None)
        if self._closed:
            return
        if error is not None:
            self._fail(error)
            return
        device = self._device
        if device is None:
            return
        bulk, blocks = cast("tuple[bool, list[Block]]", result)
        if self._pace is None:
            period = 1.0 / max(channel.rate_hz for channel in device.channels)
            if bulk:
                period = max(period, self._frame_period)
            self._stall_ns = int(max(STALL_S, 3 * period) * NANOSECONDS)
            self._pace = Repeating(self._scheduler, max(1, int(period * NANOSECONDS)), self._read, aligned=bulk)
        self._delivered = True
        if self._works_since is None:
            self._works_since = self._clock.monotonic_ns()
        self._set_status(Status(available=True))
        if blocks:
            try:
                self._on_blocks(blocks)
            except ValueError as refused:  # blocks that break the contract: no spacing, two dimensions
                self._fail(refused)

    def _fail(self, error: BaseException) -> None:
        self._stop_pace()
        self._let_go()
        _LOG.debug("%s failed", self.name, exc_info=error)
        self._set_status(Status(available=False, reason=f"{error}" or type(error).__name__))
        if self._works_since is not None:  # one that works for a moment only, over and over, is no success
            self._backoff.held(self._clock.monotonic_ns() - self._works_since)
            self._works_since = None
        self._retry = self._scheduler.call_at(self._scheduler.monotonic_ns() + self._backoff.next_ns(), self.start)

    def _stop_pace(self) -> None:
        if self._pace is not None:
            self._pace.cancel()
            self._pace = None

    def _set_status(self, status: Status) -> None:
        if status != self.status:
            self.status = status
            if status.available:
                _LOG.info("%s: available", self.name)
            else:
                _LOG.warning("%s: unavailable: %s", self.name, status.reason)
            self._on_status(status)
