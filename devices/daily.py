"""Rhythms by formula that come and go with the time of day: a household for trying things out without one."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, model_validator

from becomingone.devices._noise import CHUNK, walk, white
from becomingone.devices._pace import Pace, exact
from becomingone.devices.contract import Block, Channel, Origin, Ports
from becomingone.errors import DeviceUnavailableError

DAY_S: Final = 86_400

TimeOfDay = Annotated[float, Field(ge=0, le=DAY_S, description="time of the mesh's day (UTC), s")]


class Rhythm(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """One rhythm, and when it is there."""

    frequency_hz: Annotated[float, Field(gt=0, description="frequency, Hz; below half of rate_hz")]
    amplitude: Annotated[float, Field(ge=0, description="amplitude, in unit")] = 1.0
    phase_rad: Annotated[float, Field(description="phase at the Unix epoch of the mesh's time, rad")] = 0.0
    drift: Annotated[
        float, Field(ge=0, description="phase diffusion D, rad²/s: the phase wanders by √(2·D·t) in t seconds")
    ] = 0.0
    seed: Annotated[
        int, Field(ge=0, lt=1 << 63, description="chooses the drift: rhythms of one seed wander together")
    ] = 0
    from_s: TimeOfDay = 0.0
    until_s: TimeOfDay = float(DAY_S)


class Options(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """What is measured, and what goes on in it."""

    quantity: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="the kind of quantity, and the channel")]
    unit: Annotated[str, Field(max_length=32, description="unit of the samples, as people write it")] = ""
    rate_hz: Annotated[float, Field(ge=0.001, le=1000, description="samples a second, Hz")] = 1.0
    floor: Annotated[float, Field(ge=0, description="amplitude below which the phase is undefined, in unit")] = 0.0
    mean: Annotated[float, Field(description="mean, in unit")] = 0.0
    swing: Annotated[float, Field(ge=0, description="amplitude of the slow course of the day, in unit")] = 0.0
    noise: Annotated[float, Field(ge=0, description="standard deviation of the white noise, in unit")] = 0.0
    seed: Annotated[int, Field(ge=0, lt=1 << 63, description="chooses the noise")] = 0
    rhythms: Annotated[tuple[Rhythm, ...], Field(max_length=16, description="what comes and goes")] = ()
    there: Annotated[
        tuple[tuple[TimeOfDay, TimeOfDay], ...],
        Field(max_length=16, description="when the sensor is there at all (from, until); default: always"),
    ] = ()

    @model_validator(mode="after")
    def _can_be_sampled(self) -> Self:
        for number, rhythm in enumerate(self.rhythms):
            if rhythm.frequency_hz >= self.rate_hz / 2:
                msg = (
                    f"rhythms[{number}].frequency_hz ({rhythm.frequency_hz:g}) must be below half of rate_hz "
                    f"({self.rate_hz:g})"
                )
                raise ValueError(msg)
        return self


class Device:
    """A sensor of one channel: mean, course of the day, rhythms and noise.

    Sample k is at the mesh's time k/rate since the Unix epoch, so every machine with the same options has the same
    samples at the same instants. A rhythm whose `from_s` is after its `until_s` goes on over midnight.

    Parameters
    ----------
    options : Options
        What it measures.
    ports : Ports
        Lends the clock.

    Raises
    ------
    DeviceUnavailableError
        The sensor is not there at this time of the day.

    Examples
    --------
    >>> Options(quantity="sound", rhythms=[{"frequency_hz": 0.25, "from_s": 28800}]).rhythms[0].until_s
    86400.0
    """

    origin: Origin = "simulated"
    instant = True

    def __init__(self, options: Options, ports: Ports) -> None:
        self._options = options
        self._rate = exact(options.rate_hz)
        self._clock = ports.clock
        self._there()
        self.channels = (Channel(options.quantity, options.unit, options.rate_hz, options.quantity, options.floor),)
        self._pace = Pace(ports.clock, self._rate)
        self._made: tuple[int, NDArray[np.float64]] = (-1, np.empty(0))

    def read(self) -> list[Block]:
        """Give every sample that has come due since the last call, at most 5 s of them."""
        self._there()
        due = self._pace.due()
        if due is None:
            return []
        chunks = range(due.first // CHUNK, (due.stop - 1) // CHUNK + 1)
        offset = chunks.start * CHUNK
        parts = [self._chunk(chunk) for chunk in chunks]
        samples = (parts[0] if len(parts) == 1 else np.concatenate(parts))[due.first - offset : due.stop - offset]
        start_ns, spacing_ns = self._pace.instant_ns(due.first), self._pace.spacing_ns
        return [Block(self._options.quantity, start_ns, spacing_ns, samples, gap=due.gap)]

    def close(self) -> None:
        """Nothing to let go of."""

    def _there(self) -> None:
        there = self._options.there
        if there:
            now_s = self._clock.mesh_us(self._clock.monotonic_ns()) / 1e6 % DAY_S
            if not any(_within(np.array([now_s]), begin, end)[0] for begin, end in there):
                msg = "it is not there at this time of the day"
                raise DeviceUnavailableError(msg)

    def _chunk(self, chunk: int) -> NDArray[np.float64]:
        if self._made[0] != chunk:
            self._made = (chunk, self._make(chunk))
        return self._made[1]

    def _make(self, chunk: int) -> NDArray[np.float64]:
        options = self._options
        steps = np.arange(CHUNK, dtype=np.float64)
        begun = chunk * CHUNK / self._rate  # exact, s
        time_s = float(begun % DAY_S) + steps * float(1 / self._rate)
        day_s = time_s % float(DAY_S)
        samples = options.mean - options.swing * np.cos(2 * np.pi * day_s / DAY_S)
        for rhythm in options.rhythms:
            frequency = exact(rhythm.frequency_hz)
            cycles = float(begun * frequency % 1) + float(frequency / self._rate) * steps
            phase = 2 * np.pi * cycles + rhythm.phase_rad
            if rhythm.drift:
                phase += math.sqrt(2 * rhythm.drift) * _wander(rhythm.seed, begun, steps * float(1 / self._rate))
            there = _within(day_s, rhythm.from_s, rhythm.until_s)
            samples += np.where(there, rhythm.amplitude * np.cos(phase), 0.0)
        if options.noise:
            samples += options.noise * white(options.seed, chunk)
        return samples


def _within(day_s: NDArray[np.float64], begin_s: float, end_s: float) -> NDArray[np.bool_]:
    """Tell which times of the day are from `begin_s` on and before `end_s`, over midnight where that is earlier."""
    after, before = day_s >= begin_s, day_s < end_s
    return after & before if begin_s <= end_s else after | before


def _wander(seed: int, begun_s: Fraction, ahead_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give a random walk of variance 1 a second, whose values at whole seconds belong to the mesh's time."""
    first, last = int(begun_s // CHUNK), int((begun_s + int(ahead_s[-1]) + 2) // CHUNK)
    known = np.concatenate([walk(seed, chunk) for chunk in range(first, last + 1)])
    place = float(begun_s - first * CHUNK) + ahead_s
    found: NDArray[np.float64] = np.interp(place, np.arange(len(known)), known)
    return found
