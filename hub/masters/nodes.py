"""The nodes' Emissaries of one band, told by their frames, each compared with the band's Master in its turn."""

from __future__ import annotations

import cmath
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from becomingone.hub.intake.roster import Member, Roster
from becomingone.hub.masters.band_pair import brief_figures, look_us
from becomingone.hub.mesh.table import ChannelTable
from becomingone.kairos.bands import Band
from becomingone.kairos.channel.coherence import p_noise
from becomingone.kairos.transducers.synchronise import Decision, Synchronisation, Synchroniser
from becomingone.kairos.transducers.transducer import Reading
from becomingone.wire.announce import About

_GOLDEN: Final = (math.sqrt(5.0) - 1.0) / 2.0
"""Multiples of it, modulo 1, spread any number of nodes evenly over the time between comparisons (D. E. Knuth, TAOCP 3,
6.4)."""

_MOST_OF_A_ROUND: Final = 0.1
"""A tick compares at most this share of a band's nodes, also after a pause of the loop."""

_ABSENT_AT_ONCE: Final = 16
"""Nodes that a tick looks at to find those whose phases have ended."""

_LAG_TOLERANCE: Final = 1e-6
_TINY: Final = 1e-9


@dataclass(slots=True)
class NodePair:
    """One node against the Master.

    Parameters
    ----------
    synchroniser : Synchroniser
        Compares.
    about : About or None
        The description from which `window_s` and `alike` are.
    window_s : float
        Window of its T, s.
    alike : bool
        Whether its T is of the lag that the cell's plan says: else it is another figure.
    latest : Synchronisation or None
        What the last comparison said.
    looked_us : int
        When that was, mesh time, µs.
    """

    synchroniser: Synchroniser
    about: About | None = None
    window_s: float = 0.0
    alike: bool = False
    latest: Synchronisation | None = None
    looked_us: int = 0
    _figures: dict[str, Any] | None = field(default=None, repr=False)

    def take(self, found: Synchronisation, time_us: int) -> None:
        """Take a comparison."""
        self.latest, self.looked_us, self._figures = found, time_us, None

    def figures(self) -> dict[str, Any]:
        """Give the last comparison as JSON has it; made once a comparison, however often it is published."""
        if self._figures is None:
            self._figures = {} if self.latest is None else brief_figures(self.latest)
            if not self.alike and self.about is not None:
                self._figures["reason"] = "other_lag"
        return self._figures


class NodePairs:
    """All nodes of one band.

    Parameters
    ----------
    band : Band
        As the cell's plan has it.
    table, roster : ChannelTable, Roster
        The channels' live state, and who they belong to.
    make : callable
        Makes a node's synchroniser.

    Attributes
    ----------
    pairs : dict of int to NodePair
        By node number, all that were ever compared.
    decisions : Counter of str
        How many of them there are of each decision.
    apart : dict of int to None
        Those that do not proceed, in the order in which they were found not to.
    """

    def __init__(self, band: Band, table: ChannelTable, roster: Roster, make: Callable[[], Synchroniser]) -> None:
        self.band = band
        self.pairs: dict[int, NodePair] = {}
        self.decisions: Counter[str] = Counter()
        self.apart: dict[int, None] = {}
        self._table = table
        self._roster = roster
        self._make = make
        self._look_us = look_us(band)
        self._round = 0.0
        self._took_us: int | None = None
        self._absent: Iterator[int] = iter(())

    def take(self, rows: NDArray[np.intp], master: Reading, time_us: int) -> list[tuple[Member, Synchronisation]]:
        """Compare those whose turn it is.

        Parameters
        ----------
        rows : ndarray of int
            The rows of the table that had a phase when the band was last evaluated.
        master : Reading
            The Master, its phase at that time.
        time_us : int
            That time, mesh time, µs; later than the one before.

        Returns
        -------
        list of (Member, Synchronisation)
            By node number.
        """
        passed = 0.0 if self._took_us is None else (time_us - self._took_us) / self._look_us
        self._took_us = time_us
        found = self._present(rows, min(passed, _MOST_OF_A_ROUND), master, time_us)
        found += self._gone(master, time_us)
        return found

    def _present(
        self, rows: NDArray[np.intp], passed: float, master: Reading, time_us: int
    ) -> list[tuple[Member, Synchronisation]]:
        numbers = self._table["node"][rows]
        after, self._round = self._round, (self._round + passed) % 1.0
        due = rows[((numbers * _GOLDEN - after) % 1.0) < passed]
        if not len(due):
            return []
        found: list[tuple[Member, Synchronisation]] = []
        for number, told in self._told(due):
            member = self._roster.members[number]
            pair = self._pair(number, member)
            emissary = told(pair.window_s, self.band.tau_s, alike=pair.alike)
            decided = pair.synchroniser.update(master, emissary, time_us)
            self._note(number, pair, decided, time_us)
            found.append((member, decided))
        return found

    def _gone(self, master: Reading, time_us: int) -> list[tuple[Member, Synchronisation]]:
        """Compare with nothing those who have had no phase for two rounds: what they were found to be is over."""
        looked = [number for number in itertools.islice(self._absent, _ABSENT_AT_ONCE) if number in self.pairs]
        if not looked:
            self._absent = iter(list(self.pairs))
        found: list[tuple[Member, Synchronisation]] = []
        for number in looked:
            pair = self.pairs[number]
            if time_us - pair.looked_us <= 2 * self._look_us:
                continue
            member = self._roster.members[number]
            if not member.known:  # forgotten; were it to come back, it would begin anew
                self._drop(number, pair)
                continue
            decided = pair.synchroniser.update(master, undefined(self.band), time_us)
            self._note(number, pair, decided, time_us)
            found.append((member, decided))
        return found

    def _drop(self, number: int, pair: NodePair) -> None:
        del self.pairs[number]
        self.apart.pop(number, None)
        if pair.latest is not None:
            self.decisions[pair.latest.decision.value] -= 1

    def _note(self, number: int, pair: NodePair, decided: Synchronisation, time_us: int) -> None:
        if pair.latest is not None:
            self.decisions[pair.latest.decision.value] -= 1
        self.decisions[decided.decision.value] += 1
        if decided.decision is Decision.PROCEED:
            self.apart.pop(number, None)
        else:
            self.apart[number] = None
        pair.take(decided, time_us)

    def _pair(self, number: int, member: Member) -> NodePair:
        pair = self.pairs.get(number)
        if pair is None:
            pair = self.pairs[number] = NodePair(self._make())
        if pair.about is not member.about:
            pair.about = member.about
            told = member.about.bands.get(self.band.name) if member.about is not None else None
            pair.window_s = told.coherence_tau_s if told is not None else self.band.coherence_tau_s
            pair.alike = told is not None and abs(told.lag_s - self.band.lag_s) <= _LAG_TOLERANCE * self.band.lag_s
        return pair

    def _told(self, rows: NDArray[np.intp]) -> Iterator[tuple[int, Callable[..., Reading]]]:
        """Give, for each node of these rows, what makes its Reading: the means over its channels, weighted with C."""
        table = self._table
        numbers, of = np.unique(table["node"][rows], return_inverse=True)
        c, u, t = table.floats("coherence")[rows], table.phasors("tick_phasor")[rows], table.phasors("resonance")[rows]
        told = np.isfinite(t)
        known: NDArray[np.complex128] = np.where(told, t, 0.0).astype(np.complex128)
        n = len(numbers)

        def total(values: NDArray[np.float64]) -> list[float]:
            sums: list[float] = np.bincount(of, values, n).tolist()
            return sums

        weight, with_t = total(c), total(c * told)
        columns = zip(
            numbers.tolist(),
            weight,
            with_t,
            total(c * known.real),
            total(c * known.imag),
            total(c * told * table.floats("n_eff")[rows]),
            total(c * u.real),
            total(c * u.imag),
            total(c * c),
            total(c * table.floats("omega")[rows]),
            total(c * table.floats("omega_sigma")[rows]),
            strict=True,
        )
        for number, *sums in columns:
            yield number, _Means(*sums)


class _Means:
    """Sums over a node's channels, each weighted with its coherence."""

    __slots__ = ("_sums",)

    def __init__(self, *sums: float) -> None:
        self._sums = sums

    def __call__(self, window_s: float, tau_s: float, *, alike: bool) -> Reading:
        weight, with_t, t_re, t_im, n_eff, u_re, u_im, coherence, omega, sigma = self._sums
        resonance: complex | None = None
        looks, p = 1.0, 1.0
        if with_t > 0.0 and alike:
            resonance = complex(t_re, t_im) / with_t
            modulus = abs(resonance)
            if modulus > 1.0:  # a float32 of 1, rounded
                resonance /= modulus
            # The mean's: channels of one node may well have one cause.
            looks = max(1.0, n_eff / with_t)
            p = p_noise(modulus, looks)
        there = weight > 0.0 and math.hypot(u_re, u_im) > _TINY * weight
        return Reading(
            resonance=resonance,
            coherence=coherence / weight if weight > 0.0 else 0.0,
            n_eff=looks,
            p=p,
            phase=cmath.phase(complex(u_re, u_im)) if there else None,
            omega=omega / weight if weight > 0.0 else 0.0,
            omega_sigma=sigma / weight if weight > 0.0 else math.inf,
            tau_s=tau_s,
            window_s=window_s,
        )


def undefined(band: Band) -> Reading:
    """Give the reading of a band in which there is nothing to read."""
    return Reading(None, 0.0, 1.0, 1.0, None, band.omega, math.inf, band.tau_s, band.coherence_tau_s)
