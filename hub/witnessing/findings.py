"""What the layers find, before anything follows from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from becomingone.kairos.witnessing.drift import threshold_for
from becomingone.kairos.witnessing.tail_tables import deviate_of

Fault = Literal["jumps", "stuck", "clock", "unsteady", "calibration", "liar"]
"""What is wrong; ``unsteady`` and ``calibration`` are no fault of a node that says so itself, and blame nobody."""

_LEAST: Final = 1e-15
_MOST: Final = 1e-2
_SIDES: Final = 2.0


class Finding(NamedTuple):
    """One thing that is improbable in health.

    Parameters
    ----------
    layer : str
        ``micro``, ``meso``, ``macro`` or ``meta``.
    fault : str
        See `Fault`.
    band : str
        The band.
    row, place : int
        The channel: its row of the table, and its place in the band.
    p : float
        Its probability in health.
    figures : dict of float
        What was seen.
    notable : bool
        Whether it stands in the layer's record.
    blames : bool
        Whether it can be said whose fault it is.
    """

    layer: str
    fault: Fault
    band: str
    row: int
    place: int
    p: float
    figures: dict[str, float]
    notable: bool = True
    blames: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What is too improbable, for as many looks a second as there are.

    Each test of a layer may be wrong once in so many of its looks as the layer may be wrong in the configured time.

    Parameters
    ----------
    innovations_hz, windows_hz, epochs_hz : float
        Innovations, windows and epochs a second, of all channels together.
    false_alarm_s : float
        Mean time between false alarms of a layer, s.

    Attributes
    ----------
    jump : float
        Normal deviate beyond which an innovation is a jump.
    p_jump, window, claim : float
        Probability of an innovation, of a window, and of what a node claims.
    slow, calibration : float
        Thresholds of the cumulative sums.
    p_slow, p_calibration : float
        What those are worth: the inverse of the mean number of updates between false alarms.
    """

    innovations_hz: float
    windows_hz: float
    epochs_hz: float
    false_alarm_s: float
    jump: float = field(init=False)
    window: float = field(init=False)
    claim: float = field(init=False)
    p_jump: float = field(init=False)
    slow: float = field(init=False)
    calibration: float = field(init=False)
    p_slow: float = field(init=False)
    p_calibration: float = field(init=False)

    def __post_init__(self) -> None:
        def each(looks_hz: float, tests: float) -> float:
            return min(_MOST, max(_LEAST, 1.0 / max(1.0, tests * looks_hz * self.false_alarm_s)))

        # Tests of a layer: micro 1; meso stillness, motion, health; macro two claims; meta slowness, scale and gain.
        window, slow, calibration = each(self.windows_hz, 3.0), each(self.windows_hz, 2.0), each(self.epochs_hz, 4.0)
        for name, value in (
            ("p_jump", each(self.innovations_hz, 1.0)),
            ("jump", deviate_of(each(self.innovations_hz, 1.0))),
            ("window", window),
            ("claim", each(self.windows_hz, 2.0)),
            ("p_slow", slow),
            ("slow", threshold_for(_SIDES / slow)),
            ("p_calibration", calibration),
            ("calibration", threshold_for(_SIDES / calibration)),
        ):
            object.__setattr__(self, name, value)

    def far_from(self, innovations_hz: float) -> bool:
        """Whether the number of looks is no longer about what the limits were made for."""
        return not math.isclose(innovations_hz, self.innovations_hz, rel_tol=0.1)
