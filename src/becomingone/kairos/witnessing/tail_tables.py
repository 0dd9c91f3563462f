"""The tails of `tails`, tabulated, for many windows at once."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from becomingone.kairos.witnessing.tails import KNOWN, beta_cdf, order_table, order_tails, white_p

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOG_NIS: Final = np.concatenate((np.arange(-40.0, -3.0, 0.5), np.arange(-3.0, 2.5, 0.03), np.arange(2.5, 14.0, 0.25)))
_TURNED: Final = np.concatenate((np.arange(0.0, 3.0, 0.03), np.arange(3.0, 18.0, 0.5)))
_LEAST: Final = 1e-290
_CANCELS: Final = 1e-9


class Health(NamedTuple):
    """p-values of windows, each of shape (n,): as `layers.health`, and the two sides of NIS apart.

    Parameters
    ----------
    below, above : ndarray of float
        Probability of so small, and of so great a NIS.
    rho_p : ndarray of float
        Two-sided p-value of ρ₁.
    p : ndarray of float
        The health signal.
    """

    below: NDArray[np.float64]
    above: NDArray[np.float64]
    rho_p: NDArray[np.float64]
    p: NDArray[np.float64]


@functools.cache
def _nis_table(n: int, learnt_from: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ln P(NIS ≤ x) and ln P(NIS > x) at the nodes of ln x."""
    below: list[float] = []
    above: list[float] = []
    for log_nis in _LOG_NIS.tolist():
        nis = math.exp(log_nis)
        scale = n * nis + learnt_from
        below.append(math.log(max(_LEAST, beta_cdf(0.5 * n, 0.5 * learnt_from, n * nis / scale))))
        above.append(math.log(max(_LEAST, beta_cdf(0.5 * learnt_from, 0.5 * n, learnt_from / scale))))
    return np.array(below), np.array(above)


@functools.cache
def _white_table(n: int) -> NDArray[np.float64]:
    """Return ln p of |ρ₁| at the nodes of its inverse hyperbolic tangent."""
    return np.array([math.log(max(_LEAST, white_p(math.tanh(x), n))) for x in _TURNED.tolist()])


def healths(nis: NDArray[np.float64], rho: NDArray[np.float64], n: int, learnt_from: NDArray[np.float64]) -> Health:
    """Return the p-values of windows, within 1 % of the exact ones.

    Parameters
    ----------
    nis, rho : ndarray of float, shape (m,)
        Mean normalised innovation squared, ≥ 0, and lag-1 autocorrelation.
    n : int
        Innovations in each window, ≥ 2.
    learnt_from : ndarray of float, shape (m,)
        Innovations that the scale was learnt from; few different ones, for each of which a table is made.
    """
    log_nis = np.log(np.maximum(nis, 1e-17))
    below, above = np.ones(nis.shape), np.ones(nis.shape)
    for m in np.unique(learnt_from).tolist():
        part = learnt_from == m
        log_below, log_above = _nis_table(n, min(float(m), KNOWN))
        below[part] = np.exp(np.interp(log_nis[part], _LOG_NIS, log_below))
        above[part] = np.exp(np.interp(log_nis[part], _LOG_NIS, log_above))
    turned = np.arctanh(np.minimum(np.abs(rho), 1.0 - 1e-15))
    rho_p = np.exp(np.interp(turned, _TURNED, _white_table(n)))
    return Health(below, above, rho_p, combined(np.minimum(1.0, 2.0 * np.minimum(below, above)), rho_p))


def combined(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return pq·(1 − ln pq), as `tails.fisher`, of arrays."""
    product = np.maximum(p * q, _LEAST)
    return np.asarray(product * (1.0 - np.log(product)), dtype=np.float64)


def deviates(z: NDArray[np.float64], learnt_from: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return normalised values, whose scale was learnt, as normal deviates, ≥ 0: see `tails.normal_tail`."""
    m = learnt_from
    return np.asarray(np.sqrt(m * np.log1p(z * z / m)) * (8.0 * m + 1.0) / (8.0 * m + 3.0), dtype=np.float64)


def two_sided(deviate: float) -> float:
    """Return the probability of a normal deviate as far from 0, either way."""
    return math.erfc(abs(deviate) / math.sqrt(2.0))


def deviate_of(p: float) -> float:
    """Return the normal deviate of a two-sided p, 0 < p < 1."""
    low, high = 0.0, 40.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if two_sided(middle) > p else (low, middle)
    return high


def uniformities(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Test many sets of p-values for uniformity at once: as `tails.uniformity_p` of each.

    Parameters
    ----------
    p : ndarray of float, shape (m, n)
        0..1; n within 1..16.

    Returns
    -------
    ndarray of float, shape (m,)
    """
    return np.minimum(1.0, 2.0 * np.minimum(_order_ps(p), _order_ps(np.abs(2.0 * p - 1.0))))


def _order_ps(p: NDArray[np.float64]) -> NDArray[np.float64]:
    n = int(p.shape[1])
    below, above = order_tails(np.sort(p, axis=1))
    least: NDArray[np.float64] = np.minimum(below, above).min(axis=1)
    level: NDArray[np.float64] = np.minimum(1.0, 2.0 * least, dtype=np.float64)
    log_level: NDArray[np.float64] = np.log(np.maximum(level, _LEAST, dtype=np.float64), dtype=np.float64)
    nodes, log_ratio = order_table(n)
    ratio: NDArray[np.float64] = np.exp(np.interp(log_level, nodes, log_ratio), dtype=np.float64)
    bound = np.asarray(level * n, dtype=np.float64)
    return np.where(bound < _CANCELS, bound, np.minimum(np.minimum(1.0, bound), level * ratio))
