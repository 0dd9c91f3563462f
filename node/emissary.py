"""The Emissary of one band: what this node's own sensors say just now, and an oscillator that outputs follow.

The two never mix. Evidence goes from the frames into `LocalRhythm` and from there into the oscillator; nothing goes
back.
"""

from __future__ import annotations

import cmath
import math
from typing import Final, NamedTuple

from becomingone.kairos.bands import Band
from becomingone.kairos.mesh.coupling import ControlOscillator
from becomingone.node.rhythm import LocalRhythm, Rhythm
from becomingone.wire.sync_pace import max_age_s

COAST_PERIODS: Final = 3.0
"""Periods without a field of the mesh after which the oscillator turns to this node's own rhythm."""

COAST_S: Final = (1.0, 10.0)
"""Bounds of that time, s."""

LEAST_FIELD: Final = 0.01
"""A shorter field is none: its phase is as good as chance."""

SETTLING: Final = 16.0
"""Time that a realignment is given, in 1/K: a critically damped loop that begins at 1 rad is within 0.003 then."""

_MICRO: Final = 1e-6


class Target(NamedTuple):
    """A phase that turns at a known rate.

    Parameters
    ----------
    field : complex
        R·e^{iΨ}, modulus 0..1.
    omega : float
        Rate of Ψ, rad/s.
    time_us : int
        Mesh time of the field.
    """

    field: complex
    omega: float
    time_us: int

    def at(self, now_us: int) -> complex:
        """Give the field at another instant."""
        return self.field * cmath.rect(1.0, math.remainder(self.omega * (now_us - self.time_us) * _MICRO, math.tau))


class Emissary:
    """One band of one node.

    Parameters
    ----------
    band : Band
        The band.
    coupling : float
        Gain K as a part of the band's angular frequency, 0..1.
    damping : float
        ζ of the loop, > 0.
    p_false : float
        Probability of calling noise coherent.
    now_ns : int
        Now, on the monotonic clock.

    Attributes
    ----------
    entrained : bool
        Whether a field of the mesh drove the last step.
    """

    def __init__(self, band: Band, *, coupling: float, damping: float, p_false: float, now_ns: int) -> None:
        self.band = band
        self.entrained = False
        self._gain = coupling * band.omega
        self._local = LocalRhythm(band, p_false=p_false)
        # Rates of 0 to twice the centre's: a phase that runs backwards is not of this band.
        self._oscillator = ControlOscillator(band.omega, self._gain, damping=damping, pull=band.omega)
        self._natural = band.omega
        self._field: Target | None = None
        self._aim: Target | None = None
        self._aim_until_ns = 0
        self._entrained_ns: int | None = None
        self._stepped_ns = now_ns
        self._coast_ns = round(1e9 * min(max(COAST_PERIODS * band.period_s, COAST_S[0]), COAST_S[1]))
        self._max_age_us = round(max_age_s(band.frequency_hz) / _MICRO)

    @property
    def local(self) -> LocalRhythm:
        """What this node's own sensors say."""
        return self._local

    @property
    def natural_omega(self) -> float:
        """The oscillator's own rate, rad/s: that of the local rhythm while it is coherent, else the band's centre."""
        return self._natural

    @property
    def omega(self) -> float:
        """The rate at which it goes on, rad/s."""
        return self._oscillator.rate

    def couple(self, *, coupling: float, damping: float) -> None:
        """Be coupled otherwise from now on; phase and rate stay as they are."""
        before = self._oscillator
        self._gain = coupling * self.band.omega
        self._oscillator = ControlOscillator(
            before.rate, self._gain, damping=damping, pull=self.band.omega, phase=before.phase
        )
        self._oscillator.retune(self._natural, keep=True)

    def follow(self, field: Target) -> None:
        """Follow the mesh's field until a newer one comes, or this one is too old."""
        self._field = field

    def realign(self, target: Target, now_ns: int) -> None:
        """Be brought to a target; the mesh's field has to wait until `SETTLING` is over."""
        self._aim = target
        self._aim_until_ns = now_ns + (round(1e9 * SETTLING / self._gain) if self._gain > 0.0 else 0)

    def phase(self, now_ns: int) -> float:
        """Give the control phase now, −π..π."""
        ahead_s = (now_ns - self._stepped_ns) * 1e-9
        return math.remainder(self._oscillator.phase + self._oscillator.rate * ahead_s, math.tau)

    def step(self, now_ns: int, now_us: int, sigma_s: float) -> Rhythm:
        """Bring the oscillator to now.

        Parameters
        ----------
        now_ns, now_us : int
            Now, on the monotonic clock and in mesh time.
        sigma_s : float
            Standard deviation of mesh time, s: by e^{−(ωσ)²/2} the mesh's field is the less to be followed.

        Returns
        -------
        Rhythm
            What this node's own sensors say now.
        """
        rhythm = self._local.at(now_us)
        elapsed_ns = now_ns - self._stepped_ns
        if elapsed_ns <= 0:
            return rhythm
        start_us = now_us - elapsed_ns // 1_000
        self._natural = rhythm.omega if rhythm.coherent else self.band.omega
        trust = math.exp(-0.5 * (self.band.omega * sigma_s) ** 2)
        target = self._mesh(now_us, now_ns, trust)
        self.entrained = target is not None
        field: complex | None = None
        if target is not None:
            self._entrained_ns = now_ns
            self._oscillator.retune(self._natural, keep=True)
            field = target.at(start_us) * trust
        elif rhythm.coherent and (self._entrained_ns is None or now_ns - self._entrained_ns >= self._coast_ns):
            self._entrained_ns = None
            self._oscillator.retune(self._natural, keep=False)
            target = Target(rhythm.field, rhythm.omega, now_us)
            field = target.at(start_us)
        self._oscillator.step(elapsed_ns * 1e-9, _clipped(field), field_omega=target.omega if target else 0.0)
        self._stepped_ns = now_ns
        return rhythm

    def _mesh(self, now_us: int, now_ns: int, trust: float) -> Target | None:
        """Choose what the mesh wants to be followed: a target, or else its field."""
        if self._gain <= 0.0:
            return None
        if self._aim is not None and now_ns < self._aim_until_ns:
            return self._aim
        self._aim = None
        field = self._field
        if field is None or abs(field.field) * trust < LEAST_FIELD:
            return None
        return field if abs(now_us - field.time_us) < self._max_age_us else None


def _clipped(field: complex | None) -> complex | None:
    """Take off what rounding, or a float32, has put on a modulus of 1."""
    return field / abs(field) if field is not None and abs(field) > 1.0 else field
