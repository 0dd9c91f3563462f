"""One band's way from nodes that happen to run alike to nodes that are one, and back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.hub.emergence.locked import NodeLocking
from becomingone.hub.emergence.look import RECENT_TAU, Look, Request
from becomingone.hub.emergence.look_back import LookBack, spacing_s
from becomingone.hub.emergence.spending import Spending

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.hub.emergence.section import EmergenceSection
    from becomingone.hub.mesh.state import BandState
    from becomingone.hub.mesh.table import ChannelTable
    from becomingone.kairos.bands import Band

LOOK_EVERY: Final = 1.0 / 6.0
"""Time between looks, as a share of what they look at."""

LEAST_BETWEEN_TAU: Final = 2.0
POORER_LOOKS: Final = 3
"""Looks in succession that must find no evidence before an emerged band dissolves for that."""

NODES: Final = "nodes"
COHERENCE: Final = "coherence"
CLOCKS: Final = "clocks"
LOCKING: Final = "locking"
DWELL: Final = "dwell"
LENGTH: Final = "length"
SHARED: Final = "shared"


@dataclass(slots=True)
class Verdict:
    """What a band's watch has to say after an evaluation.

    Parameters
    ----------
    emerged, dissolved : bool
        Whether it has just done so.
    limited : bool
        Whether the clocks are all that was in the way, and this has not been said yet.
    request : Request or None
        A look that is due.
    why : tuple of str
        Why it dissolved.
    """

    emerged: bool = False
    dissolved: bool = False
    limited: bool = False
    request: Request | None = None
    why: tuple[str, ...] = ()


@dataclass(slots=True)
class _Since:
    """Since when something has held without a break."""

    since_us: int | None = None

    def held(self, now_us: int, *, holds: bool) -> int:
        """Take note; give for how many µs it has held, −1 where it does not."""
        if not holds:
            self.since_us = None
            return -1
        if self.since_us is None or self.since_us > now_us:
            self.since_us = now_us
        return now_us - self.since_us


@dataclass(slots=True)
class Watch:
    """Watches one band.

    Parameters
    ----------
    band : Band
        The band.
    section : EmergenceSection
        What is asked for.
    p_locked : float
        p below which differences count as not wandering.
    least_spacing_s : float
        A slot of the look-back is no shorter, s.

    Attributes
    ----------
    emerged : bool
        Whether the band's nodes are one now.
    missing : tuple of str
        What is not as it should be, of `NODES` and so on; empty where all is.
    latest : Look or None
        The last look.
    behind : Look or None
        The look behind what was told last.
    since_us : int
        Mesh time of the last emergence.
    looks : int
        How many there were.
    length_s : float
        For how long, within the window, at least two of the present nodes had a phase, s.
    heard : bool
        Whether any channel ever had a phase in this band.
    """

    band: Band
    section: EmergenceSection
    p_locked: float
    least_spacing_s: float
    emerged: bool = False
    missing: tuple[str, ...] = (NODES,)
    latest: Look | None = None
    behind: Look | None = None
    since_us: int = 0
    looks: int = 0
    length_s: float = 0.0
    heard: bool = False
    spending: Spending = field(init=False)
    look_back: LookBack = field(init=False)
    locked: NodeLocking = field(init=False)
    _looking: bool = False
    _void: bool = False
    _next_us: int = 0
    _poorer: int = 0
    _told_limited: bool = False
    _holding: _Since = field(default_factory=_Since)
    _failing: _Since = field(default_factory=_Since)
    _clocks: _Since = field(default_factory=_Since)

    def __post_init__(self) -> None:
        section, tau_s = self.section, self.band.tau_s
        every_s = spacing_s(self.band, self.least_spacing_s)
        window_s = section.window_tau * tau_s
        self.look_back = LookBack(self.band, every_s, max(1, round(window_s / every_s)))
        self.spending = Spending(section.p_false, window_s)
        self.locked = NodeLocking(self.band, section.locking_tau * tau_s, section.settle_tau * tau_s)

    @property
    def dwell_us(self) -> float:
        """How long the conditions must hold, µs."""
        return self.section.dwell_tau * self.band.tau_s * 1e6

    def take(self, state: BandState, table: ChannelTable) -> Verdict:
        """Take an evaluation of the band."""
        rows, now_us = state.rows, state.time_us
        restarts = self.look_back.restarts
        ended = self.look_back.take(now_us, rows, table.phasors("tick_phasor")[rows], table.floats("omega")[rows])
        if self.look_back.restarts != restarts:  # mesh time went back: what was said of earlier times is void
            self._restart()
        self.heard = self.heard or len(rows) > 0
        if ended and self.heard:
            node = table["node"][rows].astype(np.intp)
            last = self.look_back.last(rows).astype(np.complex128)
            weight = table.floats("weight")[rows]
            self.locked.update(rows, node, last, weight, ended * self.look_back.spacing_s)
            self.length_s = self._length_s(rows, node)
        verdict = self._judge(state)
        # A poorer band is not looked at: what a look may spend is for when it can decide.
        possible = self.emerged or not set(self.missing) - {DWELL, LENGTH, SHARED}
        if ended and possible and not self._looking and now_us >= self._next_us:
            verdict.request = self._request(state, table)
        return verdict

    def _restart(self) -> None:
        section, tau_s = self.section, self.band.tau_s
        self.locked = NodeLocking(self.band, section.locking_tau * tau_s, section.settle_tau * tau_s)
        self.latest = None
        self._void = self._looking
        self._next_us = 0
        self._holding, self._failing, self._clocks = _Since(), _Since(), _Since()

    # -- conditions ------------------------------------------------------------------------------------------------

    def _judge(self, state: BandState) -> Verdict:
        now_us = state.time_us
        missing = self._unmet(state)
        verdict = Verdict(limited=self._newly_limited(state, missing))
        if self._holding.held(now_us, holds=not missing) < self.dwell_us:
            missing.append(DWELL)
        # An answer counts until the next one may come.
        fresh = now_us < self._next_us + 1e6 * self.look_back.spacing_s
        if self.latest is None or not (fresh and self.latest.significant):
            missing.append(LENGTH if self.latest is None else SHARED)
        self.missing = tuple(missing)
        if not self.emerged and not missing:
            self.emerged = verdict.emerged = True
            self.since_us, self._poorer, self._failing = now_us, 0, _Since()
            self.behind = self.latest
        elif self.emerged:
            verdict.why = self._failures(state)
            verdict.dissolved = bool(verdict.why)
        if verdict.dissolved:
            self.emerged = False
            if verdict.why == (SHARED,):
                self.behind = self.latest
            self._void = self._looking
            self.latest = None  # the next emergence needs a look of its own
            self._next_us = now_us + self._between_us(self.length_s)
        return verdict

    @property
    def _locking_p(self) -> float:
        return self.locked.latest.p if self.locked.latest is not None else 1.0

    def _unmet(self, state: BandState) -> list[str]:
        """Give what is asked for at every instant and is not so."""
        needed = self.section.coherence
        return [
            name
            for name, met in (
                (NODES, state.nodes >= 2),
                (COHERENCE, state.valid and state.coherence > needed),
                (LOCKING, self._locking_p <= self.p_locked),
                (CLOCKS, not state.valid or state.ceiling >= needed),
            )
            if not met
        ]

    def _newly_limited(self, state: BandState, unmet: list[str]) -> bool:
        """Tell whether, for the dwell, the clocks have been all that is in the way, and this has not been said yet."""
        if state.valid and CLOCKS not in unmet:
            self._told_limited = False
        held_us = self._clocks.held(state.time_us, holds=unmet == [CLOCKS] and not self.emerged)
        if self._told_limited or held_us < 0 or held_us < self.dwell_us:
            return False
        self._told_limited = True
        return True

    def _failures(self, state: BandState) -> tuple[str, ...]:
        """Give why an emerged band is to dissolve; hysteresis in the figures and the dwell in time."""
        section = self.section
        failing = [
            name
            for name, fails in (
                (NODES, state.nodes < 2),
                (COHERENCE, state.valid and state.coherence < section.release_coherence),
                (CLOCKS, state.valid and state.ceiling < section.release_coherence),
                (LOCKING, self._locking_p > section.release_p),
            )
            if fails
        ]
        if self._failing.held(state.time_us, holds=bool(failing)) >= self.dwell_us:
            return tuple(failing)
        return (SHARED,) if self._poorer >= POORER_LOOKS else ()

    # -- looks -----------------------------------------------------------------------------------------------------

    def _between_us(self, length_s: float) -> int:
        tau_s = self.band.tau_s
        if self.emerged:
            length_s = min(length_s, RECENT_TAU * tau_s)
        return int(1e6 * max(LEAST_BETWEEN_TAU * tau_s, LOOK_EVERY * length_s))

    def _length_s(self, rows: NDArray[np.intp], node: NDArray[np.intp]) -> float:
        """Give for how long, within the window, at least two of the nodes had a phase, s."""
        longest = np.zeros(int(node.max(initial=-1)) + 1, np.intp)
        np.maximum.at(longest, node, self.look_back.known(rows))
        return float(np.sort(longest)[-2]) * self.look_back.spacing_s if longest.shape[0] > 1 else 0.0

    def _request(self, state: BandState, table: ChannelTable) -> Request | None:
        """Make a look, where two nodes have phases for long enough."""
        section, band, back = self.section, self.band, self.look_back
        if self.length_s < (section.first_tau + section.settle_tau) * band.tau_s:
            return None
        self._looking = True
        self._next_us = state.time_us + self._between_us(self.length_s)
        return Request(
            time_us=state.time_us,
            band=band,
            phasors=back.window(state.rows),
            spacing_s=back.spacing_s,
            node=table["node"][state.rows].astype(np.intp),
            weight=table.floats("weight")[state.rows].copy(),
            trend_s=section.trend_tau * band.tau_s,
            settle_s=section.settle_tau * band.tau_s,
            least_s=section.first_tau * band.tau_s,
            alpha=section.release_p if self.emerged else self.spending.offer(state.time_us),
            seed=self.looks,
        )

    def answer(self, seen: Look | None) -> None:
        """Take what a look has seen; None: it failed. One that was asked before the band changed over is void."""
        self._looking = False
        void, self._void = self._void, False
        if seen is None or seen.best is None or void:
            return
        self.looks += 1
        if self.emerged:
            self._poorer = 0 if seen.significant else self._poorer + 1
        else:
            # Two windows, each against its own share.
            self.spending.spend(seen.alpha * (1 if seen.recent is None else 2))
        self.latest = seen
