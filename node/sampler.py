"""A sampler keeps one device going: opens it, reads it at its pace, times it, retries it when it fails."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from becomingone.broker.backoff import Backoff
from becomingone.devices.contract import Block, Sensor
from becomingone.errors import DeviceError
from becomingone.node.runner import Runner
from becomingone.scheduling import NANOSECONDS, MeshClock, Repeating, Scheduler, Timer

STALL_S = 5.0
"""Seconds, and at least three periods, after which a read that has not returned makes the device unavailable."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Status:
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
        self._backoff = Backoff(rng, base_s=0.5, cap_s=30.0)
        self._frame_period = 1.0 / frames_per_s
        self._on_open = on_open
        self._on_blocks = on_blocks
        self._on_status = on_status
        self._device: Sensor | None = None
        self._pace: Repeating | None = None
        self._retry: Timer | None = None
        self._busy_since: int | None = None
        self._stall_ns = int(STALL_S * NANOSECONDS)
        self._closed = False

    def start(self) -> None:
        """Open the device."""
        self._retry = None
        if not self._closed:
            self._runner.submit(self._make, self._opened)

    def close(self) -> None:
        """Stop reading and let the device go."""
        self._closed = True
        self._stop_pace()
        if self._retry is not None:
            self._retry.cancel()
        if self._device is not None:
            self._runner.submit(self._device.close, lambda _result, _error: None)
            self._device = None
        self._runner.close()

    def _opened(self, result: object, error: BaseException | None) -> None:
        if error is not None:
            self._fail(error)
            return
        self._device = cast("Sensor", result)
        if self._closed:
            self._device.close()
            return
        try:
            self._on_open(self._device)
        except DeviceError as refused:
            self._fail(refused)
        else:
            self._read()

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
            self._runner.submit(lambda: self._timed(device), self._taken)

    def _timed(self, device: Sensor) -> tuple[bool, list[Block]]:
        """Read, and tell whether it is a bulk source, which times its samples itself."""
        before = self._clock.monotonic_ns()
        reading = device.read()
        if not isinstance(reading, Mapping):
            return True, list(reading)
        middle = (before + self._clock.monotonic_ns()) // 2
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
            self._pace = Repeating(self._scheduler, max(1, int(period * NANOSECONDS)), self._read)
        self._backoff.succeeded()
        self._set_status(Status(available=True))
        if blocks:
            self._on_blocks(blocks)

    def _fail(self, error: BaseException) -> None:
        self._stop_pace()
        if self._device is not None:
            device, self._device = self._device, None
            self._runner.submit(device.close, lambda _result, _error: None)
        if self._closed:
            return
        _LOG.debug("%s failed", self.name, exc_info=error)
        self._set_status(Status(available=False, reason=f"{error}" or type(error).__name__))
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
