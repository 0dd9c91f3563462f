"""The sound card through PortAudio (sounddevice)."""

from __future__ import annotations

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


class SoundStream:
    """A running recording; made by `SoundCard.record`."""

    def __init__(self, library: Any, clock: ClockPort, *, rate_hz: int, device: str | None, block: int) -> None:  # noqa: ANN401
        self._clock = clock
        self._blocks: deque[tuple[int, NDArray[np.float32]]] = deque(maxlen=_KEPT_BLOCKS)
        self._lock = threading.Lock()
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

    def _heard(self, data: NDArray[np.float32], _frames: int, times: Any, _status: object) -> None:  # noqa: ANN401
        # PortAudio's clock and ours differ in their zero; both ages are measured at this one instant.
        age_s = max(0.0, times.currentTime - times.inputBufferAdcTime)
        start = self._clock.monotonic_ns() - int(age_s * 1e9)
        with self._lock:
            self._blocks.append((start, data[:, 0].copy()))
