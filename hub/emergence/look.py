"""One look: whether the nodes of a band share their irregularity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.kairos.pairs.fluctuation import fluctuations
from becomingone.kairos.pairs.shared_fluctuation import SharedFluctuation, shared_fluctuation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.bands import Band

FASTEST: Final = 0.4
"""Fluctuations up to this many cycles in τ are looked at: the band's filter lets a seventh of those through."""

ENOUGH: Final = 0.5
"""A node is judged when it was there for at least this share of what the second-longest-present one was."""

RECENT_TAU: Final = 60.0
"""Length of the shorter window, τ, which notices a change sooner."""


MOST_BEATEN: Final = 0.05
"""Share of the time shifts of two nodes that may do as well as the truth. Where more do, the fluctuations are not what
the law takes them for."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is looked at; a copy, so that it may be looked at in another thread.

    Parameters
    ----------
    time_us : int
        Mesh time at which it was asked for.
    band : Band
        The band.
    phasors : ndarray of complex64, shape (n_slots, n_channels)
        0: no phase.
    spacing_s : float
        Seconds from slot to slot.
    node : ndarray of int, shape (n_channels,)
        The node of each channel.
    weight : ndarray of float, shape (n_channels,)
        Weights of the channels, > 0.
    trend_s, settle_s, least_s : float
        See `EmergenceSection`, in s.
    alpha : float
        What the look may spend.
    seed : int
        Of the random phases.
    """

    time_us: int
    band: Band
    phasors: NDArray[np.complex64]
    spacing_s: float
    node: NDArray[np.intp]
    weight: NDArray[np.float64]
    trend_s: float
    settle_s: float
    least_s: float
    alpha: float
    seed: int


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen.

    Parameters
    ----------
    time_us : int
        Mesh time at which it was asked for.
    nodes : tuple of int
        The nodes that were judged.
    whole, recent : SharedFluctuation or None
        Over the whole window and over the end of it; None where there was too little of it.
    length_s, recent_s : float
        How long they were, s.
    alpha : float
        The p that each of them had to stay below.
    """

    time_us: int
    nodes: tuple[int, ...]
    whole: SharedFluctuation | None
    recent: SharedFluctuation | None
    length_s: float
    recent_s: float
    alpha: float

    @property
    def best(self) -> tuple[SharedFluctuation, float] | None:
        """What is less likely to be chance, and how long it was; one that many shifts beat comes last."""
        found = [(s, length) for s, length in ((self.whole, self.length_s), (self.recent, self.recent_s)) if s]
        return min(found, key=lambda pair: (pair[0].beaten > MOST_BEATEN, pair[0].p), default=None)

    @property
    def significant(self) -> bool:
        """Whether either is less likely than what it may spend."""
        best = self.best
        return best is not None and best[0].p <= self.alpha and not best[0].beaten > MOST_BEATEN


def highest_hz(band: Band, spacing_s: float) -> float:
    """Give the fastest fluctuation that is looked at, Hz: slower than the rhythm itself, and within the filter."""
    return min(0.5 * band.frequency_hz, FASTEST / band.tau_s, FASTEST / spacing_s)


def look(request: Request) -> Look:
    """Test the nodes of a band over the whole window and, where that is long, over the end of it."""
    band, spacing_s = request.band, request.spacing_s
    phasors = settled(request.phasors, round(band.tau_s / spacing_s), round(request.settle_s / spacing_s))
    nodes, own = np.unique(request.node, return_inverse=True)
    present = np.zeros((phasors.shape[0], nodes.shape[0]), np.bool_)
    for channel, k in enumerate(own.tolist()):
        present[:, k] |= phasors[:, channel] != 0.0
    count = present.sum(axis=0)
    if nodes.shape[0] < 2 or spacing_s * np.sort(count)[-2] < request.least_s:
        return Look(request.time_us, (), None, None, 0.0, 0.0, request.alpha)
    judged = count >= ENOUGH * np.sort(count)[-2]
    channels = judged[own]
    x, known = fluctuations(phasors[:, channels].astype(np.complex128), spacing_s, request.trend_s)
    own = np.unique(own[channels], return_inverse=True)[1]
    x, known, weight = by_node(x, known, own, request.weight[channels])
    recent = round(RECENT_TAU * band.tau_s / spacing_s)
    short = int(known.any(axis=1).sum()) >= 2 * recent
    alpha = 0.5 * request.alpha if short else request.alpha
    rng = np.random.default_rng(request.seed)

    def judge(slots: slice) -> tuple[SharedFluctuation | None, float]:
        found = shared_fluctuation(
            x[slots], known[slots], spacing_s, highest_hz=highest_hz(band, spacing_s), rng=rng, weight=weight
        )
        length_s = found.ticks * spacing_s
        return (found, length_s) if length_s >= request.least_s and found.value == found.value else (None, length_s)

    whole, length_s = judge(slice(None))
    late, late_s = judge(slice(-recent, None)) if short else (None, 0.0)
    return Look(request.time_us, tuple(nodes[judged].tolist()), whole, late, length_s, late_s, alpha)


def settled(phasors: NDArray[np.complex64], gap: int, settle: int) -> NDArray[np.complex64]:
    """Leave out what follows a start or a gap: there the filter's output is about its own beginning.

    Parameters
    ----------
    phasors : ndarray of complex, shape (n_slots, n_channels)
        0: no phase.
    gap, settle : int
        Slots without a phase that are a gap, and how many slots after one are left out.
    """
    if settle < 1:
        return phasors
    n = phasors.shape[0]
    missing = phasors == 0.0
    slot = np.arange(n, dtype=np.intp)[:, None]
    # Where the last present slot was, and so how long each gap is that ends here.
    before = np.maximum.accumulate(np.where(missing, -1, slot), axis=0)
    last = np.vstack((np.full((1, phasors.shape[1]), -1, np.intp), before[:-1]))
    begins = ~missing & ((slot - last - 1 >= max(1, gap)) | (last < 0))
    begun = np.maximum.accumulate(np.where(begins, slot, -settle), axis=0)
    return np.where(slot - begun < settle, np.complex64(0), phasors)


def by_node(
    x: NDArray[np.float64], known: NDArray[np.bool_], node: NDArray[np.intp], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Average the channels of each node, scaled to unit power first.

    Returns
    -------
    fluctuation, known : ndarray, shape (n_slots, n_nodes)
        Known where any of the node's channels is.
    weight : ndarray of float, shape (n_nodes,)
        Mean weight of the node's channels.
    """
    size = np.sqrt((x * x).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
    x = np.where(known, x / np.where(size > 0.0, size, 1.0), 0.0)
    n = int(node.max()) + 1
    if n == x.shape[1] and (np.diff(node) > 0).all():
        return x, known, weight
    total, count = np.zeros((x.shape[0], n)), np.zeros((x.shape[0], n))
    for channel, k in enumerate(node.tolist()):
        total[:, k] += x[:, channel]
        count[:, k] += known[:, channel]
    mean_weight = np.bincount(node, weight, n) / np.maximum(np.bincount(node, minlength=n), 1)
    return total / np.maximum(count, 1.0), count > 0.0, mean_weight
