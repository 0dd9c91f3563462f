"""What all have done alike: the part of a band's innovations that is the rhythm's, and no single channel's."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

TUKEY: Final = 4.685
"""Tukey's biweight gives no say beyond so many σ, and has 95 % of the mean's efficiency for Gaussian errors."""

TRUSTED: Final = 0.75

_MAD: Final = 1.4826
_TINY: Final = 1e-12


class Consensus(NamedTuple):
    """The common part.

    Parameters
    ----------
    shift : float
        rad, −π..π.
    share : ndarray of float, shape (n,)
        Variance of each channel's distance from it, over that of the channel's own innovations. One that has a say of
        h in the mean is nearer to it, 1 − h; and one that was rejected farther, by the others' error.
    nodes : int
        How many nodes it rests on.
    others : ndarray of int, shape (n,)
        The same without the channel's own node.
    """

    shift: float
    share: NDArray[np.float64]
    nodes: int
    others: NDArray[np.intp]


def consensus(
    ahead: NDArray[np.float64], variance: NDArray[np.float64], node: NDArray[np.intp], trust: NDArray[np.float64]
) -> Consensus:
    """Find by how much the channels together are ahead of what was expected of each.

    A weighted median, and from there one step of Tukey's biweight (P. J. Huber, Robust Statistics, 1981, 6.7), so that
    what a minority does stays its own. Of two nodes neither can be rejected: then it is their mean.

    Parameters
    ----------
    ahead : ndarray of float, shape (n,)
        rad; NaN for a channel of which nothing was expected.
    variance : ndarray of float, shape (n,)
        That of each channel's own innovations, rad²; NaN or inf for one that is no measure for others: those take part
        only where there are no two nodes of the other kind.
    node : ndarray of int, shape (n,)
        Its node's number, ≥ 0. A node has one say, however many channels it has.
    trust : ndarray of float, shape (n,)
        Below 0.75 it has no say, where there are two nodes that have.
    """
    share = np.ones(ahead.shape[0])
    expected = ~np.isnan(ahead)
    trusted = expected & (trust >= TRUSTED)
    if np.unique(node[trusted]).shape[0] < 2:
        trusted = expected
    part = trusted & np.isfinite(variance)
    known = np.unique(node[part]).shape[0] >= 2
    if not known:
        part = trusted
    if not part.any():
        return Consensus(0.0, share, 0, np.zeros(ahead.shape[0], np.intp))
    d, number = ahead[part], node[part]
    channels = np.bincount(number)
    nodes = int(np.count_nonzero(channels))
    say = 1.0 / channels[number] / (variance[part] if known else 1.0)
    usual = say / say.sum()
    about = np.angle(np.sum(say * np.exp(1j * d)))
    r = _wrapped(d - about)
    centre = _weighted_median(r, say)
    r = _wrapped(r - centre)
    if nodes > 2:
        sigma = np.sqrt(variance[part]) if known else np.full(d.shape, max(_TINY, _MAD * float(np.median(np.abs(r)))))
        near = np.square(np.maximum(0.0, 1.0 - np.square(r / (TUKEY * sigma))))
        say = say * near
    total = float(say.sum())
    shift = float(about) + centre + float(say @ r) / total
    # The distance from the others' mean is that from the common one over 1 − h, and has the variance 1 + h'/(1 − h').
    share[part] = np.square(1.0 - say / total) / np.maximum(1.0 - usual, _TINY)
    heard = np.unique(number[say > 0.0])
    return Consensus(math.remainder(shift, math.tau), share, len(heard), len(heard) - _among(node, heard))


def _weighted_median(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    order = np.argsort(values, kind="stable")
    grown: NDArray[np.float64] = np.cumsum(weight[order])
    half = 0.5 * float(grown[-1])
    return float(values[order[int(np.searchsorted(grown, half))]])


def _among(node: NDArray[np.intp], heard: NDArray[np.intp]) -> NDArray[np.intp]:
    """Give 1 where a node is among those that were heard, else 0."""
    table = np.zeros(int(node.max(initial=0)) + 1, np.intp)
    table[heard] = 1
    return table[node]


def _wrapped(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    return angle - math.tau * np.rint(angle / math.tau)
