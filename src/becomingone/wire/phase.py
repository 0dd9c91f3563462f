"""The phase frame as a value: what a node says about one channel in one band."""

from __future__ import annotations

import enum
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from becomingone.wire.arrays import SAMPLE

MAX_SAMPLES: Final = 65_536
"""Complex samples in one frame."""

SPACING_US: Final = (1e-3, 1e15)
"""Bounds of the time between samples, µs."""


class Flags(enum.IntFlag):
    """What a receiver must know about a frame before it uses it.

    ``VALID``: the last sample's phase is defined. ``HISTORICAL``: sent late, for the memory, never for the live
    state. ``REPLAYED``, ``SIMULATED``: not from the world now. ``GAP``: the stream was interrupted within or just
    before the block. ``SATURATED``: a sample touched an end of the sensor's range. ``UNDECIDABLE``: the effective
    number of samples does not suffice for any coherence to be significant at the node's false-alarm probability.
    """

    NONE = 0
    VALID = 1
    HISTORICAL = 2
    REPLAYED = 4
    SIMULATED = 8
    GAP = 16
    SATURATED = 32
    UNDECIDABLE = 64


class _Fields(NamedTuple):
    """The fields in the order of their keys, 1 to 14: a tuple, because thousands a second are made."""

    boot: int
    seq: int
    time_us: int
    spacing_us: float | None
    samples: bytes
    coherence: float
    n_eff: float
    p: float
    omega: float
    omega_sigma: float
    phase_sigma: float
    resonance: complex | None
    clock_sigma_s: float
    flags: Flags


class PhaseFrame(_Fields):
    """A block of phases of one channel in one band. Node, band and channel come from the topic, never from here.

    Parameters
    ----------
    boot : int
        The node's boot id, 32 bits, a counter that only grows.
    seq : int
        The frame's number within the channel, band and boot, from 0.
    time_us : int
        Mesh time of the first sample, µs since the Unix epoch.
    phasors : ndarray of complex64, shape (n_samples,)
        e^{iφ} of each sample, of modulus at most 1; 0 where the phase is undefined. 1 to `MAX_SAMPLES` samples.
    spacing_us : float or None
        µs between samples; required above one sample, absent otherwise.
    coherence : float
        Local coherence at the last sample, 0..1, corrected for its bias.
    n_eff : float
        Effective number of independent samples behind it, at least 1.
    p : float
        Probability of such a coherence without any rhythm, 0..1.
    omega, omega_sigma : float
        Measured angular frequency and its standard deviation, rad/s.
    phase_sigma : float
        Standard deviation of the last phase, rad.
    clock_sigma_s : float
        Standard deviation of the node's clock against the mesh's, s.
    flags : Flags
        See `Flags`.
    resonance : complex or None
        T_τ at the band's lag, of modulus at most 1, where it is defined.

    Attributes
    ----------
    samples : bytes
        The phasors as they cross the wire: little-endian float32, re and im in turn.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        boot: int,
        seq: int,
        time_us: int,
        phasors: NDArray[np.complex64],
        spacing_us: float | None = None,
        coherence: float,
        n_eff: float,
        p: float,
        omega: float,
        omega_sigma: float,
        phase_sigma: float,
        clock_sigma_s: float,
        flags: Flags,
        resonance: complex | None = None,
    ) -> PhaseFrame:
        """Round the phasors to float32 and keep their bytes."""
        return cls._make(
            (
                boot,
                seq,
                time_us,
                spacing_us,
                np.ascontiguousarray(phasors, "<c8").tobytes(),
                coherence,
                n_eff,
                p,
                omega,
                omega_sigma,
                phase_sigma,
                resonance,
                clock_sigma_s,
                flags,
            )
        )

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, Any]]:
        fields = self._asdict()
        del fields["samples"]
        return (), {**fields, "phasors": self.phasors}

    @property
    def phasors(self) -> NDArray[np.complex64]:
        """e^{iφ} of each sample; 0 where the phase is undefined. A view that cannot be written to."""
        return np.frombuffer(self.samples, "<c8").astype(np.complex64, copy=False)

    @property
    def last_phasor(self) -> complex:
        """e^{iφ} of the last sample; 0 where its phase is undefined."""
        return complex(*SAMPLE.unpack_from(self.samples, len(self.samples) - SAMPLE.size))

    @property
    def last_time_us(self) -> float:
        """Mesh time of the last sample, µs since the Unix epoch."""
        return self.time_us + (len(self.samples) // SAMPLE.size - 1) * (self.spacing_us or 0.0)
