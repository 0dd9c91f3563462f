"""How loud it is: the level of a microphone, many times a second; no sound is kept."""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, model_validator

from becomingone.devices.contract import Block, Channel, Origin, Ports

_NS = 1_000_000_000
_BLOCKS_HZ = 50
_SATURATED = 0.999


class Options(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """Which microphone, and how often its level is wanted."""

    device: Annotated[str | None, Field(description="name of the sound input; the system's default")] = None
    rate_hz: Annotated[int, Field(ge=8_000, le=48_000, description="sound samples a second, Hz")] = 16_000
    level_rate_hz: Annotated[int, Field(ge=1, le=1_000, description="levels a second, Hz; must divide rate_hz")] = 100
    latency_s: Annotated[float, Field(ge=0, le=1, description="delay of the sound input, s, taken off the times")] = 0.0

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.rate_hz % self.level_rate_hz:
            msg = f"rate_hz ({self.rate_hz}) must be a whole multiple of level_rate_hz ({self.level_rate_hz})"
            raise ValueError(msg)
        return self


class Device:
    """A sensor of one channel, ``level``: the root mean square of each stretch of sound, 0..1, timed at its middle.

    Parameters
    ----------
    options : Options
        Which microphone.
    ports : Ports
        Lends the sound card; its errors, such as a missing microphone, pass through.

    Examples
    --------
    >>> Options(level_rate_hz=50).rate_hz
    16000
    """

    origin: Origin = "live"

    def __init__(self, options: Options, ports: Ports) -> None:
        self.channels = (Channel("level", "", float(options.level_rate_hz), "sound_level", 0.001),)
        self._window = options.rate_hz // options.level_rate_hz
        self._frame_ns = _NS / options.rate_hz
        self._middle_ns = self._window * self._frame_ns / 2 - options.latency_s * _NS
        block = self._window * max(1, options.level_rate_hz // _BLOCKS_HZ)
        self._lost_ns = 0.75 * block * self._frame_ns
        self._rest = np.empty(0, np.float32)
        self._next_ns: float | None = None
        self._gap = False
        self._stream = ports.audio.record(rate_hz=options.rate_hz, device=options.device, block=block)

    def read(self) -> list[Block]:
        """Give the levels of all sound since the last call; sound that was lost in between begins a new block."""
        blocks: list[Block] = []
        run: list[NDArray[np.float32]] = []
        start_ns = 0.0
        for first_ns, frames in self._stream.take():
            if self._next_ns is not None and abs(first_ns - self._next_ns) > self._lost_ns:
                blocks += self._levels(start_ns, run)
                self._rest, self._gap, run = self._rest[:0], True, []
            if not run:
                start_ns = first_ns - len(self._rest) * self._frame_ns
            run.append(frames)
            self._next_ns = first_ns + len(frames) * self._frame_ns
        return blocks + self._levels(start_ns, run)

    def close(self) -> None:
        """Stop recording."""
        self._stream.close()

    def _levels(self, start_ns: float, run: list[NDArray[np.float32]]) -> list[Block]:
        """Give one block for a run of unbroken sound; what does not fill a window waits for the next run."""
        if not run:
            return []
        sound = np.concatenate([self._rest, *run])
        whole = len(sound) // self._window * self._window
        sound, self._rest = sound[:whole], sound[whole:]
        if not whole:
            return []
        windows = sound.astype(np.float64).reshape(-1, self._window)
        levels = np.sqrt(np.mean(np.square(windows), axis=1))
        levels[~np.isfinite(levels)] = np.nan
        loud = bool(np.any(np.abs(sound) >= _SATURATED))
        gap, self._gap = self._gap, False
        spacing_ns = self._window * self._frame_ns
        return [Block("level", round(start_ns + self._middle_ns), spacing_ns, levels, gap=gap, saturated=loud)]
