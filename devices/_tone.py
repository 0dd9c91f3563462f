"""A tone whose phase never jumps, however its frequency and its loudness change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Ramp:
    """A value that goes to its target in a straight line, one step a frame.

    Parameters
    ----------
    value : float
        Where it is at first.
    """

    def __init__(self, value: float) -> None:
        self.value = value
        self._target = value
        self._left = 0

    @property
    def moving(self) -> bool:
        """Whether it is on its way."""
        return self._left > 0

    def go(self, target: float, frames: int) -> None:
        """Set out for a target, to be reached after so many frames; 0: at once."""
        self._target = target
        self._left = frames
        if not frames:
            self.value = target

    def take(self, frames: int) -> NDArray[np.float64]:
        """Give the values of the next frames, the first of them one step on, and go on by as many."""
        values = np.full(frames, self._target, np.float64)
        steps = min(frames, self._left)
        if steps:
            step = (self._target - self.value) / self._left
            values[:steps] = self.value + step * np.arange(1, steps + 1)
            self._left -= steps
            self.value = float(values[steps - 1]) if self._left else self._target
        return values


class Tone:
    """A sine of gliding frequency and amplitude.

    The phase is kept in cycles, 0..1, as a float64 and taken modulo 1 after every stretch: its error grows by about
    1e-16 cycles a stretch, 3e-8 cycles in a month of hundred stretches a second, and does not depend on how long the
    tone has been going on.

    Parameters
    ----------
    rate_hz : int
        Frames a second.
    """

    def __init__(self, rate_hz: int) -> None:
        self.phase = 0.0
        self._rate_hz = rate_hz
        self._frequency = Ramp(0.0)
        self._amplitude = Ramp(0.0)

    @property
    def silent(self) -> bool:
        """Whether nothing can be heard, now and without a further `go`."""
        return self._amplitude.value == 0.0 and not self._amplitude.moving

    def go(self, amplitude: float, frames: int, *, frequency_hz: float | None = None) -> None:
        """Glide to an amplitude and a frequency in so many frames; out of silence the frequency is there at once.

        Parameters
        ----------
        amplitude : float
            0..1.
        frames : int
            At least 0.
        frequency_hz : float, optional
            Default: it stays what it is.
        """
        if frequency_hz is not None:
            self._frequency.go(frequency_hz, 0 if self.silent else frames)
        self._amplitude.go(amplitude, frames)

    def render(self, out: NDArray[np.float32]) -> None:
        """Write the next samples."""
        frames = len(out)
        if self.silent:  # nobody hears the phase: it stays
            out.fill(0.0)
            return
        if self._frequency.moving:
            steps = self._frequency.take(frames) / self._rate_hz
            ends = np.asarray(self.phase + np.cumsum(steps), np.float64)
            cycles = ends - steps
            self.phase = float(ends[-1] % 1.0) if frames else self.phase
        else:
            step = self._frequency.value / self._rate_hz
            cycles = self.phase + step * np.arange(frames, dtype=np.float64)
            self.phase = (self.phase + step * frames) % 1.0
        np.multiply(np.sin(2.0 * np.pi * cycles), self._amplitude.take(frames), out=out, casting="same_kind")
