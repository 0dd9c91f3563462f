"""Measures a sensor's latency: an output is pulsed at random intervals, and the samples tell how much later."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from becomingone.devices.contract import Channel, ClockPort, Output, Sensor
from becomingone.errors import DeviceError
from becomingone.node.pulse_fit import NoResponseError, Pulse, Response, Shape, find_response

TONE_HZ: Final = 1000.0
"""Frequency of a speaker's pulses, Hz."""

CLICK_S: Final = 0.0005
"""Seconds in which a speaker's pulse begins and ends: the shorter, the better its place in time is known."""

LONGEST_S: Final = 1.0
"""The longest latency that is found, s."""

_WARM_UP_S: Final = 3.0
"""So long a sound card may take to begin, and to tell its delay rightly, s."""

_BEFORE_S: Final = 0.5
_LEAST_PULSE_S: Final = 0.1
_SAMPLES_PER_PULSE: Final = 5
_SAMPLES_PER_TURN: Final = 4
_BULK_PERIOD_S: Final = 0.02
_LEAST_WAIT_S: Final = 1e-6
_WARM_UP_STEP_S: Final = 0.037
_NS: Final = 1_000_000_000
_RELEASE_S: Final = 0.2

_ON_OFF: Final[Mapping[str, tuple[Mapping[str, float], Mapping[str, float]]]] = {
    "speaker": ({"frequency": TONE_HZ, "volume": 1.0}, {"frequency": TONE_HZ, "volume": 0.0}),
    "display": ({"hue": 0.0, "brightness": 1.0}, {"hue": 0.0, "brightness": 0.0}),
}


@dataclass(frozen=True, slots=True)
class Latency:
    """What was measured.

    Parameters
    ----------
    channel : str
        The channel in which it was seen.
    response : Response
        Output and input together.
    output_s : float, optional
        What of it is the output's, s, as its driver tells.
    saturated : bool
        Whether the input reached the end of its range.
    """

    channel: str
    response: Response
    output_s: float | None
    saturated: bool

    @property
    def input_s(self) -> float:
        """What is left for the input, s; all of it where the output's part is not known; at least 0."""
        return max(0.0, self.response.latency_s - (self.output_s or 0.0))


def pulse_s(channel: Channel) -> float:
    """Give how long a pulse is for this input to see it, s."""
    return max(_LEAST_PULSE_S, _SAMPLES_PER_PULSE / channel.rate_hz)


def longest_run_s(sensor: Sensor, count: int) -> float:
    """Give the longest time that `measure` takes where nothing hangs, s."""
    width_s = max(pulse_s(channel) for channel in sensor.channels)
    return _WARM_UP_S + 7 * width_s * count + LONGEST_S + 2 * width_s + _RELEASE_S


def measure(
    sensor: Sensor,
    output: Output,
    *,
    clock: ClockPort,
    wait: Callable[[float], None],
    rng: random.Random,
    count: int = 20,
    channel: str | None = None,
    ramp_s: float = 0.0,
) -> Latency:
    """Pulse the output and find the pulses in what the sensor gives.

    Parameters
    ----------
    sensor, output : Sensor, Output
        Open, and used by nobody else. They are left open, the output at rest.
    clock : ClockPort
        The clock of the sensor's blocks.
    wait : callable
        Waits so many seconds.
    rng : random.Random
        Draws the intervals.
    count : int
        Pulses, at least 5.
    channel : str, optional
        Which of the sensor's channels; may be left out where there is one.
    ramp_s : float
        How long the output takes to be on, s.

    Raises
    ------
    DeviceError
        An output that must not be pulsed, such as a motor, or a channel that is not there.
    DeviceUnavailableError
        The sensor or the output is not there.
    NoResponseError
        Nothing that chance could not explain, and why.
    """
    if output.role not in _ON_OFF:
        raise DeviceError(f"an output with the role {output.role} is not pulsed, only {' and '.join(_ON_OFF)}")
    wanted = _chosen(sensor, channel)
    width_s = pulse_s(wanted)
    ear = _Ear(sensor, wanted, clock, wait)
    begin_s = _WARM_UP_S
    try:
        pulses = _drive(output, ear, _draw_train(rng, count, width_s, begin_s), width_s)
    finally:
        output.rest()
        wait(_RELEASE_S)
    times_s, samples = ear.heard(begin_s - _BEFORE_S)
    if not len(samples):
        raise NoResponseError("the input gave no samples: is it connected?")
    wave = output.role == "speaker" and wanted.rate_hz >= _SAMPLES_PER_TURN * TONE_HZ
    if wanted.quantity == "sound_level":  # of a stretch that is half sound, half the power is there, not half the level
        samples = samples**2
    response = find_response(
        times_s,
        samples,
        pulses,
        spacing_s=1 / wanted.rate_hz,
        shape=Shape(ramp_s, TONE_HZ if wave else None),
        longest_s=LONGEST_S,
        draw=lambda: _draw_train(rng, count, width_s, begin_s),
    )
    known: object = getattr(output, "latency_s", None)
    return Latency(wanted.name, response, known if isinstance(known, float) else None, ear.saturated)


def _draw_train(rng: random.Random, count: int, width_s: float, begin_s: float) -> list[float]:
    """Draw the beginnings of pulses: 2 to 6 widths of silence between two, all lengths alike."""
    starts: list[float] = []
    at = begin_s
    for _ in range(count):
        at += rng.uniform(2.0, 6.0) * width_s
        starts.append(at)
        at += width_s
    return starts


def _chosen(sensor: Sensor, name: str | None) -> Channel:
    names = [channel.name for channel in sensor.channels]
    if name is None and len(names) == 1:
        return sensor.channels[0]
    if name not in names:
        raise DeviceError(f"choose a channel of the input: {', '.join(names)}" + (f"; not {name}" if name else ""))
    return sensor.channels[names.index(name)]


def _drive(output: Output, ear: _Ear, starts: list[float], width_s: float) -> list[Pulse]:
    """Pulse the output while the input is heard; give when it was told to be on, s since `ear` began."""
    on, off = _ON_OFF[output.role]
    pulses: list[Pulse] = []
    while ear.now_s() < _WARM_UP_S:  # what is opened with the first command is, and tells its delay
        output.apply(off)
        ear.listen(ear.now_s() + _WARM_UP_STEP_S)
    for start in starts:
        ear.listen(start)
        on_s = ear.now_s()
        output.apply(on)
        ear.listen(on_s + width_s)
        off_s = ear.now_s()
        output.apply(off)
        pulses.append(Pulse(on_s, off_s))
    ear.listen(pulses[-1].off_s + LONGEST_S + 2 * width_s)
    return pulses


class _Ear:
    """Reads a sensor while time passes, and keeps what one channel gives."""

    def __init__(self, sensor: Sensor, channel: Channel, clock: ClockPort, wait: Callable[[float], None]) -> None:
        self.saturated = False
        self._sensor = sensor
        self._channel = channel
        self._clock = clock
        self._wait = wait
        self._zero_ns = clock.monotonic_ns()
        self._period_s = 1 / max(each.rate_hz for each in sensor.channels)
        self._times: list[NDArray[np.float64]] = []
        self._samples: list[NDArray[np.float64]] = []
        self._next_s = 0.0

    def now_s(self) -> float:
        """Seconds since this was made."""
        return (self._clock.monotonic_ns() - self._zero_ns) / _NS

    def listen(self, until_s: float) -> None:
        """Read until then."""
        while (now_s := self.now_s()) < until_s:
            if now_s < self._next_s:
                self._wait(max(_LEAST_WAIT_S, min(self._next_s, until_s) - now_s))
                continue
            self._read()
            # Not from now: a sensor of 10 readings a second is read ten times a second, however long each takes.
            self._next_s = max(self._next_s + self._period_s, now_s)

    def heard(self, since_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give times, s since this was made, and samples, in order of time."""
        if not self._times:
            return np.empty(0), np.empty(0)
        times, samples = np.concatenate(self._times), np.concatenate(self._samples)
        order = np.argsort(times, kind="stable")
        order = order[np.searchsorted(times[order], since_s) :]
        return times[order], samples[order]

    def _read(self) -> None:
        before = self._clock.monotonic_ns()
        reading = self._sensor.read()
        if isinstance(reading, Mapping):
            value = reading.get(self._channel.name)
            if value is not None:
                middle_ns = (before + self._clock.monotonic_ns()) / 2
                self._times.append(np.array([(middle_ns - self._zero_ns) / _NS]))
                self._samples.append(np.array([value], np.float64))
            return
        self._period_s = max(self._period_s, _BULK_PERIOD_S)
        for block in reading:
            if block.channel == self._channel.name and len(block.samples):
                since_ns = block.start_ns - self._zero_ns + block.spacing_ns * np.arange(len(block.samples))
                self._times.append(since_ns / _NS)
                self._samples.append(np.asarray(block.samples, np.float64))
                self.saturated |= block.saturated
