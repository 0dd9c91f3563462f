"""How loud it is, many times a second, or the sound itself as a wave; neither is kept."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, model_validator

from becomingone.devices._even import EvenTime
from becomingone.devices.contract import Block, Channel, Origin, Ports, SoundAt, Wire

_NS = 1_000_000_000
_BLOCKS_HZ = 50
_SATURATED = 0.999


class Options(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """Which microphone, and what is wanted of it."""

    device: Annotated[str | None, Field(description="name of the sound input; the system's default")] = None
    rate_hz: Annotated[int, Field(ge=8_000, le=48_000, description="sound samples a second, Hz")] = 16_000
    mode: Annotated[
        Literal["level", "waveform"], Field(description="level: how loud it is; waveform: the sound itself")
    ] = "level"
    level_rate_hz: Annotated[
        int, Field(ge=1, le=1_000, description="levels a second, Hz; must divide rate_hz; not used in mode waveform")
    ] = 100
    floor: Annotated[
        float, Field(ge=0, le=1, description="smallest oscillation above the microphone's noise, part of full scale")
    ] = 0.001

    def wiring(self) -> list[Wire]:
        """Give the one connection."""
        return [Wire(SoundAt("in", self.device), "the microphone")]

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.mode == "level" and self.rate_hz % self.level_rate_hz:
            msg = f"rate_hz ({self.rate_hz}) must be a whole multiple of level_rate_hz ({self.level_rate_hz})"
            raise ValueError(msg)
        return self


class Device:
    """A sensor of one channel, in parts of full scale.

    In mode ``level`` the channel is ``level``: the root mean square of each stretch of sound, 0..1, timed at its
    middle. In mode ``waveform`` it is ``sound``: every sample, −1..1.

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
        wave = options.mode == "waveform"
        self._window = 1 if wave else options.rate_hz // options.level_rate_hz
        rate_hz = options.rate_hz / self._window
        name, quantity = ("sound", "sound_wave") if wave else ("level", "sound_level")
        self.channels = (Channel(name, "", rate_hz, quantity, options.floor),)
        self._frame_ns = _NS / options.rate_hz
        self._time = EvenTime(self._window * self._frame_ns)
        self._middle_ns = 0.0 if wave else self._window * self._frame_ns / 2
        block = self._window * max(1, round(rate_hz) // _BLOCKS_HZ)
        self._lost_ns = 0.75 * block * self._frame_ns
        self._rest = np.empty(0, np.float32)
        self._next_ns: float | None = None
        self._gap = False
        self._stream = ports.audio.record(rate_hz=options.rate_hz, device=options.device, block=block)

    def read(self) -> list[Block]:
        """Give all sound since the last call; sound that was lost in between begins a new block."""
        blocks: list[Block] = []
        run: list[NDArray[np.float32]] = []
        start_ns = 0.0
        for first_ns, frames in self._stream.take():
            if self._next_ns is not None and abs(first_ns - self._next_ns) > self._lost_ns:
                blocks += self._blocks(start_ns, run)
                self._rest, self._gap, run = self._rest[:0], True, []
                self._time.restart()
            if not run:
                start_ns = first_ns - len(self._rest) * self._frame_ns
            run.append(frames)
            self._next_ns = first_ns + len(frames) * self._frame_ns
        return blocks + self._blocks(start_ns, run)

    def close(self) -> None:
        """Stop recording."""
        self._stream.close()

    def _blocks(self, start_ns: float, run: list[NDArray[np.float32]]) -> list[Block]:
        """Give one block for a run of unbroken sound; what does not fill a window waits for the next run."""
        if not run:
            return []
        sound = np.concatenate([self._rest, *run])
        whole = len(sound) // self._window * self._window
        sound, self._rest = sound[:whole], sound[whole:]
        if not whole:
            return []
        samples = sound.astype(np.float64)
        if self._window > 1:
            samples = np.sqrt(np.mean(np.square(samples.reshape(-1, self._window)), axis=1))
        samples[~np.isfinite(samples)] = np.nan
        loud = bool(np.any(np.abs(sound) >= _SATURATED))
        gap, self._gap = self._gap, False
        first_ns = round(self._time.take(len(samples), start_ns) + self._middle_ns)
        name = self.channels[0].name
        return [Block(name, first_ns, self._time.spacing_ns, samples, gap=gap, saturated=loud)]
