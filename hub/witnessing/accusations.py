"""What follows from a finding: an event, and for its node less weight while it lasts."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, Final

from becomingone.hub.mesh.standing import Standing, Tell
from becomingone.hub.mesh.table import ChannelTable
from becomingone.hub.witnessing.band_watch import BandWatch
from becomingone.hub.witnessing.findings import Fault, Finding

FACTORS: Final[dict[Fault, float]] = {"stuck": 0.1, "liar": 0.1, "clock": 0.5, "jumps": 0.5}
"""By how much a node's weight is lowered. A stuck sensor and a liar say nothing about the
world; the others a little."""

HOLD_WINDOWS: Final = 4.0
"""Windows of the band for which it stays lowered after the last finding."""

LEAST_HOLD_S: Final = 30.0

MINORITY: Final = 0.25
"""Greatest part of a band's nodes, but one in any case, that may be at fault at once: where more are, the mesh is
changing, and nobody is to blame."""

MOST_EVENTS: Final = 20
"""Events a minute; more are counted."""

GRAVE: Final[frozenset[Fault]] = frozenset({"stuck", "liar"})
"""What explains whatever else the node does in the band."""

_Of = tuple[str, Fault, str]
_MANY: Final = 3
_INNOCENT: Final = 1.5
_GUILTY: Final = 3.0
_MINUTE_US: Final = 60_000_000

_WORDS: Final[dict[Fault, str]] = {
    "jumps": "its phase has jumped, apart from the others, and not for the first time",
    "stuck": "its phase goes on without the least variation: the sensor no longer says anything",
    "clock": "its phase moves away from the others steadily, as with a clock that runs off",
    "unsteady": "its phase varies more than it used to",
    "calibration": "what its witness has learnt is drifting",
    "liar": "it claims more certainty than its phases have",
}


class Accusations:
    """Decides what a finding means for its node.

    Parameters
    ----------
    table : ChannelTable
        Whose rows are meant.
    watches : list of BandWatch
        All bands, for what else a node's channels do.
    standing : Standing or None
        Is told whom to trust less; None: nobody.
    tell : callable
        Publishes the event ``witness``.
    """

    def __init__(self, table: ChannelTable, watches: list[BandWatch], *, standing: Standing | None, tell: Tell) -> None:
        self.found: Counter[str] = Counter()
        self.withheld = 0
        self.unsaid = 0
        self._table = table
        self._watches = watches
        self._standing = standing
        self._tell = tell
        self._until_us: dict[_Of, int] = {}
        self._suspected_us: dict[_Of, int] = {}
        self._minute: tuple[int, int] = (0, 0)

    @property
    def current(self) -> dict[str, list[str]]:
        """By node, the faults that it is found at just now."""
        out: dict[str, list[str]] = {}
        for node, fault, band in sorted(self._until_us):
            out.setdefault(node, []).append(f"{fault} ({band})")
        return out

    def expire(self, now_us: int) -> None:
        """Forget what is over."""
        if self._until_us:
            self._until_us = {key: until for key, until in self._until_us.items() if until > now_us}
        if self._suspected_us:
            self._suspected_us = {key: until for key, until in self._suspected_us.items() if until > now_us}

    def take(self, watch: BandWatch, findings: list[Finding], now_us: int) -> None:
        """Take what a look at a band has found."""
        hold_us = round(max(LEAST_HOLD_S, HOLD_WINDOWS * watch.window * watch.lag_us / 1e6) * 1e6)
        for finding in sorted(findings, key=lambda one: (one.fault not in GRAVE, one.p)):
            key = self._table.keys[finding.row]
            of = (key.node, finding.fault, finding.band)
            self.found[finding.fault] += 1
            # What is stuck, or lies, does other things, too, that need no other name.
            if finding.fault != "calibration" and any(
                fault != finding.fault and (key.node, fault, finding.band) in self._until_us for fault in sorted(GRAVE)
            ):
                continue
            lowers = finding.blames and finding.fault in FACTORS
            if lowers and (self._all_at_once(watch, of) or self._contradicted(watch, finding, now_us)):
                lowers = False
                self.withheld += 1
            known = self._until_us if lowers or finding.fault not in FACTORS else self._suspected_us
            if of not in known:
                self._say(finding, key.node, key.channel, lowers=lowers and self._standing is not None, now_us=now_us)
            known[of] = now_us + hold_us
            if lowers and self._standing is not None:
                why = f"{finding.band}/{key.channel}: {_WORDS[finding.fault]} (p = {finding.p:.1g})"
                factor, for_s = FACTORS[finding.fault], hold_us / 1e6
                self._standing.lower(key.node, finding.fault, factor, why, now_us=now_us, for_s=for_s)

    def _all_at_once(self, watch: BandWatch, of: _Of) -> bool:
        """Whether so many do the same that it is the mesh which changes; where most do, nobody remains accused."""
        _, fault, band = of
        accused = {node for node, what, where in self._until_us if where == band and what == fault} | {of[0]}
        suspected = {node for node, what, where in self._suspected_us if where == band and what == fault}
        if len(accused | suspected) >= _MANY and len(accused | suspected) > 0.5 * watch.nodes:
            for node in sorted(accused):
                until_us = self._until_us.pop((node, fault, band), None)
                if until_us is not None:
                    self._suspected_us[node, fault, band] = until_us
                    # Of another band the same may be true.
                    if self._standing is not None and not any(n == node and f == fault for n, f, _ in self._until_us):
                        self._standing.clear(node, fault)
            return True
        return len(accused) > max(1, math.floor(MINORITY * watch.nodes))

    def _contradicted(self, watch: BandWatch, finding: Finding, now_us: int) -> bool:
        """Whether the node's other channels say that it is not the clock: that would move all of them."""
        if finding.fault != "clock":
            return False
        node = int(self._table["node"][finding.row])
        moved = finding.figures.get("moved", 0.0)
        others = [
            math.copysign(1.0, moved) * deviate
            for other in self._watches
            if other.band.frequency_hz >= 0.5 * watch.band.frequency_hz
            for place, deviate in other.drift_of(node, now_us)
            if other is not watch or place != finding.place
        ]
        return any(deviate < _INNOCENT for deviate in others) and not any(deviate > _GUILTY for deviate in others)

    def _say(self, finding: Finding, node: str, channel: str, *, lowers: bool, now_us: int) -> None:
        minute, said = self._minute
        if minute != now_us // _MINUTE_US:
            minute, said = now_us // _MINUTE_US, 0
        self._minute = (minute, said + 1)
        if said >= MOST_EVENTS:
            self.unsaid += 1
            return
        content: dict[str, Any] = {
            "layer": finding.layer,
            "fault": finding.fault,
            "node": node,
            "band": finding.band,
            "channel": channel,
            "p": float(f"{finding.p:.3g}"),
            "why": _WORDS[finding.fault],
            "lowered": lowers,
            "figures": {name: float(f"{value:.4g}") for name, value in finding.figures.items()},
        }
        self._tell("witness", content)
