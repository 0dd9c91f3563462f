"""What a sensor is, as far as its encoding is concerned; declarative data, and the table of the documents' inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from becomingone.errors import KernelError


class Kind(StrEnum):
    """What a stream consists of."""

    REAL = "real"
    COMPLEX = "complex"
    EVENT = "event"
    TOKEN = "token"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Encoding:
    """One kind of sensor stream.

    Parameters
    ----------
    name : str
        For messages.
    kind : Kind
    unit : str
        Unit of a sample, as people write it; empty for a plain ratio.
    rate_hz : float
        Nominal samples a second, > 0; of events without a period: rates given a second.
    floor : float
        Amplitude, in the unit, of the smallest oscillation that the sensor can tell from its own noise, ≥ 0; of
        cyclic tokens the least confidence. Below it the stream is silent. Of no meaning for events.
    low, high : float
        The ends of the sensor's range in its unit, low < high; a sample at or beyond one is saturated. Infinite where
        the sensor has none. Of complex samples both parts are held against them; of no meaning for events and tokens.
    mean_tau_s : float
        Time constant of the slow mean in seconds, > 0. What is slower than 2π times it is taken away; a rhythm of
        angular frequency ω leads by 1/(ω·mean_tau_s) rad.
    scale_tau_s : float
        Time constant of the running power, or of an event rate, in seconds, > 0.
    period_s : float or None
        Events only: the declared period in seconds, > 0. Without one there is a rate and no phase.
    cyclic : bool
        Tokens only: position 1 is position 0 again. Only then is a position a phase.
    jitter : float
        Share of a spacing, 0..0.25, that a time may be off and still count as regular; the phase of a rhythm of ω
        may then be off by ω·jitter/rate_hz.

    Raises
    ------
    KernelError
        When a value is out of its range.
    """

    name: str
    kind: Kind
    unit: str
    rate_hz: float
    floor: float = 0.0
    low: float = -math.inf
    high: float = math.inf
    mean_tau_s: float = 60.0
    scale_tau_s: float = 60.0
    period_s: float | None = None
    cyclic: bool = False
    jitter: float = 0.05

    def __post_init__(self) -> None:
        for label, value in (
            ("rate_hz", self.rate_hz),
            ("mean_tau_s", self.mean_tau_s),
            ("scale_tau_s", self.scale_tau_s),
            ("period_s", 1.0 if self.period_s is None else self.period_s),
        ):
            if not (math.isfinite(value) and value > 0.0):
                raise KernelError(f"encoding {self.name}: {label} is {value!r}; it must be finite and above 0")
        if not (math.isfinite(self.floor) and self.floor >= 0.0):
            raise KernelError(f"encoding {self.name}: floor is {self.floor!r}; it must be finite and at least 0")
        if not self.low < self.high:
            raise KernelError(f"encoding {self.name}: the range {self.low!r}..{self.high!r} is empty")
        if not 0.0 <= self.jitter <= 0.25:
            raise KernelError(f"encoding {self.name}: jitter is {self.jitter!r}; it must be within 0..0.25")
        if self.period_s is not None and self.kind is not Kind.EVENT:
            raise KernelError(f"encoding {self.name}: only events have a declared period")
        if self.cyclic and self.kind is not Kind.TOKEN:
            raise KernelError(f"encoding {self.name}: only tokens are declared cyclic")

    @property
    def spacing_ns(self) -> float:
        """Nominal spacing in nanoseconds."""
        return 1e9 / self.rate_hz


_INPUTS: Final = (
    Encoding("microphone", Kind.REAL, "", 100.0, floor=0.001, low=-1.0, high=1.0),
    Encoding("camera", Kind.REAL, "", 100.0, floor=0.002, low=0.0, high=1.0),
    Encoding("temperature", Kind.REAL, "°C", 10.0, 0.05, 0.0, 100.0, mean_tau_s=3600.0, scale_tau_s=3600.0),
    Encoding("pressure", Kind.REAL, "Pa", 10.0, 2.0, 30_000.0, 110_000.0, mean_tau_s=3600.0, scale_tau_s=3600.0),
    Encoding("token", Kind.TOKEN, "", 100.0),
)

ENCODINGS: Final[dict[str, Encoding]] = {encoding.name: encoding for encoding in _INPUTS}
"""The documents' inputs, at the documents' intervals (10 ms; 100 ms for temperature and pressure): microphone
amplitude of full scale 1, camera brightness 0..1, temperature 0..100 °C (their 0..1), pressure within the range of the
usual barometers, token position 0..1. A device with a range, a floor or a rate of its own says so with
``dataclasses.replace``."""


def documents_phase(encoding: Encoding, value: float, confidence: float = 1.0) -> complex:
    """Return what the documents' own adapter makes of one reading, for ``kairos.local_step.local_step``.

    ``complex(value, 0)`` with the value as a share of full scale; of a token ``complex(position, 1 − confidence)``.
    Despite its name this is no phase: of a sensor whose values are positive its angle is always 0.

    Parameters
    ----------
    encoding : Encoding
        With a finite ``high``, unless it is a token's.
    value : float
        In the sensor's unit; a token's position, 0..1.
    confidence : float
        Of a token, 0..1.

    Raises
    ------
    KernelError
        When the value is not finite, there is no full scale, or the stream consists of events.
    """
    if encoding.kind is Kind.EVENT:
        raise KernelError("an event has no value")
    if not (math.isfinite(value) and math.isfinite(confidence)):
        raise KernelError("a value or a confidence is not finite")
    if encoding.kind is Kind.TOKEN:
        return complex(value, 1.0 - confidence)
    if not (math.isfinite(encoding.high) and encoding.high > 0.0):
        raise KernelError(f"encoding {encoding.name}: high is {encoding.high!r}; full scale must be finite and above 0")
    return complex(value / encoding.high, 0.0)
