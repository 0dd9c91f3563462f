"""Emergence and dissolution of every band of a cell."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from becomingone.hub.emergence.content import event
from becomingone.hub.emergence.look import Look, Request, look
from becomingone.hub.emergence.watch import Verdict, Watch

if TYPE_CHECKING:
    from becomingone.hub.emergence.section import EmergenceSection
    from becomingone.hub.intake.roster import Roster
    from becomingone.hub.mesh.state import BandState, MeshState
    from becomingone.hub.mesh.table import ChannelTable
    from becomingone.kairos.bands import Band
    from becomingone.runner import Runner

Tell = Callable[[str, dict[str, Any]], object]
"""Tells of an event of a kind."""

_log = logging.getLogger(__name__)


class Emergence:
    """Watches all bands.

    Parameters
    ----------
    section : EmergenceSection
        What is asked for.
    bands : sequence of Band
        The cell's plan.
    table : ChannelTable
        The channels' live state.
    roster : Roster
        The nodes.
    p_false : float
        p below which phase differences count as not wandering, 0..1.
    offset_tau_s : float
        The time over which the hub learns offsets, s; events name it.
    runner : Runner
        Where looks are made: one takes milliseconds, of a thousand nodes some hundred.
    tell : callable
        Tells of an event: ``emergence``, ``dissolution``, ``clock_limited``.
    tick_s : float
        Seconds between the hub's ticks.
    """

    def __init__(
        self,
        section: EmergenceSection,
        bands: Sequence[Band],
        table: ChannelTable,
        roster: Roster,
        *,
        p_false: float,
        offset_tau_s: float,
        runner: Runner,
        tell: Tell,
        tick_s: float = 0.05,
    ) -> None:
        self._enabled = section.enabled
        self._table = table
        self._roster = roster
        self._runner = runner
        self._tell = tell
        self._offset_tau_s = offset_tau_s
        self._watches = {band.name: Watch(band, section, p_false, 2.0 * tick_s) for band in bands}
        self._failed = 0

    @property
    def emerged(self) -> frozenset[str]:
        """The bands whose nodes are one now."""
        return frozenset(name for name, watch in self._watches.items() if watch.emerged)

    def take(self, state: MeshState) -> None:
        """Take the mesh as it is at a tick; what was not evaluated at it says nothing new."""
        if not self._enabled:
            return
        for band in state.bands:
            if band.time_us == state.time_us:
                self._take(self._watches[band.name], band)

    def figures(self) -> dict[str, Any]:
        """Tell, by band, what is missing and what was seen last; bands in which nothing was ever heard are left out."""
        return {
            "enabled": self._enabled,
            "emerged": sorted(self.emerged),
            "failed_looks": self._failed,
            "bands": {name: _figures(watch) for name, watch in self._watches.items() if watch.heard},
        }

    def close(self) -> None:
        """Make no more looks."""
        self._enabled = False
        self._runner.close()

    def _take(self, watch: Watch, state: BandState) -> None:
        verdict = watch.take(state, self._table)
        if verdict.emerged or verdict.dissolved or verdict.limited:
            self._say(watch, state, verdict)
        if verdict.request is not None:
            self._ask(watch, verdict.request)

    def _ask(self, watch: Watch, request: Request) -> None:
        def answered(result: object, error: BaseException | None) -> None:
            if error is not None:
                self._failed += 1
                _log.error("a look at the band %s failed: %r", watch.band.name, error)
            watch.answer(result if isinstance(result, Look) else None)

        self._runner.submit(functools.partial(look, request), answered)

    def _say(self, watch: Watch, state: BandState, verdict: Verdict) -> None:
        content = event(state, watch, self._table, self._roster, offset_tau_s=self._offset_tau_s)
        if verdict.limited:
            self._tell("clock_limited", content)
        if verdict.emerged:
            self._tell("emergence", content)
        if verdict.dissolved:
            lasted_s = (state.time_us - watch.since_us) / 1e6
            self._tell("dissolution", {**content, "why": list(verdict.why), "lasted_s": round(lasted_s, 3)})


def _figures(watch: Watch) -> dict[str, Any]:
    seen = watch.latest
    best = seen.best if seen is not None else None
    locked = watch.locked.latest
    return {
        "emerged": watch.emerged,
        "since_us": watch.since_us if watch.emerged else None,
        "missing": list(watch.missing),
        "length_s": round(watch.length_s, 3),
        "locking_p": float(f"{locked.p:.3g}") if locked is not None else None,
        "fluctuation_r": round(best[0].value, 4) if best is not None else None,
        "fluctuation_p": float(f"{best[0].p:.3g}") if best is not None else None,
        "p_needed": float(f"{seen.alpha:.3g}") if seen is not None and best is not None else None,
        "looks": watch.looks,
        "false_alarm_s": round(watch.spending.false_alarm_s, 1),
        "not_looked_at": watch.look_back.refused,
    }
