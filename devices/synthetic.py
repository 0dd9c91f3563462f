"""A tone with noise and a wandering phase, made by formula: the same numbers for a seed on every machine."""

from __future__ import annotations

import math
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, model_validator

from becomingone.devices._noise import CHUNK, walk, white
from becomingone.devices._pace import Pace, exact
from becomingone.devices.contract import Block, Channel, Origin, Ports


class Options(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """What the tone is like."""

    frequency_hz: Annotated[float, Field(ge=0, description="frequency, Hz; below half of rate_hz")] = 1.0
    amplitude: Annotated[float, Field(ge=0, description="amplitude, in unit")] = 1.0
    phase_rad: Annotated[float, Field(description="phase at the Unix epoch of the mesh's time, rad")] = 0.0
    noise: Annotated[float, Field(ge=0, description="standard deviation of the white noise, in unit")] = 0.0
    drift: Annotated[
        float, Field(ge=0, description="phase diffusion D, rad²/s: the phase wanders by √(2·D·t) in t seconds")
    ] = 0.0
    rate_hz: Annotated[float, Field(ge=0.001, le=10_000, description="samples a second, Hz")] = 100.0
    seed: Annotated[int, Field(ge=0, lt=1 << 63, description="chooses the noise and the drift")] = 0
    unit: Annotated[str, Field(max_length=32, description="unit of the samples, as people write it")] = ""
    floor: Annotated[float, Field(ge=0, description="amplitude below which the phase is undefined, in unit")] = 0.0

    @model_validator(mode="after")
    def _can_be_sampled(self) -> Self:
        if self.frequency_hz >= self.rate_hz / 2:
            msg = f"frequency_hz ({self.frequency_hz:g}) must be below half of rate_hz ({self.rate_hz:g})"
            raise ValueError(msg)
        return self


class Device:
    """A sensor of one channel, ``tone``: amplitude·cos(2π·frequency·t + phase + drift) + noise.

    t is the mesh's time since the Unix epoch and sample k is at t = k/rate, so every machine with the same options
    has the same samples at the same instants, and the phase between two machines is known beforehand.

    Parameters
    ----------
    options : Options
        What the tone is like.
    ports : Ports
        Lends the clock.

    Examples
    --------
    >>> Options(frequency_hz=0.25, noise=0.1, seed=7).rate_hz
    100.0
    """

    origin: Origin = "simulated"
    instant = True

    def __init__(self, options: Options, ports: Ports) -> None:
        rate = exact(options.rate_hz)
        self.channels = (Channel("tone", options.unit, options.rate_hz, "signal", options.floor),)
        self._options = options
        self._cycles = exact(options.frequency_hz) / rate
        self._step_rad = math.sqrt(2 * options.drift / options.rate_hz)
        self._pace = Pace(ports.clock, rate)
        self._made: tuple[int, NDArray[np.float64]] = (-1, np.empty(0))

    def read(self) -> list[Block]:
        """Give every sample that has come due since the last call, at most 5 s of them."""
        due = self._pace.due()
        if due is None:
            return []
        chunks = range(due.first // CHUNK, (due.stop - 1) // CHUNK + 1)
        offset = chunks.start * CHUNK
        samples = np.concatenate([self._chunk(chunk) for chunk in chunks])[due.first - offset : due.stop - offset]
        return [Block("tone", self._pace.instant_ns(due.first), self._pace.spacing_ns, samples, gap=due.gap)]

    def close(self) -> None:
        """Nothing to let go of."""

    def _chunk(self, chunk: int) -> NDArray[np.float64]:
        if self._made[0] != chunk:
            self._made = (chunk, self._make(chunk))
        return self._made[1]

    def _make(self, chunk: int) -> NDArray[np.float64]:
        options = self._options
        begun = float(self._cycles * chunk * CHUNK % 1)  # exact, however long the tone has been going on
        phase = 2 * np.pi * (begun + float(self._cycles) * np.arange(CHUNK)) + options.phase_rad
        if self._step_rad:
            phase += self._step_rad * walk(options.seed, chunk)
        samples: NDArray[np.float64] = options.amplitude * np.cos(phase)
        if options.noise:
            samples += options.noise * white(options.seed, chunk)
        return samples
