"""A running recording: blocks of sound with the time of their first sample."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from becomingone.devices.contract import ClockPort
from becomingone.errors import DeviceUnavailableError
from becomingone.node.audio.timer import BlockTimer

if TYPE_CHECKING:
    from becomingone.node.audio.card import SoundCard

_KEPT_BLOCKS = 256
"""Blocks that wait to be taken; older ones are dropped, and their absence shows as a gap."""


class SoundStream:
    """A running recording; made by `SoundCard.record`."""

    def __init__(self, card: SoundCard, clock: ClockPort, *, rate_hz: int, device: str | None, block: int) -> None:
        self._card = card
        self._clock = clock
        self._blocks: deque[tuple[int, NDArray[np.float32]]] = deque(maxlen=_KEPT_BLOCKS)
        self._lock = threading.Lock()
        self._timer = BlockTimer(block / rate_hz * 1e9)
        self._stream = card.open("input", device, samplerate=rate_hz, blocksize=block, callback=self._heard)
        self._closed = False

    def take(self) -> list[tuple[int, NDArray[np.float32]]]:
        """See `becomingone.devices.contract.AudioStream.take`."""
        with self._lock:
            taken = list(self._blocks)
            self._blocks.clear()
        if not taken and not self._stream.active:
            msg = "the recording has ended"
            raise DeviceUnavailableError(msg)
        return taken

    def close(self) -> None:
        """See `becomingone.devices.contract.AudioStream.close`."""
        if not self._closed:
            self._closed = True
            self._card.close(self._stream)

    def _heard(self, data: NDArray[np.float32], _frames: int, times: Any, status: Any) -> bool:  # noqa: ANN401
        # PortAudio's clock and ours differ in their zero; both ages are measured at this one instant.
        age_s = max(0.0, times.currentTime - times.inputBufferAdcTime)
        measured = self._clock.monotonic_ns() - int(age_s * 1e9)
        start = self._timer.start_ns(measured, interrupted=bool(status.input_overflow))
        with self._lock:
            self._blocks.append((start, data[:, 0].copy()))
        return True
