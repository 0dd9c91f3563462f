"""From the filter's output to phases: the filter's own turn undone, and none where there is nothing to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.channel.timing import Timing


class PhaseReader:
    """u = (c·z + d·z*)/|…|, with c and d of the frequency last measured.

    Parameters
    ----------
    floor : float
        Amplitude below which there is no phase, in the sensor's unit, ≥ 0; held against the amplitude before anything
        is scaled.
    real : bool
        Whether samples are real.

    Attributes
    ----------
    undo : (complex, complex)
        c and d, see :meth:`becomingone.kairos.channel.response.Response.undo`.
    amplitude : float
        At the last sample, in the sensor's unit.
    """

    __slots__ = ("_floor", "_real", "_scale", "amplitude", "undo")

    def __init__(self, floor: float, *, real: bool) -> None:
        self._floor = floor
        self._real = real
        # A real oscillation of peak A is the sum of two phasors of A/2.
        self._scale = 2.0 if real else 1.0
        self.undo: tuple[complex, complex] = (1.0, 0.0)
        self.amplitude = 0.0

    def one(self, z: complex, weight: float, warm: bool) -> complex:
        """Return the phasor of one sample, or 0; ``weight`` is the filter's, 0..1."""
        c, d = self.undo
        value = c * z + d * z.conjugate()
        modulus = abs(value)
        amplitude = self._scale * modulus / weight
        self.amplitude = amplitude
        return value / modulus if warm and amplitude >= self._floor and modulus > 0.0 else 0.0

    def many(
        self,
        z: NDArray[np.complex128],
        weight: NDArray[np.float64] | None,
        warm: NDArray[np.bool_] | None,
        undo: list[tuple[complex, complex]],
        lengths: list[int],
        out: NDArray[np.complex128],
    ) -> None:
        """Write the phasors of uniform samples, shape (n,), to ``out``, which holds zeros.

        ``weight`` and ``warm`` of None: all 1, all true. ``undo`` holds the corrections of consecutive parts of the
        block, ``lengths`` how long those are; the last one stays.
        """
        c: complex | NDArray[np.complex128]
        d: complex | NDArray[np.complex128]
        c, d = undo[0]
        if len(undo) > 1:
            each = np.array(undo)
            c, d = np.repeat(each[:, 0], lengths), np.repeat(each[:, 1], lengths)
        self.undo = undo[-1]
        value = c * z
        if self._real:
            image = np.conj(z)
            image *= d
            value += image
        modulus = np.abs(value)
        floor = self._floor / self._scale
        self.amplitude = self._scale * modulus[-1].item() / (1.0 if weight is None else weight[-1].item())
        valid = modulus >= (floor if weight is None else weight * floor)
        valid &= modulus > 0.0
        if warm is not None:
            valid &= warm
        if valid.all():
            np.multiply(value, 1.0 / modulus, out=out)
        else:
            np.divide(value, modulus, out=out, where=valid)

    def ticks(
        self,
        z: NDArray[np.complex128],
        weight: NDArray[np.float64] | None,
        warm: NDArray[np.bool_] | None,
        timing: Timing,
    ) -> NDArray[np.complex128]:
        """Return phasors for the slow figures, any shape: corrected at ω₀, so as not to depend on what they measure."""
        if self._real:
            c, d = timing.undo_center
            z = c * z + d * np.conj(z)
        modulus = np.abs(z)
        phases = np.zeros_like(z)
        valid = self._scale * modulus >= (self._floor if weight is None else self._floor * weight)
        valid &= modulus > 0.0
        if warm is not None:
            valid &= warm
        np.divide(z, modulus, out=phases, where=valid)
        return phases
