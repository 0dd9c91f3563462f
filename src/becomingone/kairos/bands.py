"""The band plan: at which frequencies, and over which times, a cell compares phases.

A phase difference means something only between oscillations of the same nominal frequency, so each channel is asked
the same question once per band: "what is your rhythm at this frequency?"
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from becomingone.errors import KernelError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Behind the band's filter white noise makes a new phase about every 2τ, so a window of τ_C (2·τ_C long in effect) holds
# N_eff = τ_C/τ of them. 40·τ gives 41: |T| > 0.34 is significant at 0.01 and > 0.41 at 0.001, which a tone reaches
# whose power in the band is that of the noise; and it follows a change within a minute for a rhythm of one a second.
COHERENCE_WINDOWS_PER_TAU: Final = 40.0

MIN_COHERENCE_PER_TAU: Final = 8.0
"""The shortest coherence window, in filter time constants, that a band may ask for."""

CORRELATION_PER_TAU: Final = 4.0
"""Correlation time ∫ρ dt of a phase behind the band's two poles, in τ."""

MIN_SAMPLES_PER_PERIOD: Final = 4.0
"""A band is offered to a channel only if its sample rate is at least this many times the band's frequency."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_LAG_TOLERANCE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Band:
    """One frequency at which phases are compared.

    Parameters
    ----------
    name : str
        Lower-case letters, digits, ``_`` and ``-``; 1 to 63 characters; begins with a letter or a digit.
    frequency_hz : float
        Centre frequency f₀ in hertz, > 0.
    tau_s : float
        Time constant τ of each of the two cascaded poles, in seconds, > 0. The half-power bandwidth of the pair is
        ±0.64/(2πτ) hertz and its group delay 2τ.
    lag_s : float
        Lag τ̄ of the temporal resonance, in seconds, ≥ 2πτ: less would compare neighbouring outputs of the filter
        with each other, which are alike whatever the input.
    coherence_tau_s : float
        Time constant τ_C of the coherence window, in seconds, ≥ 8τ.

    Raises
    ------
    KernelError
        When one of these ranges is not met.
    """

    name: str
    frequency_hz: float
    tau_s: float
    lag_s: float
    coherence_tau_s: float

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise KernelError(
                f"band name {self.name!r}: use 1 to 63 of a-z, 0-9, '_' and '-', beginning with a letter or a digit"
            )
        for label, value in (
            ("frequency_hz", self.frequency_hz),
            ("tau_s", self.tau_s),
            ("lag_s", self.lag_s),
            ("coherence_tau_s", self.coherence_tau_s),
        ):
            if not (math.isfinite(value) and value > 0.0):
                raise KernelError(f"band {self.name}: {label} is {value!r}; it must be finite and above 0")
        shortest_lag = 2.0 * math.pi * self.tau_s
        if self.lag_s < shortest_lag * (1.0 - _LAG_TOLERANCE):
            raise KernelError(
                f"band {self.name}: lag_s is {self.lag_s:g} s; it must be at least 2πτ = {shortest_lag:g} s"
            )
        shortest_window = MIN_COHERENCE_PER_TAU * self.tau_s
        if self.coherence_tau_s < shortest_window * (1.0 - _LAG_TOLERANCE):
            raise KernelError(
                f"band {self.name}: coherence_tau_s is {self.coherence_tau_s:g} s; it must be at least 8τ = "
                f"{shortest_window:g} s"
            )

    @classmethod
    def of(
        cls,
        name: str,
        frequency_hz: float,
        tau_s: float,
        *,
        lag_s: float | None = None,
        coherence_tau_s: float | None = None,
    ) -> Band:
        """Make a band, filling in the lag and the coherence window.

        Parameters
        ----------
        name, frequency_hz, tau_s
            As for the class.
        lag_s : float, optional
            Default: the smallest whole number of periods that is at least 2πτ.
        coherence_tau_s : float, optional
            Default: 40·τ, see ``COHERENCE_WINDOWS_PER_TAU``.

        Raises
        ------
        KernelError
            When a value is out of its range.
        """
        usable = math.isfinite(2.0 * math.pi * tau_s * frequency_hz) and frequency_hz > 0.0 and tau_s > 0.0
        if lag_s is None:
            # The tolerance keeps 2πτf = 7.0000000001 from costing an eighth period; __post_init__ names a bad input.
            periods = 2.0 * math.pi * tau_s * frequency_hz if usable else 1.0
            lag_s = max(1, math.ceil(periods * (1.0 - _LAG_TOLERANCE))) / frequency_hz if usable else 1.0
        if coherence_tau_s is None:
            coherence_tau_s = COHERENCE_WINDOWS_PER_TAU * tau_s if usable else 1.0
        return cls(name, frequency_hz, tau_s, lag_s, coherence_tau_s)

    @property
    def omega(self) -> float:
        """Centre frequency ω₀ = 2πf₀ in radians per second."""
        return 2.0 * math.pi * self.frequency_hz

    @property
    def period_s(self) -> float:
        """Period 1/f₀ in seconds."""
        return 1.0 / self.frequency_hz


class HardwareClass(StrEnum):
    """The kinds of computer a node may be; each covers a range of time constants."""

    PI_ZERO = "pi_zero"
    PI_4 = "pi_4"
    PI_2 = "pi_2"
    MAC_MINI = "mac_mini"
    CLOUD = "cloud"


HARDWARE_CLASSES: Final[dict[str, tuple[float, float]]] = {
    HardwareClass.PI_ZERO.value: (0.01, 1.0),
    HardwareClass.PI_4.value: (1.0, 60.0),
    HardwareClass.PI_2.value: (60.0, 3600.0),
    HardwareClass.MAC_MINI.value: (0.1, 600.0),
    HardwareClass.CLOUD.value: (0.001, 10.0),
}
"""Smallest and largest τ in seconds, both included, that each hardware class works at."""


DEFAULT_BANDS: Final[tuple[Band, ...]] = (
    Band.of("fast", 10.0, 0.1),
    Band.of("motion", 1.5, 0.5),
    Band.of("stride", 0.78, 1.0),
    Band.of("breath", 0.25, 4.0),
    Band.of("minute", 1.0 / 60.0, 60.0),
    # A day replayed at an hour a second lasts 24 s.
    Band.of("replayed_day", 1.0 / 24.0, 60.0),
)
"""The band plan of a cell that names none."""


def bands_for(plan: Sequence[Band], *, sample_rate_hz: float, tau_range: tuple[float, float]) -> list[Band]:
    """Choose the bands of a plan that a channel can be demodulated in.

    Parameters
    ----------
    plan : sequence of Band
        The cell's band plan.
    sample_rate_hz : float
        The channel's sample rate fs in hertz, > 0; a band needs fs ≥ 4·f₀.
    tau_range : (float, float)
        Smallest and largest τ in seconds that the node covers, both included.

    Returns
    -------
    list of Band
        In the order of the plan; may be empty.

    Raises
    ------
    KernelError
        When the sample rate is not above 0 or the range is empty.
    """
    if not (math.isfinite(sample_rate_hz) and sample_rate_hz > 0.0):
        raise KernelError(f"sample_rate_hz is {sample_rate_hz!r}; it must be finite and above 0")
    low, high = tau_range
    if not low <= high:
        raise KernelError(f"tau_range is ({low!r}, {high!r}); the first must not exceed the second")
    # A rate that was computed as 1/spacing may miss a whole multiple by a rounding error.
    rate = sample_rate_hz * (1.0 + 1e-9)
    return [band for band in plan if rate >= MIN_SAMPLES_PER_PERIOD * band.frequency_hz and low <= band.tau_s <= high]
