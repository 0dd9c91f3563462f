"""What the filter and the slow mean do to a tone, exactly, and how to undo it.

A real tone at ω is the sum of p = (A/2)·e^{i(ωt+φ)} and its conjugate. The two rotated poles answer p with
H(ω − ω₀), H(δ) = (α/(1 − λe^{−iδΔ}))², and the conjugate with H(−ω − ω₀). The slow mean holds a little of the tone
too, M(ω) = α_m/(1 − λ_m e^{−iωΔ}), and is taken away as a constant would be answered, by H(−ω₀). So the demodulator's
output is

    z = a·p + b·p*,   a = H(ω − ω₀) − M(ω)·H(−ω₀),   b = H(−ω − ω₀) − M(ω)*·H(−ω₀),

and p = (a*·z − b·z*)/(|a|² − |b|²). Leaving b out leaves a ripple of |b/a| ≈ 1/(1 + (2ω₀τ)²) rad at twice the
frequency (0.01 rad for a band with ω₀τ = 5). A complex input has no conjugate: b = 0.
"""

from __future__ import annotations

import cmath
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Far outside the band the attenuation is what matters, not the phase, and beyond these bounds a and b may exchange
# roles (ω̂ < 0); the corrected phase is that of a tone at the nearest bound.
_LOWEST: Final = 0.5
_HIGHEST: Final = 1.5
# Sampled too coarsely, a tone and its image coincide and cannot be told apart: then the image is left in.
_MOST_IMAGE: Final = 0.7

_Number = TypeVar("_Number", complex, "NDArray[np.complex128]")


class Response(NamedTuple):
    """The filters of one channel in one band at one spacing.

    Parameters
    ----------
    omega0 : float
        Centre frequency in rad/s.
    dt : float
        Spacing of the samples in seconds.
    alpha, alpha_mean : float
        α of each demodulating pole and of the slow mean, at this spacing.
    real : bool
        Whether the input is real, and so has an image.
    """

    omega0: float
    dt: float
    alpha: float
    alpha_mean: float
    real: bool

    def _answers(self, turn: _Number) -> tuple[_Number, _Number]:
        """Return a and b for each e^{−iωΔ}."""
        back = cmath.exp(1j * self.omega0 * self.dt)
        lam = 1.0 - self.alpha
        mean = self.alpha_mean / (1.0 - (1.0 - self.alpha_mean) * turn)
        still = (self.alpha / (1.0 - lam * back)) ** 2
        a = (self.alpha / (1.0 - lam * back * turn)) ** 2 - mean * still
        b = (self.alpha / (1.0 - lam * back * turn.conjugate())) ** 2 - mean.conjugate() * still
        return a, b

    def undo(self, omega: float) -> tuple[complex, complex]:
        """Return c and d such that c·z + d·z* has a tone's true phase, and still the filter's gain |a|.

        The gain is left in on purpose: dividing it out would lift a tone that the band rejects to its full size,
        past the amplitude floor.

        Parameters
        ----------
        omega : float
            Measured frequency in rad/s; clipped to 0.5..1.5 times the band's.
        """
        omega = min(_HIGHEST * self.omega0, max(_LOWEST * self.omega0, omega))
        a, b = self._answers(cmath.exp(-1j * omega * self.dt))
        gain = abs(a)
        if not self.real or abs(b) > _MOST_IMAGE * gain:
            b = 0j
        scale = gain / (gain**2 - abs(b) ** 2)
        return a.conjugate() * scale, -b * scale

    def undo_each(self, omega: NDArray[np.float64]) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
        """Return the same for many frequencies, all of shape (m,)."""
        omega = np.clip(omega, _LOWEST * self.omega0, _HIGHEST * self.omega0)
        a, b = self._answers(np.exp(-1j * omega * self.dt))
        gain: NDArray[np.float64] = np.abs(a)
        no_image = (np.abs(b) > _MOST_IMAGE * gain) | (not self.real)
        b[no_image] = 0.0
        scale = gain / (gain**2 - np.abs(b) ** 2)
        c: NDArray[np.complex128] = np.multiply(np.conj(a), scale, dtype=np.complex128)
        d: NDArray[np.complex128] = -b * scale
        return c, d
