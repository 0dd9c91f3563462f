"""One Master a band, its Emissaries, and who of them may proceed, dissipates, or is asked to realign."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from becomingone.hub.intake.roster import Roster
from becomingone.hub.masters.band_pair import BandPair, carried, decision_figures, reading_figures
from becomingone.hub.masters.nodes import NodePairs
from becomingone.hub.masters.requests import Realign, Requests, Sent
from becomingone.hub.masters.sections import MasterSection, SyncLayerSection
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.kairos.bands import Band
from becomingone.kairos.transducers.synchronise import Decision, Synchroniser
from becomingone.kairos.transducers.transducer import Reading

MOST_TOLD: Final = 200
"""Nodes of which the snapshot tells, those that do not proceed everywhere first; the others are counted."""

RELEASE: Final = 3.0
"""Hysteresis of a decision: released at this many times the p that made it, and always before p is 1."""


@dataclass(frozen=True, slots=True)
class _Given:
    """A Master that was computed elsewhere."""

    reading: Reading
    time_us: int


class Masters:
    """The Masters of a cell.

    Parameters
    ----------
    section : MasterSection
        How long they integrate.
    sync : SyncLayerSection
        When Master and Emissary may proceed, and how often nodes are asked to realign.
    bands : sequence of Band
        The cell's plan.
    table, roster : ChannelTable, Roster
        The channels' live state, and who they belong to.
    p_false : float
        Probability of calling noise coherent.
    realign : callable
        Has a node realign (node, band, phase, omega, time_us, valid_s); False where it cannot be spoken to.
    tell : callable
        Publishes an event of a kind.

    Notes
    -----
    What a Master has integrated is not kept over a restart of the hub: its T is back after about two lags of its band,
    with an N_eff that grows as its window fills.
    """

    def __init__(
        self,
        section: MasterSection,
        sync: SyncLayerSection,
        bands: Sequence[Band],
        table: ChannelTable,
        roster: Roster,
        *,
        p_false: float,
        realign: Realign,
        tell: Callable[[str, dict[str, Any]], object],
    ) -> None:
        self._section = section
        self._sync = sync
        self._bands = {band.name: band for band in bands}
        self._roster = roster
        self._tell = tell
        self._release = min(RELEASE * p_false, (1.0 + p_false) / 2.0)
        self._p_false = p_false
        self._own = {
            band.name: BandPair(band, window_s, p_false=p_false, synchroniser=self._synchroniser())
            for band in bands
            if (window_s := section.window_s(band)) is not None
        }
        self._given: dict[str, _Given] = {}
        self._nodes = {band.name: NodePairs(band, table, roster, self._synchroniser) for band in bands}
        self._evaluated_us: dict[str, int] = {}
        self._requests = Requests(realign, sync.realign_per_s, bands)

    def give(self, band: str, reading: Reading, time_us: int) -> None:
        """Give the Master of a band that is too slow to be fed tick by tick: computed from the memory's tiers.

        Parameters
        ----------
        band : str
            A band without a Master of this hub's own; of any other this is ignored.
        reading : Reading
            What it says; its ``phase`` is that at `time_us`.
        time_us : int
            Mesh time, µs.
        """
        if band in self._bands and band not in self._own and self._section.enabled:
            self._given[band] = _Given(reading, time_us)

    def master(self, band: str, time_us: int) -> Reading | None:
        """Give what a band's Master says, its phase carried on to an instant of mesh time; None where there is none."""
        own, given = self._own.get(band), self._given.get(band)
        if own is not None:
            return own.master(time_us)
        return carried(given.reading, given.time_us, time_us) if given is not None else None

    def take(self, state: MeshState) -> None:
        """Take the bands that were evaluated at this tick."""
        for band in state.bands:
            if band.time_us > self._evaluated_us.get(band.name, 0):
                self._evaluated_us[band.name] = band.time_us
                self._take(band)
        for sent in self._requests.send(state.time_us, lambda band: self.master(band, state.time_us)):
            asked = sent.found.realignment
            if asked is not None and asked.attempt == 1:  # the further ones are counted: an event is for what is new
                self._tell("realign", _event(sent, state.time_us, asked.correction))

    def _take(self, state: BandState) -> None:
        own = self._own.get(state.name)
        if own is not None:
            own.take(state)
        master = self.master(state.name, state.time_us)
        if master is None:
            return
        for member, found in self._nodes[state.name].take(state.rows, master, state.time_us):
            if found.decision is Decision.REALIGN and self._sync.realign:
                self._requests.ask(member.id, state.name, found, state.time_us)
            elif found.decision is Decision.PROCEED:
                self._requests.withdraw(member.id, state.name)

    def figures(self) -> dict[str, Any]:
        """Give all of it as JSON has it, for the snapshot; ``docs/master.md`` explains each field."""
        told: dict[int, None] = {}
        apart = itertools.chain.from_iterable(of.apart for of in self._nodes.values())
        every = itertools.chain.from_iterable(of.pairs for of in self._nodes.values())
        for number in itertools.chain(apart, every):
            told[number] = None
            if len(told) >= MOST_TOLD:
                break
        return {
            "bands": {name: self._band_figures(name) for name in self._bands},
            "decisions": {name: dict(+of.decisions) for name, of in self._nodes.items() if of.pairs},
            "nodes": {
                self._roster.members[number].id: {
                    name: of.pairs[number].figures() for name, of in self._nodes.items() if number in of.pairs
                }
                for number in told
            },
            "realign": {
                "waiting": len(self._requests),
                **{reason: self._requests.counts[reason] for reason in ("sent", "absent", "expired", "unsuitable")},
            },
        }

    def _band_figures(self, name: str) -> dict[str, Any]:
        own, given = self._own.get(name), self._given.get(name)
        if own is not None:
            if own.filled == 0.0:
                return {"master": None, "why": "no_field"}
            master = own.master(self._evaluated_us.get(name, 0))
            return {
                "master": {**reading_figures(master), "filled": round(own.filled, 4)},
                "emissary": reading_figures(own.emissary),
                "sync": decision_figures(own.latest) if own.latest is not None else None,
            }
        if given is not None:
            return {"master": {**reading_figures(given.reading), "time_us": given.time_us}}
        why = "too_slow" if self._section.enabled else "disabled"
        return {"master": None, "why": why}

    def _synchroniser(self) -> Synchroniser:
        return Synchroniser(
            threshold=self._sync.phase_threshold,
            least_chi=self._sync.least_chi,
            p_false=self._p_false,
            release_p=self._release,
        )


def _event(sent: Sent, time_us: int, correction: float) -> dict[str, Any]:
    return {
        "node": sent.node,
        "band": sent.band,
        **decision_figures(sent.found),
        "target_phase": round(sent.phase, 4),
        "omega": round(sent.omega, 6),
        "target_time_us": time_us,
        "correction": round(correction, 4),
    }
