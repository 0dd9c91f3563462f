"""G: what the innovations of a stretch say about the filter that made them, and how steeply that depends on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP: Final = 0.8
"""K ← K + 0.8·ρ₁. Near the fixed point ∂ρ₁/∂K = −1, so the error shrinks to 0.2 of itself; σ of K is then √(0.8/1.2/n),
and would be √(1/n) at a step of 1."""

_NOTHING: Final = 1e-12
_SIGMAS: Final = 4.0


@dataclass(frozen=True, slots=True)
class Witnessing:
    """One application of G.

    Parameters
    ----------
    n : int
        Innovations in the stretch.
    gain_used, scale_used : float, float or None
        W during the stretch.
    rho : float
        ρ₁ of the innovations, about −1..1; 0 ± 1/√n at the fixed point.
    nis : float or None
        ⟨e²⟩/s; 1 ± √(2/n) at the fixed point; None while s was not known.
    gain, scale : float, float or None
        W = G[W], in force from here on (W as it was, if the witness is frozen or the stretch says nothing).
    slope : float
        ∂K'/∂K of G at this W, on these very innovations; 0.2 at the fixed point. NaN if the stretch says nothing.
    slope_sigma : float
        Standard deviation of ``slope`` for white innovations.
    lipschitz : float
        Empirical Lipschitz constant of G: the steepest slope, up or down, of the last 4 stretches.
    not_converged : bool
        The Lipschitz constant is 1 or more, or not known: iterating G need not come to rest.
    misfit : bool
        K is at a bound and the innovations are not white (4σ): no gain makes this filter fit these data.
    """

    n: int
    gain_used: float
    scale_used: float | None
    rho: float
    nis: float | None
    gain: float
    scale: float | None
    slope: float
    slope_sigma: float
    lipschitz: float
    not_converged: bool
    misfit: bool


class Stretch:
    """Sums over the innovations e of a stretch and over their sensitivity t = ∂e/∂K.

    t belongs to a twin filter of infinitesimally different gain on the same data: t_{n+1} = (1 − K)·t_n − e_n. The
    noise is common to both twins, so the slope of G,

    ∂K'/∂K = 1 + 0.8·∂ρ₁/∂K, ∂ρ₁/∂K = (⟨t_n·e_{n−1} + e_n·t_{n−1}⟩ − 2ρ₁·⟨e·t⟩)/⟨e²⟩,

    is as certain as 1/√n allows. The quotient of successive iterates, |K₃ − K₂|/|K₂ − K₁|, is not: near the fixed
    point both differences are noise, and their quotient has no mean.
    """

    __slots__ = ("_before", "_before_tangent", "_pairs", "_products", "_same", "_squares", "_tangents", "n")

    def __init__(self) -> None:
        self._before: float | None = None
        self._before_tangent = 0.0
        self.reset()

    def reset(self) -> None:
        """Begin a new stretch that follows on the old one."""
        self.n = 0
        self._pairs = 0
        self._squares = 0.0
        self._products = 0.0
        self._same = 0.0
        self._tangents = 0.0

    def step(self, e: float, t: float) -> None:
        """Take one innovation, scaled to the steady filter's variance, and its sensitivity, scaled alike."""
        self.n += 1
        self._squares += e * e
        self._same += e * t
        if self._before is not None:
            self._pairs += 1
            self._products += e * self._before
            self._tangents += t * self._before + e * self._before_tangent
        self._before, self._before_tangent = e, t

    def block(self, e: NDArray[np.float64], t: NDArray[np.float64]) -> None:
        """Take consecutive innovations and sensitivities, both of shape (n,), n ≥ 1."""
        self.step(e[0].item(), t[0].item())
        self.n += e.shape[0] - 1
        self._pairs += e.shape[0] - 1
        self._squares += float(e[1:] @ e[1:])
        self._same += float(e[1:] @ t[1:])
        self._products += float(e[1:] @ e[:-1])
        self._tangents += float(t[1:] @ e[:-1]) + float(e[1:] @ t[:-1])
        self._before, self._before_tangent = e[-1].item(), t[-1].item()

    def apply(self, gain: float, scale: float | None, steepest: float, *, frozen: bool) -> Witnessing:
        """Return G[W].

        Parameters
        ----------
        gain, scale : float, float or None
            W during the stretch.
        steepest : float
            The steepest slope, up or down, of the stretches before that still count; 0 if there are none.
        frozen : bool
            Whether W stays as it is.
        """
        mean_square = self._squares / self.n
        sigma = slope_sigma(gain, self.n)
        nis = None if scale is None else mean_square / scale
        if not mean_square > _NOTHING * (0.0 if scale is None else scale) or not self._pairs:
            # A value that does not move at all says nothing about a filter; W would become 0/0.
            nothing = math.nan
            return Witnessing(self.n, gain, scale, 0.0, nis, gain, scale, nothing, sigma, nothing, True, False)
        rho = self._products / self._pairs / mean_square
        steepness = (self._tangents / self._pairs - 2.0 * rho * self._same / self.n) / mean_square
        slope = 1.0 + STEP * steepness
        wanted = gain + STEP * rho
        bounded = min(1.0, max(least_gain(self.n), wanted))
        lipschitz = max(abs(slope), steepest)
        return Witnessing(
            n=self.n,
            gain_used=gain,
            scale_used=scale,
            rho=rho,
            nis=nis,
            gain=gain if frozen else bounded,
            scale=scale if frozen and scale is not None else mean_square,
            slope=slope,
            slope_sigma=sigma,
            lipschitz=lipschitz,
            not_converged=not lipschitz < 1.0,
            misfit=wanted != bounded and abs(rho) * math.sqrt(self.n) > _SIGMAS,
        )


def least_gain(n: int) -> float:
    """Return the lower bound of K, 1/√n: n innovations cannot tell a smaller gain from none.

    One that chance drove far below what the data ask for would let the track go astray. The price of one that is too
    large is slight: ρ₁ = −K/2, half of what chance makes of it.
    """
    return 1.0 / math.sqrt(n)


def slope_sigma(gain: float, n: int) -> float:
    """Return the standard deviation of the slope for n white innovations.

    0.8·√((θ² + (1 + θ²)²/(1 − θ²))/n), θ = 1 − K:
    with e white, t_n = −Σ_j θ^j·e_{n−1−j}; the sum over t_n·e_{n−1} + e_n·t_{n−1} holds the product of two innovations
    m apart with the factor θ for m = 1 and θ^m + θ^{m−2} for m ≥ 2, and the products of different pairs are
    uncorrelated.
    """
    square = (1.0 - gain) ** 2
    return STEP * math.sqrt((square + (1.0 + square) ** 2 / (1.0 - square)) / n)
