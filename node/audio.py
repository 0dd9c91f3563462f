"""The sound card through PortAudio (sounddevice)."""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from becomingone.devices.contract import ClockPort
from becomingone.errors import DeviceUnavailableError, MissingLibraryError

_KEPT_BLOCKS = 256
"""Blocks that wait to be taken; older ones are dropped, and their absence shows as a gap."""


class SoundCard:
    """PortAudio's inputs.

    Parameters
    ----------
    clock : ClockPort
        Times the blocks.
    """

    def __init__(self, clock: ClockPort) -> None:
        self._clock = clock

    def record(self, *, rate_hz: int, device: str | None, block: int) -> SoundStream:
        """See `becomingone.devices.contract.AudioPort.record`."""
        try:
            import sounddevice  # noqa: PLC0415 - 0.1 s and a system library that few nodes have
        except ImportError as error:
            msg = "a microphone needs sounddevice: pip install 'becomingone[audio]'"
            raise MissingLibraryError(msg) from error
        except OSError as error:
            msg = "sounddevice needs PortAudio: apt install libportaudio2"
            raise MissingLibraryError(msg) from error
        try:
            return SoundStream(sounddevice, self._clock, rate_hz=rate_hz, device=device, block=block)
        except (sounddevice.PortAudioError, ValueError) as error:
            which = "the default input" if device is None else f"input {device!r}"
            msg = f"{which} cannot be recorded from: {error}"
            raise DeviceUnavailableError(msg) from error


class BlockTimer:
    """Times blocks by their count, held to the measured times by a delay-locked loop.

    A sound server hands blocks over in bursts, so that single measurements are off by tens of ms, while the samples
    themselves are evenly spaced. The loop is F. Adriaensen's ("Using a DLL to filter time", 2005), of bandwidth
    `BANDWIDTH_HZ`.

    Parameters
    ----------
    block_ns : float
        Nominal length of a block, ns.
    """

    BANDWIDTH_HZ = 0.1
    RESET_NS = 250_000_000
    """A measurement further off than this is an interruption, not jitter."""

    def __init__(self, block_ns: float) -> None:
        turn = 2.0 * math.pi * self.BANDWIDTH_HZ * block_ns / 1e9
        self._nominal = block_ns
        self._b = math.sqrt(2.0) * turn
        self._c = turn * turn
        self._next: float | None = None
        self._period = block_ns

    def start_ns(self, measured_ns: int, *, interrupted: bool) -> int:
        """Give the time of a block's first sample.

        Parameters
        ----------
        measured_ns : int
            What the clocks said when the block was handed over.
        interrupted : bool
            Whether samples were lost before it.
        """
        if self._next is None or interrupted or abs(measured_ns - self._next) > self.RESET_NS:
            self._next, self._period = float(measured_ns), self._nominal
        start = self._next
        error = measured_ns - start
        self._next += self._period + self._b * error
        self._period += self._c * error
        return round(start)


class SoundStream:
    """A running recording; made by `SoundCard.record`."""

    def __init__(self, library: Any, clock: ClockPort, *, rate_hz: int, device: str | None, block: int) -> None:  # noqa: ANN401
        self._clock = clock
        self._blocks: deque[tuple[int, NDArray[np.float32]]] = deque(maxlen=_KEPT_BLOCKS)
        self._lock = threading.Lock()
        self._timer = BlockTimer(block / rate_hz * 1e9)
        self._stream = library.InputStream(
            samplerate=rate_hz, blocksize=block, device=device, channels=1, dtype="float32", callback=self._heard
        )
        self._stream.start()

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
        self._stream.close()

    def _heard(self, data: NDArray[np.float32], _frames: int, times: Any, status: Any) -> None:  # noqa: ANN401
        # PortAudio's clock and ours differ in their zero; both ages are measured at this one instant.
        age_s = max(0.0, times.currentTime - times.inputBufferAdcTime)
        measured = self._clock.monotonic_ns() - int(age_s * 1e9)
        start = self._timer.start_ns(measured, interrupted=bool(status.input_overflow))
        with self._lock:
            self._blocks.append((start, data[:, 0].copy()))
