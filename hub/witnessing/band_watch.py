"""One band's channels, witnessed: each against its own rhythm and against the others, a lag at a time."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from becomingone.hub.mesh.state import BandState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.hub.witnessing.claims import Claims
from becomingone.hub.witnessing.consensus import consensus
from becomingone.hub.witnessing.filters import Filter, Outcome
from becomingone.hub.witnessing.findings import Fault, Finding, Limits
from becomingone.hub.witnessing.section import WitnessingSection
from becomingone.kairos.bands import Band
from becomingone.kairos.witnessing.charts import Charts
from becomingone.kairos.witnessing.tail_tables import two_sided
from becomingone.wire.frame import Flags

QUORUM: Final = 2
"""Other nodes that have to agree before it may be said who is wrong: of two that differ, either may be."""

OWN_TOO: Final = 4.0
"""Of two nodes the one that has jumped is the one that also left its own rhythm by so many σ."""

STRIKES_LAGS: Final = 64
"""A channel that jumps twice within so many lags jumps."""

STILL: Final = 1e-3
"""Part of its usual variance below which no living phase comes within a window."""

CLEARED: Final = 0.01
"""Hysteresis: a fault that was found goes on while its windows are as improbable as this."""

_TOLERANCE_US: Final = 1_000
_FRESH: Final = 0.5
_LEAST_SHARE: Final = 0.05
_MOST: Final = 64
_UNDECIDABLE = int(Flags.UNDECIDABLE)


class Look(NamedTuple):
    """What one look at a band has found.

    Parameters
    ----------
    findings : list of Finding
        At most 64; the least probable first.
    left_out : int
        How many more there were.
    looks, windows : int
        Innovations and windows that were looked at.
    """

    findings: list[Finding]
    left_out: int
    looks: int
    windows: int


class BandWatch:
    """One band.

    Parameters
    ----------
    band : Band
        Its lag is the spacing of what is looked at: nearer phases are alike behind the band's filter, whatever comes.
    table : ChannelTable
        The channels' live state.
    section : WitnessingSection
        The windows.
    """

    def __init__(self, band: Band, table: ChannelTable, section: WitnessingSection) -> None:
        self.band = band
        self.lag_us = round(max(band.lag_s, section.emissary_interval_s) * 1e6)
        self.window = section.window
        self._astray_us = section.epoch * self.lag_us
        self.own = Filter(section)
        self.others = Filter(section)
        self.claims = Claims(section.window)
        self.slow = Charts()
        self.nodes = 0
        self.watched = 0
        self._table = table
        self._last_us: int | None = None
        self._turn = 0.0
        self._size = 0
        self._columns: dict[str, NDArray[Any]] = {name: np.zeros(0, dtype) for name, dtype in _COLUMNS.items()}
        self._missed = np.zeros(0, np.int64)

    def due(self, now_us: int) -> bool:
        """Whether a lag has passed."""
        return self._last_us is None or now_us - self._last_us >= self.lag_us - _TOLERANCE_US

    @property
    def rows(self) -> NDArray[np.intp]:
        """The table's row of each place."""
        rows: NDArray[np.intp] = self._columns["row"][: self._size]
        return rows

    def nodes_of(self) -> NDArray[np.intp]:
        """Give the number of each place's node."""
        return np.asarray(self._table["node"][self.rows], dtype=np.intp)

    def drift_of(self, node: int, now_us: int) -> list[tuple[int, float]]:
        """Give how a node's channels move against the others: place and deviate, of windows that are not old."""
        if not self._size:
            return []
        age = now_us - self._columns["moved_us"][: self._size]
        places = np.flatnonzero((self.nodes_of() == node) & (age <= self.window * self.lag_us))
        return [(place, float(self._columns["moved"][place])) for place in places.tolist()]

    def look(self, state: BandState, limits: Limits) -> Look:
        """Take the band's phases of one tick, a lag after the last or later."""
        table, now_us = self._table, state.time_us
        elapsed_s = 0.0 if self._last_us is None else (now_us - self._last_us) / 1e6
        lags = max(1, round(elapsed_s * 1e6 / self.lag_us)) if self._last_us is not None else 1
        self._last_us = now_us
        rows = self._fresh(state.rows)
        places = np.asarray(table["place"][rows], dtype=np.intp)
        self._grow(int(places.max(initial=-1)) + 1, rows, places)
        columns = self._columns
        columns["theta"] = np.mod(columns["theta"] + columns["omega"] * elapsed_s, math.tau)
        self._turn = math.fmod(self._turn + self.band.omega * elapsed_s, math.tau)
        self._pass(places, lags)
        node = np.asarray(table["node"][rows], dtype=np.intp)
        self.nodes = np.unique(node).shape[0]
        phasor = table.phasors("tick_phasor")[rows]
        claimed_variance = np.square(table.floats("phase_sigma")[rows])
        claimed_variance += np.square(self.band.omega * table.floats("clock_sigma_s")[rows])
        turned = phasor * np.exp(-1j * columns["theta"][places])
        own = self.own.take(places, turned, claimed_variance, np.ones(len(places)), limits.jump)
        columns["omega"][places] = table.floats("omega")[rows]
        columns["seen_us"][places] = table.floats("time_us")[rows]
        alike = phasor * np.exp(-1j * self._turn)
        ahead = self.others.ahead(places, alike)
        common = consensus(ahead, self._measures(places, now_us), node, table.floats("trust")[rows])
        self._turn = math.fmod(self._turn + common.shift, math.tau)
        compared = np.isnan(ahead) | ((common.share > _LEAST_SHARE) & (common.nodes >= 2))
        alike = np.where(compared & (self.nodes >= 2), alike * np.exp(-1j * common.shift), 0.0)
        others = self.others.take(places, alike, claimed_variance, np.maximum(common.share, _LEAST_SHARE), limits.jump)
        self.watched = int(np.count_nonzero(self.own.steady[places] | self.others.steady[places]))
        columns["others"][places] = common.others
        findings = self._jumps(places, own, others, limits, now_us)
        findings += self._of_windows(own, others, limits, now_us)
        findings += self._of_epochs(own, others, limits)
        findings += self._of_claims(own, limits, now_us)
        findings.sort(key=lambda finding: finding.p)
        windows = sum(0 if part.closed is None else len(part.closed.places) for part in (own, others))
        return Look(findings[:_MOST], max(0, len(findings) - _MOST), len(places), windows)

    # -- who is there ----------------------------------------------------------------------------------------------

    def _fresh(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Leave out rows that have said nothing since the last look: their extrapolation is no observation."""
        places = np.asarray(self._table["place"][rows], dtype=np.intp)
        known = places < self._size
        seen = np.zeros(len(rows))
        if self._size:
            seen[known] = self._columns["seen_us"][places[known]]
        return rows[self._table.floats("time_us")[rows] - seen >= _FRESH * self.lag_us]

    def _grow(self, size: int, rows: NDArray[np.intp], places: NDArray[np.intp]) -> None:
        if size > self._size:
            room = max(size, 2 * self._size, 16)
            for name, dtype in _COLUMNS.items():
                old = self._columns[name]
                self._columns[name] = np.concatenate((old, np.zeros(room - len(old), dtype)))
            self._missed = np.concatenate((self._missed, np.zeros(room - len(self._missed), np.int64)))
            for part in (self.own, self.others, self.claims, self.slow):
                part.grow(room)
            self._size = size
        self._columns["row"][places] = rows

    def _pass(self, present: NDArray[np.intp], lags: int) -> None:
        """Let the lags pass of which there are no phases; what has been away for long begins anew."""
        here = np.zeros(len(self._missed), np.bool_)
        here[present] = True
        self._missed += lags
        away = np.flatnonzero(~here)
        for part in (self.own, self.others):
            part.skip(away, present, lags)
        gone = away[(self._missed[away] >= self.window) & (self._missed[away] < self.window + lags)]
        if len(gone):
            self.own.clear(gone)
            self.others.clear(gone)
            self.slow.clear(gone)
        self._missed[present] = 0

    def _measures(self, places: NDArray[np.intp], now_us: int) -> NDArray[np.float64]:
        """Variance of the channels that others may be measured by; NaN for the rest."""
        good = self.others.steady[places] & (self._columns["astray_us"][places] <= now_us)
        return np.where(good, self.others.scale[places], math.nan)

    # -- what is found ---------------------------------------------------------------------------------------------

    def _finding(self, layer: str, fault: Fault, place: int, p: float, **figures: float) -> Finding:
        return Finding(layer, fault, self.band.name, int(self._columns["row"][place]), place, p, figures)

    def _jumps(
        self, places: NDArray[np.intp], own: Outcome, others: Outcome, limits: Limits, now_us: int
    ) -> list[Finding]:
        """Micro: innovations that are too far; those against the others where there are any, else against itself."""
        alone = ~others.valid
        sudden = np.where(alone, own.jumped, others.jumped)
        jumped_us = self._columns["jumped_us"]
        out: list[Finding] = []
        for k in np.flatnonzero(sudden).tolist():
            place, against_others = int(places[k]), not bool(alone[k])
            part = others if against_others else own
            strikes = 0 < now_us - int(jumped_us[place]) <= STRIKES_LAGS * self.lag_us and bool(part.again[k])
            jumped_us[place] = now_us
            sure = self._columns["others"][place] >= QUORUM or abs(float(own.z[k])) > OWN_TOO
            p = min(limits.p_jump, two_sided(float(part.z[k])))
            found = self._finding("micro", "jumps", place, p, normalised=float(part.z[k]))
            out.append(found._replace(blames=strikes and against_others and sure))
        return out

    def _of_windows(self, own: Outcome, others: Outcome, limits: Limits, now_us: int) -> list[Finding]:
        """Meso: windows that are too still, or move against the others; meta: those that have long done so a little."""
        out: list[Finding] = []
        held = self._columns["held_us"]
        hold_us = 2 * self.window * self.lag_us
        if own.closed is not None and own.health is not None:
            closed, scale = own.closed, self.own.scale[own.closed.places]
            still = self.own.steady[closed.places] & (closed.spread < STILL) & (closed.spread * scale < self.own.floor)
            for k in np.flatnonzero(still & (scale > self.own.floor)).tolist():
                p = float(own.health.still[k])
                if p < limits.window:
                    out.append(
                        self._finding(
                            "meso", "stuck", int(closed.places[k]), p, spread=float(closed.spread[k])
                        )._replace(blames=True)
                    )
        if others.closed is not None and others.health is not None:
            closed = others.closed
            steady = self.others.steady[closed.places]
            self._columns["moved"][closed.places] = np.where(steady, closed.mean, 0.0)
            self._columns["moved_us"][closed.places] = np.where(steady, now_us, 0)
            slow = self.slow.update_known(closed.places, np.where(steady, closed.mean, 0.0), limits.slow)
            for k in np.flatnonzero(steady).tolist():
                place, p = int(closed.places[k]), two_sided(float(others.health.moved[k]))
                figures = {"nis": float(closed.nis[k]), "rho": float(closed.rho[k]), "moved": float(closed.mean[k])}
                limit = CLEARED if held[place] > now_us else limits.window
                if p < limit or slow[k]:
                    layer = "meso" if p < limit else "meta"
                    held[place] = now_us + hold_us
                    self._columns["astray_us"][place] = now_us + self._astray_us
                    found = self._finding(layer, "clock", place, p if p < limit else limits.p_slow, **figures)
                    out.append(found._replace(blames=bool(self._columns["others"][place] >= QUORUM)))
                elif float(others.health.p[k]) < limits.window:
                    out.append(self._finding("meso", "unsteady", place, float(others.health.p[k]), **figures))
        return out

    def _of_epochs(self, own: Outcome, others: Outcome, limits: Limits) -> list[Finding]:
        """Meta: calibrations that drift; against the others where there are any, else against itself."""
        out: list[Finding] = []
        for which, part in ((self.others, others), (self.own, own)):
            for place in which.drifted(part, limits.calibration).tolist():
                if which is self.own and self.others.steady[place]:
                    continue
                scale = float(which.scale[place])
                out.append(self._finding("meta", "calibration", place, limits.p_calibration, scale=scale))
        return out

    def _of_claims(self, own: Outcome, limits: Limits, now_us: int) -> list[Finding]:
        """Macro: what the nodes say of their own certainty."""
        if own.closed is None:
            return []
        table, places = self._table, own.closed.places
        rows = self.rows[places]
        undecided = (table["flags"][rows] & _UNDECIDABLE) != 0
        p = np.where(undecided, math.nan, table.floats("p")[rows])
        doubted_us = self._columns["doubted_us"]
        limit = np.where(doubted_us[places] > now_us, CLEARED, limits.claim)
        out: list[Finding] = []
        for claim in self.claims.take(places, own.closed.claimed, p, limit):
            doubted_us[claim.place] = now_us + 2 * self.window * self.lag_us
            found = self._finding("macro", "liar", claim.place, claim.p, **{f"{claim.what}_ratio": claim.ratio})
            out.append(found._replace(blames=True))
        return out


_COLUMNS: Final = {
    "row": np.intp,
    "others": np.intp,
    "theta": np.float64,
    "omega": np.float64,
    "seen_us": np.float64,
    "jumped_us": np.int64,
    "held_us": np.int64,
    "astray_us": np.int64,
    "doubted_us": np.int64,
    "moved": np.float64,
    "moved_us": np.int64,
}
