"""What a node's own channels say in one band just now: a mesh of one node, by the mesh's own definitions."""

from __future__ import annotations

import cmath
from typing import Final, NamedTuple

from becomingone.kairos.bands import Band
from becomingone.wire.phase import Flags, PhaseFrame

MAX_AGE_PERIODS: Final = 4.0
"""A phase older than this many periods of its band says nothing about now."""

INTERVALS: Final = 3.0
"""But one that is no older than this many of its channel's intervals does."""

LONGEST_US: Final = 60e6
"""An interval, in µs, beyond which the clock has rather been set."""

AHEAD_US: Final = 1_000_000
"""A phase from further ahead of the clock than this is of another time: the clock has been set."""

RELEASE: Final = 3.0
"""Hysteresis: a rhythm stays coherent up to this many times the p that made it so."""

_HISTORICAL, _VALID, _UNDECIDABLE = map(int, (Flags.HISTORICAL, Flags.VALID, Flags.UNDECIDABLE))


class Rhythm(NamedTuple):
    """A node's own channels in one band at one instant.

    Parameters
    ----------
    field : complex
        T = Σw·C·u/Σw over the channels with a fresh phase, modulus 0..1; 0 without any.
    coherence : float
        Σw·C/Σw, 0..1.
    omega : float
        Measured rate of the coherent channels, rad/s, weighted alike; 0 without any.
    coherent : bool
        Whether a channel's coherence is decidable and significant, with as many tries as there are channels.
    channels : int
        Channels with a fresh phase.
    """

    field: complex = 0j
    coherence: float = 0.0
    omega: float = 0.0
    coherent: bool = False
    channels: int = 0


class _Channel(NamedTuple):
    time_us: float
    max_age_us: float
    phasor: complex
    coherence: float
    omega: float
    p: float


class LocalRhythm:
    """The channels of a node in one band.

    Parameters
    ----------
    band : Band
        The band.
    p_false : float
        Probability of calling noise coherent.
    """

    def __init__(self, band: Band, *, p_false: float) -> None:
        self._p_false = p_false
        self._least_age_us = MAX_AGE_PERIODS * band.period_s * 1e6
        self._channels: dict[str, _Channel] = {}
        self._coherent = False

    def take(self, channel: str, frame: PhaseFrame) -> None:
        """Take a frame of this node's own; one without a phase ends what the channel has said."""
        flags = int(frame.flags)  # as a plain integer, of which each & costs next to nothing
        if flags & _HISTORICAL:
            return
        if not flags & _VALID:
            self._channels.pop(channel, None)
            return
        time_us = frame.last_time_us
        before = self._channels.get(channel)
        interval_us = abs(time_us - before.time_us) if before is not None else 0.0
        self._channels[channel] = _Channel(
            time_us,
            max(self._least_age_us, INTERVALS * min(interval_us, LONGEST_US)),
            frame.last_phasor,
            frame.coherence,
            frame.omega,
            1.0 if flags & _UNDECIDABLE else frame.p,
        )

    def at(self, now_us: int) -> Rhythm:
        """Take the channels together at an instant of mesh time.

        Notes
        -----
        The weight w is C times the freshness: 1 up to half the greatest age, then falling to 0. The least p counts
        times the number of channels (Bonferroni), so that many channels of noise are not one rhythm.
        """
        fresh: list[tuple[float, _Channel]] = []
        for name, channel in list(self._channels.items()):
            age_us = now_us - channel.time_us
            if age_us >= channel.max_age_us or age_us < -AHEAD_US:
                del self._channels[name]
            elif channel.coherence > 0.0:
                fresh.append((channel.coherence * min(1.0, 2.0 - 2.0 * age_us / channel.max_age_us), channel))
        limit = self._p_false * (RELEASE if self._coherent else 1.0)
        total = sum(weight for weight, _ in fresh)
        if not total > 0.0:
            self._coherent = False
            return Rhythm()
        field = 0j
        coherence = omega = coherent = 0.0
        for weight, channel in fresh:
            turned = channel.omega * (now_us - channel.time_us) * 1e-6
            field += weight * channel.coherence * channel.phasor * cmath.rect(1.0, turned)
            coherence += weight * channel.coherence
            if len(fresh) * channel.p < limit:
                coherent += weight
                omega += weight * channel.omega
        self._coherent = coherent > 0.0
        return Rhythm(
            field=field / total,
            coherence=min(1.0, coherence / total),
            omega=omega / coherent if coherent > 0.0 else 0.0,
            coherent=self._coherent,
            channels=len(fresh),
        )
