"""The mesh witnesses itself: four layers, each of which looks at the one below."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from becomingone.hub.intake.roster import Roster
from becomingone.hub.mesh.standing import Standing, Tell
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.hub.witnessing.accusations import Accusations
from becomingone.hub.witnessing.band_watch import BandWatch
from becomingone.hub.witnessing.findings import Finding, Limits
from becomingone.hub.witnessing.records import MOST, MacroRecord, MesoRecord, MetaRecord, MicroRecord, Noted
from becomingone.hub.witnessing.section import Layer, WitnessingSection
from becomingone.hub.witnessing.system import System
from becomingone.hub.witnessing.transducers import TransducerWitnesses
from becomingone.kairos.bands import Band
from becomingone.kairos.transducers.transducer import Reading

MICRO_US: Final = 1_000_000
"""Least time between two records of the micro layer, µs."""

SYSTEM_RECORDS: Final = 6
"""The macro and meta layers record once in so many `record_s`; macro also at every event it is made for."""

_LAYERS: Final[tuple[Layer, ...]] = ("micro", "meso", "macro", "meta")
_KEPT: Final = 4 * MOST


class Witnesses:
    """The four layers of witnesses of a hub.

    Parameters
    ----------
    section : WitnessingSection
        What is witnessed, and how often it may be wrong.
    bands : sequence of Band
        The cell's plan, in the order of the states.
    table : ChannelTable
        The channels' live state.
    roster : Roster
        The nodes.
    standing : Standing
        Lowers whoever is at fault.
    publish : callable
        Takes (layer, record as JSON) for the topic ``witness/<layer>`` and the memory.
    tell : callable
        Publishes the event ``witness``.
    master : callable, optional
        Gives what the Master of a band says at a mesh time, µs; asked a lag of the band apart.
    emerged : callable, optional
        Gives the bands that have emerged: at each change the macro layer looks at the mesh.
    """

    def __init__(
        self,
        section: WitnessingSection,
        bands: Sequence[Band],
        table: ChannelTable,
        roster: Roster,
        *,
        standing: Standing,
        publish: Callable[[str, dict[str, Any]], None],
        tell: Tell,
        master: Callable[[str, int], Reading | None] | None = None,
        emerged: Callable[[], frozenset[str]] | None = None,
    ) -> None:
        self._section = section
        self._master = master
        self._emerged = emerged
        self._layers = frozenset(section.layers) if section.enabled else frozenset[Layer]()
        self._table = table
        self._roster = roster
        self._publish = publish
        self._watches = [BandWatch(band, table, section) for band in bands]
        self._accusations = Accusations(table, self._watches, standing=standing if section.lower else None, tell=tell)
        self._system = System(self._watches)
        self._transducers = TransducerWitnesses(section)
        self._limits = Limits(0.0, 0.0, 0.0, section.false_alarm_s)
        self._notable: dict[str, list[Finding]] = {layer: [] for layer in _LAYERS}
        self._left_out: dict[str, int] = dict.fromkeys(_LAYERS, 0)
        self._looks = 0
        self._windows = 0
        self._total_looks = 0
        self._total_windows = 0
        self._recorded_us: dict[str, int] = {}
        self._collapsed: frozenset[str] = frozenset()
        self._was_emerged: frozenset[str] = frozenset()
        self._latest: dict[str, dict[str, Any]] = {}

    def take(self, state: MeshState) -> None:
        """Look at the bands that have been evaluated just now and are a lag further than at the last look."""
        if not self._layers:
            return
        now_us = state.time_us
        self._accusations.expire(now_us)
        for watch, band in zip(self._watches, state.bands, strict=False):
            if band.time_us == now_us and watch.due(now_us):
                self._look(watch, band)
                if "meso" in self._layers:
                    self._transducers.field(watch.band, band)
                    self._look_at_master(watch.band, now_us)
        self._record(state)

    def _look_at_master(self, band: Band, now_us: int) -> None:
        reading = None if self._master is None else self._master(band.name, now_us)
        if reading is not None:
            self.transducer(
                f"master/{band.name}",
                reading.phase,
                reading.coherence,
                omega=reading.omega,
                time_us=now_us,
                lag_s=math.tau * reading.tau_s,
            )

    def moment(self, why: str, state: MeshState) -> None:
        """Let the macro layer look at the mesh for an event. Collapses and emergences it sees for itself.

        Parameters
        ----------
        why : str
            The event's kind.
        """
        if "macro" in self._layers:
            self._system_record(why, state)

    def transducer(
        self, name: str, phase: float | None, coherence: float, *, omega: float, time_us: int, lag_s: float
    ) -> None:
        """Show the present state of a transducer, such as the Master of a band; looked at a lag apart at most.

        Parameters
        ----------
        name : str
            ``master/<band>``.
        phase : float or None
            rad; None while it has none.
        coherence : float
            0..1.
        omega : float
            The rate at which its phase is expected to go on, rad/s.
        time_us : int
            Mesh time, µs.
        lag_s : float
            How far two phases lie apart whose errors are independent: 2π times its time constant.
        """
        if "meso" in self._layers:
            least_s = max(lag_s, self._section.master_interval_s)
            self._transducers.take(name, phase, coherence, omega=omega, time_us=time_us, lag_us=round(least_s * 1e6))

    def figures(self) -> dict[str, Any]:
        """Give what the snapshot shows: what is watched, what was found, the limits, and each layer's last record."""
        limits = self._limits
        return {
            "enabled": bool(self._layers),
            "layers": [layer for layer in _LAYERS if layer in self._layers],
            "looks": self._total_looks,
            "windows": self._total_windows,
            "watched": {watch.band.name: watch.watched for watch in self._watches if watch.watched},
            "found": dict(sorted(self._accusations.found.items())),
            "faults": self._accusations.current,
            "withheld": self._accusations.withheld,
            "false_alarm_s": self._section.false_alarm_s,
            "limits": {"jump": round(limits.jump, 3), "window": float(f"{limits.window:.3g}")},
            "last": self._latest,
        }

    # -- what is found ---------------------------------------------------------------------------------------------

    def _look(self, watch: BandWatch, band: BandState) -> None:
        self._set_limits()
        look = watch.look(band, self._limits)
        self._looks += look.looks
        self._windows += look.windows
        self._total_looks += look.looks
        self._total_windows += look.windows
        findings = [finding for finding in look.findings if finding.layer in self._layers]
        for finding in findings:
            if len(self._notable[finding.layer]) < _KEPT:
                self._notable[finding.layer].append(finding)
            else:
                self._left_out[finding.layer] += 1
        if findings:
            self._accusations.take(watch, findings, band.time_us)

    def _set_limits(self) -> None:
        """Set the limits for as many channels as there are: the more there are, the rarer each one's chance must be."""
        innovations_hz = sum(watch.watched / (watch.lag_us / 1e6) for watch in self._watches)
        if self._limits.far_from(innovations_hz):
            self._limits = Limits(
                innovations_hz,
                innovations_hz / self._section.window,
                innovations_hz / self._section.epoch,
                self._section.false_alarm_s,
            )

    # -- what is recorded ------------------------------------------------------------------------------------------

    def _due(self, layer: str, now_us: int, least_us: float) -> bool:
        last = self._recorded_us.get(layer)
        return layer in self._layers and (last is None or now_us - last >= least_us)

    def _record(self, state: MeshState) -> None:
        now_us, each_us = state.time_us, self._section.record_s * 1e6
        collapsed = frozenset(band.name for band in state.bands if band.collapsed)
        if collapsed != self._collapsed:
            why = "collapse" if collapsed - self._collapsed else "dissipation"
            self._collapsed = collapsed
            self.moment(why, state)
        emerged = frozenset[str]() if self._emerged is None else self._emerged()
        if emerged != self._was_emerged:
            why = "emergence" if emerged - self._was_emerged else "dissolution"
            self._was_emerged = emerged
            self.moment(why, state)
        if self._notable["micro"] and self._due("micro", now_us, MICRO_US):
            noted, left_out = self._take_notable("micro")
            self._put("micro", MicroRecord(now_us, self._looks, noted, left_out))
            self._looks = 0
        if self._windows and self._due("meso", now_us, each_us):
            noted, left_out = self._take_notable("meso")
            watched = {watch.band.name: watch.watched for watch in self._watches if watch.watched}
            self._put("meso", MesoRecord(now_us, self._windows, watched, noted, left_out, self._transducers.seen()))
            self._windows = 0
        if self._total_windows and self._due("macro", now_us, SYSTEM_RECORDS * each_us):
            self._system_record("interval", state)
        if self._total_windows and self._due("meta", now_us, SYSTEM_RECORDS * each_us):
            self._put("meta", self._self_record(now_us))

    def _system_record(self, why: str, state: MeshState) -> None:
        look = self._system.look()
        noted, left_out = self._take_notable("macro")
        record = MacroRecord(
            state.time_us,
            why,
            state.overall("coherence"),
            state.overall("order"),
            state.overall("locking"),
            tuple(sorted(band.name for band in state.bands if band.collapsed)),
            look.names,
            look.values,
            look.pool_p,
            self._name(look.suspect) if look.suspect is not None else None,
            look.suspect_p,
            noted,
            left_out,
        )
        self._put("macro", record)

    def _self_record(self, now_us: int) -> MetaRecord:
        noted, left_out = self._take_notable("meta")
        filters = [part for watch in self._watches for part in (watch.own, watch.others)]
        lipschitz = np.concatenate([part.bank["lipschitz"] for part in filters])
        settled = np.concatenate([part.settled for part in filters])
        known = lipschitz[~np.isnan(lipschitz) & settled]
        sums = [chart for part in filters for chart in (part.of_scale, part.of_gain)]
        level = max((chart.level(self._limits.calibration) for chart in sums), default=0.0)
        slow = max((watch.slow.level(self._limits.slow) for watch in self._watches), default=0.0)
        return MetaRecord(
            now_us,
            witnesses=int(sum(np.count_nonzero(part.bank["begun"]) for part in filters)),
            settled=int(np.count_nonzero(settled)),
            epochs=sum(part.epochs for part in filters),
            level=max(level, slow),
            lipschitz=float(known.max()) if len(known) else None,
            not_converged=int(np.count_nonzero(known >= 1.0)),
            misfits=int(sum(np.count_nonzero(part.bank["misfit"]) for part in filters)),
            lowered=self._accusations.current,
            withheld=self._accusations.withheld,
            unsaid=self._accusations.unsaid,
            false_alarm_s=self._section.false_alarm_s,
            notable=noted,
            left_out=left_out,
        )

    def _take_notable(self, layer: str) -> tuple[tuple[Noted, ...], int]:
        findings = sorted(self._notable[layer], key=lambda finding: finding.p)
        left_out = self._left_out[layer] + max(0, len(findings) - MOST)
        self._notable[layer], self._left_out[layer] = [], 0
        noted: list[Noted] = []
        for finding in findings[:MOST]:
            key = self._table.keys[finding.row]
            noted.append(Noted(key.node, key.band, key.channel, finding.fault, finding.p, finding.figures))
        return tuple(noted), left_out

    def _name(self, row: int) -> str:
        key = self._table.keys[row]
        return f"{key.node}/{key.band}/{key.channel}"

    def _put(self, layer: str, record: MicroRecord | MesoRecord | MacroRecord | MetaRecord) -> None:
        self._recorded_us[layer] = record.time_us
        self._latest[layer] = record.as_json()
        self._publish(layer, self._latest[layer])
