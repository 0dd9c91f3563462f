"""The channels of one band, taken together tick by tick."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.kairos.bands import CORRELATION_PER_TAU, MIN_COHERENCE_PER_TAU, Band
from becomingone.kairos.collapse import Collapse
from becomingone.kairos.mesh.band_tick import Channels, MeshBand
from becomingone.kairos.pairs.pair_stream import PairStream
from becomingone.kairos.transducers.synchronise import Synchroniser
from becomingone.kairos.transducers.transducer import Transducer
from becomingone.sdk.state import BandState

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.pairs.pairwise import PairMeasures
    from becomingone.sdk.channel import EngineChannel

_RELEASE: Final = 3.0
_FIELD_FLOOR: Final = 1e-3


class BandMesh:
    """What the channels of one band are together, from tick to tick."""

    def __init__(
        self, band: Band, p_false: float, threshold: float, dwell_us: int, master_s: float, tick_s: float
    ) -> None:
        release = min(_RELEASE * p_false, (1.0 + p_false) / 2.0)
        self._band = band
        self._p_false = p_false
        self._threshold = threshold
        self._tick_s = tick_s
        self._mesh = MeshBand(max(master_s, band.coherence_tau_s), CORRELATION_PER_TAU * band.tau_s)
        self._collapse = Collapse(p_false=p_false, release_p=release, dwell_us=dwell_us)
        self._emergence = Collapse(p_false=p_false, release_p=release, dwell_us=dwell_us)
        self._emissary = Transducer(band, floor=_FIELD_FLOOR, real=False, p_false=p_false)
        slow = replace(band, coherence_tau_s=max(master_s, MIN_COHERENCE_PER_TAU * band.tau_s, band.coherence_tau_s))
        self._master = Transducer(slow, floor=_FIELD_FLOOR, real=False, p_false=p_false)
        self._synchroniser = Synchroniser(p_false=p_false, release_p=release, dwell_us=dwell_us)
        self._pairs: PairStream | None = None
        self._names: tuple[str, ...] = ()

    def tick(self, channels: list[EngineChannel], now_us: int, elapsed_s: float) -> BandState:
        """Take the channels' latest evidence to one instant."""
        now = self._mesh.tick(self._known(channels), now_us)
        present = np.flatnonzero(now.weight)
        u, mesh, locking = now.phasor[present], now.state, now.locking
        locked = locking is not None and locking.valid and mesh.coherence >= self._threshold
        field = now.total.order / now.total.weight if mesh.valid else None
        emissary = self._emissary.tick(field, elapsed_s)
        master = self._master.tick(field, elapsed_s)
        return BandState(
            channels=tuple(channels[row].name for row in present),
            phases=tuple(np.angle(u).tolist()),
            weights=tuple(now.weight[present].tolist()),
            mesh=mesh,
            direction=now.robust,
            locking=locking,
            pairs=self._pair_up(channels, np.where(now.weight > 0.0, now.phasor, 0.0), elapsed_s),
            names=self._names,
            collapsed=self._collapse.update(mesh.coherence_p, now_us),
            emerged=self._emergence.update(locking.p if locking is not None and locked else 1.0, now_us),
            master=master,
            emissary=emissary,
            synchronisation=self._synchroniser.update(master, emissary, now_us),
        )

    def _known(self, channels: list[EngineChannel]) -> Channels:
        """Gather the channels' latest evidence."""
        evidence = [channel.evidence[self._band.name] for channel in channels]
        blocks = [item.block for item in evidence]
        return Channels(
            ids=np.array([channel.number for channel in channels], dtype=np.intp),
            time_us=np.array([item.time_us for item in evidence], dtype=np.int64),
            phasor=np.array([block.phasors[-1] for block in blocks]),
            coherence=np.array([block.coherence for block in blocks]),
            p=np.array([block.p for block in blocks]),
            n_eff=np.array([block.n_eff for block in blocks]),
            omega=np.array([block.omega for block in blocks]),
            omega_sigma=np.array([block.omega_sigma for block in blocks]),
            phase_sigma=np.array([block.phase_sigma for block in blocks]),
            clock_sigma_s=np.zeros(len(blocks)),
            capability=np.array([channel.capability for channel in channels]),
            trust=np.ones(len(blocks)),
            max_age_s=np.array([item.max_age_s for item in evidence]),
        )

    def _pair_up(
        self, channels: list[EngineChannel], phasor: NDArray[np.complex128], elapsed_s: float
    ) -> PairMeasures | None:
        """Compare every channel with every other; a channel that joins starts the comparison anew."""
        names = tuple(channel.name for channel in channels)
        if len(names) < 2:
            return None
        if self._pairs is None or names != self._names:
            self._names = names
            self._pairs = PairStream(len(names), tau_s=self._band.coherence_tau_s, spacing_s=self._tick_s)
        elif elapsed_s > self._tick_s:
            self._pairs.skip(elapsed_s - self._tick_s)
        self._pairs.tick(phasor)
        return self._pairs.measures()
