"""Two groups in one band: the cross form of their mean fields, and whether they share their irregularity."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from becomingone.hub.emergence.look import RECENT_TAU, Look, Request
from becomingone.hub.emergence.look_back import LookBack, spacing_s
from becomingone.hub.emergence.spending import Spending
from becomingone.hub.emergence.watch import LEAST_BETWEEN_TAU, LOOK_EVERY, POORER_LOOKS
from becomingone.hub.mesh.state import BandState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.hub.we.groups import Group
from becomingone.kairos.bands import CORRELATION_PER_TAU, Band
from becomingone.kairos.collapse import Collapse
from becomingone.kairos.mesh.cross_field import Cross, CrossField
from becomingone.kairos.mesh.partial_sum import PartialSum

FIELDS: Final = "fields"
CROSS: Final = "cross"
LENGTH: Final = "length"
SHARED: Final = "shared"
DWELL: Final = "dwell"

_TINY: Final = 1e-9
_BOTH: Final = np.array([0, 1], np.intp)
_NOT_YET: Final = Cross(0j, 0.0, 1.0, 0.0)
_NOBODY: Final = PartialSum.empty()

MOST_NODES: Final = 200
"""Nodes of a group that an event names."""


class Terms(NamedTuple):
    """What is asked for; see `WeSection`, whose times are in τ as these are."""

    p_false: float
    release_p: float
    window_tau: float
    first_tau: float
    trend_tau: float
    settle_tau: float
    cross_tau: float
    dwell_tau: float


@dataclass(slots=True)
class Crossing:
    """One pair in one band.

    Parameters
    ----------
    name : str
        The pair's.
    band : Band
        The band.
    a, b : Group
        The groups.
    terms : Terms
        What is asked for.
    least_spacing_s : float
        A slot of the look-back is no shorter, s.

    Attributes
    ----------
    one : bool
        Whether they are one.
    since_us : int
        Mesh time since which they are, µs.
    missing : tuple of str
        What is not as it should be, of `FIELDS` and so on; empty where all is.
    why : tuple of str
        Why they were found to be one no more.
    """

    name: str
    band: Band
    a: Group
    b: Group
    terms: Terms
    least_spacing_s: float
    one: bool = False
    since_us: int = 0
    missing: tuple[str, ...] = (FIELDS,)
    why: tuple[str, ...] = ()
    spending: Spending = field(init=False)
    _back: LookBack = field(init=False)
    _cross: CrossField = field(init=False)
    _collapse: Collapse = field(init=False)
    _found: Cross = _NOT_YET
    _seen: Look | None = None
    _looks: int = 0
    _poorer: int = 0
    _looking: bool = False
    _possible: bool = False
    _next_us: int = 0
    _time_us: int = 0
    _void_us: int = 0
    _sums: tuple[PartialSum, PartialSum] = (_NOBODY, _NOBODY)
    _ceiling: float = 1.0

    def __post_init__(self) -> None:
        every_s = spacing_s(self.band, self.least_spacing_s)
        window_s = self.terms.window_tau * self.band.tau_s
        self.spending = Spending(self.terms.p_false, window_s)
        self._back = LookBack(self.band, every_s, max(1, round(window_s / every_s)))
        self._cross = CrossField(self.terms.cross_tau * self.band.tau_s)
        self._collapse = self._fresh()

    def _fresh(self) -> Collapse:
        dwell_us = round(1e6 * self.terms.dwell_tau * self.band.tau_s)
        return Collapse(p_false=self.terms.p_false, release_p=self.terms.release_p, dwell_us=dwell_us)

    # -- evaluations -----------------------------------------------------------------------------------------------

    def take(self, state: BandState, table: ChannelTable) -> bool:
        """Take an evaluation of the band; tell whether the two have become one, or ceased to be."""
        if state.time_us <= self._time_us:
            return False
        self._time_us = state.time_us
        self._ceiling = state.ceiling
        self._sums = (self._sum(table, self.a.rows(table)), self._sum(table, self.b.rows(table)))
        fields: NDArray[np.complex128] = np.array([_field(total) for total in self._sums], np.complex128)
        there = np.flatnonzero(fields != 0.0)
        restarts = self._back.restarts
        unit: NDArray[np.complex128] = np.asarray(fields[there] / np.abs(fields[there]), np.complex128)
        ended = self._back.take(state.time_us, there, unit, np.full(len(there), self.band.omega))
        if self._back.restarts != restarts:  # mesh time went back: what was said of earlier times is void
            self._seen, self._next_us = None, 0
            self._cross, self._found = CrossField(self.terms.cross_tau * self.band.tau_s), _NOT_YET
        if ended:
            # Of modulus 1, to a float32: too long by a rounding error for a mean field.
            one, other = (value / abs(value) if value else None for value in self._back.last(_BOTH).tolist())
            seconds = ended * self._back.spacing_s
            self._found = self._cross.update(one, other, seconds, CORRELATION_PER_TAU * self.band.tau_s)
        return self._judge(both=len(there) == 2)

    def _judge(self, *, both: bool) -> bool:
        missing = [] if both else [FIELDS]
        if self._found.p >= (self.terms.release_p if self.one else self.terms.p_false):
            missing.append(CROSS)
        self._possible = not missing
        if not self.one:
            if self.length_s < self._least_s:
                missing.append(LENGTH)
            elif self._seen is None or not self._seen.significant:
                missing.append(SHARED)
        # Where all else is as it should be, the cross form decides, with the dwell; else nothing is.
        value = self._found.p if not missing or (self.one and both) else 1.0
        before, now = self.one, self._collapse.update(value, self._time_us)
        if before and self._poorer >= POORER_LOOKS:
            missing.append(SHARED)
            now = False
            self._collapse = self._fresh()
        if not before and not missing and not now:
            missing.append(DWELL)
        self.missing, self.one = tuple(missing), now
        if before is now:
            return False
        self._void_us = self._time_us
        if now:
            self.since_us, self._poorer, self.why = self._time_us, 0, ()
        else:
            self.why, self._seen = tuple(missing), None  # the next time needs a look of its own
        return True

    def _sum(self, table: ChannelTable, rows: NDArray[np.intp]) -> PartialSum:
        if not len(rows):
            return PartialSum.empty()
        # What a node's filter does to a tone of the rate that it measures now and then, taken back as in the look-back.
        most = 0.5 * self.band.omega
        off = np.clip(table.floats("omega")[rows] - self.band.omega, -most, most)
        turn = np.exp(-2j * np.arctan(off * self.band.tau_s))
        return PartialSum.of(
            weight=table.floats("weight")[rows],
            phasor=table.phasors("tick_phasor")[rows] * turn,
            coherence=table.floats("coherence")[rows],
            time_us=0,
        )

    # -- looks -----------------------------------------------------------------------------------------------------

    @property
    def length_s(self) -> float:
        """For how long of the look-back both have had a field, s: the shorter one's."""
        return float(self._back.known(_BOTH).min()) * self._back.spacing_s

    @property
    def _least_s(self) -> float:
        return (self.terms.first_tau + self.terms.settle_tau) * self.band.tau_s

    def request(self) -> Request | None:
        """Give the look that is due; None where there is none, or it could decide nothing."""
        tau_s, terms = self.band.tau_s, self.terms
        if self._looking or not self._possible or self._time_us < self._next_us:
            return None
        length_s = self.length_s
        if length_s < self._least_s:
            return None
        recent_s = min(length_s, RECENT_TAU * tau_s) if self.one else length_s
        self._next_us = self._time_us + round(1e6 * max(LEAST_BETWEEN_TAU * tau_s, LOOK_EVERY * recent_s))
        self._looking = True
        return Request(
            time_us=self._time_us,
            band=self.band,
            phasors=self._back.window(_BOTH),
            spacing_s=self._back.spacing_s,
            node=_BOTH,
            weight=np.ones(2),
            trend_s=terms.trend_tau * tau_s,
            settle_s=terms.settle_tau * tau_s,
            least_s=terms.first_tau * tau_s,
            alpha=terms.release_p if self.one else self.spending.offer(self._time_us),
            seed=self._looks,
        )

    def answer(self, seen: Look | None) -> None:
        """Take what a look has seen; None: it failed. What was asked for before the last change had another limit."""
        self._looking = False
        if seen is None or seen.best is None or seen.time_us < self._void_us:
            return
        self._looks += 1
        if self.one:
            self._poorer = 0 if seen.significant else self._poorer + 1
        else:
            self.spending.spend(seen.alpha * (1 if seen.recent is None else 2))  # two windows, each its own share
        self._seen = seen

    # -- figures ---------------------------------------------------------------------------------------------------

    def figures(self) -> dict[str, Any]:
        """Give everything as JSON has it."""
        found, seen = self._found, self._seen
        best = seen.best if seen is not None else None
        return {
            "one": self.one,
            "since_us": self.since_us if self.one else None,
            "missing": list(self.missing),
            "coherence": round(abs(found.coherence), 4),
            "offset": round(cmath.phase(found.coherence), 4) if found.coherence else None,
            "unbiased": round(found.unbiased, 4),
            "cross_n_eff": round(found.n_eff, 2),
            "cross_p": float(f"{found.p:.3g}"),
            "fluctuation_r": round(best[0].value, 4) if best is not None else None,
            "fluctuation_p": float(f"{best[0].p:.3g}") if best is not None else None,
            "p_needed": float(f"{seen.alpha:.3g}") if seen is not None and best is not None else None,
            "window_s": round(best[1] if best is not None else self.length_s, 3),
            "looks": self._looks,
            "a": _side(self._sums[0]),
            "b": _side(self._sums[1]),
            "clock_ceiling": round(self._ceiling, 4),
        }

    def event(self, table: ChannelTable) -> dict[str, Any]:
        """Give what an event says: the figures, what was asked for, and of which nodes."""
        tau_s, terms = self.band.tau_s, self.terms
        content = {
            "name": self.name,
            "band": self.band.name,
            "frequency_hz": self.band.frequency_hz,
            "tau_s": tau_s,
            **self.figures(),
            "a_nodes": _names(table, self.a.rows(table)),
            "b_nodes": _names(table, self.b.rows(table)),
            "p_false": terms.p_false,
            "dwell_s": terms.dwell_tau * tau_s,
            "cross_s": terms.cross_tau * tau_s,
            "false_alarm_s": round(self.spending.false_alarm_s, 1),
        }
        if not self.one:
            content |= {"why": list(self.why), "lasted_s": round((self._time_us - self.since_us) / 1e6, 3)}
        return content


def _field(total: PartialSum) -> complex:
    """Give Σw·u/Σw, 0 where there is none."""
    value = total.order / total.weight if total.weight > 0.0 else 0j
    return value if abs(value) > _TINY else 0j


def _side(total: PartialSum) -> dict[str, Any]:
    value = _field(total)
    return {
        "channels": total.count,
        "order": round(min(1.0, abs(value)), 4),
        "phase": round(math.atan2(value.imag, value.real), 4) if value else None,
        "coherence": round(total.coherence / total.weight, 4) if total.weight > 0.0 else 0.0,
    }


def _names(table: ChannelTable, rows: NDArray[np.intp]) -> list[str]:
    """Give the nodes that have a phase in these rows."""
    there: list[int] = rows[table.floats("weight")[rows] > 0.0].tolist()
    return sorted({table.keys[row].node for row in there})[:MOST_NODES]
