"""What is known of mesh time at an instant, and how that knowledge ages."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from becomingone.wire.clocksync.probe import NANO, WANDER

UNLIKE: Final = 0.01
"""Standard deviation of the error that unlike ways there and back make, as a part of the shortest round trip: an
assumption. It cannot be more than a half."""


class Line(NamedTuple):
    """A straight line with its uncertainty, relative to a reference instant.

    Parameters
    ----------
    offset, skew : float
        Mesh time − node's clock at the reference instant, s, and its change, s/s.
    offset_var, covariance, skew_var : float
        Their covariance matrix, s², s and 1.
    """

    offset: float
    skew: float
    offset_var: float
    covariance: float
    skew_var: float

    def at(self, seconds: float) -> float:
        """Give the offset `seconds` after the reference instant, s."""
        return self.offset + self.skew * seconds

    def variance(self, seconds: float) -> float:
        """Give the variance of that, the oscillator's wander since included, s²."""
        grown = self.offset_var + 2.0 * seconds * self.covariance + seconds * seconds * self.skew_var
        return max(0.0, grown) + WANDER * WANDER * abs(seconds) ** 3 / 3.0


class Estimate(NamedTuple):
    """Mesh time as a function of the node's clock: ``mesh_ns + (1 + skew)·(t − at_ns)``.

    Parameters
    ----------
    at_ns : int
        Instant of the node's own clock, ns.
    mesh_ns : int
        Mesh time then, ns since the Unix epoch.
    line : Line
        What was fitted, relative to that point; its offset is 0.
    hub_sigma_s : float
        Standard deviation of the hub's own clock against mesh time, s.
    round_trip_s : float
        The shortest lately, s. Half of it bounds the error.
    anew : bool
        Nothing before this burst was of use: the first one, another hub, or a clock that has jumped.
    bursts : int
        How many bursts it rests on, ≥ 1.
    fitted_by : str
        ``kalman`` or ``corridor``.
    """

    at_ns: int
    mesh_ns: int
    line: Line
    hub_sigma_s: float
    round_trip_s: float
    anew: bool
    bursts: int
    fitted_by: str

    @property
    def skew(self) -> float:
        """Rate of mesh time against the node's clock, minus 1."""
        return self.line.skew

    def sigma_s(self, now_ns: int) -> float:
        """Give the standard deviation of the mesh time that this predicts for an instant of the node's clock, s.

        A steady difference between the two ways cannot be observed. `UNLIKE` of it is allowed for, and no more.
        """
        fitted = self.line.variance((now_ns - self.at_ns) * NANO)
        return math.sqrt(fitted + self.hub_sigma_s**2 + (UNLIKE * self.round_trip_s) ** 2)
