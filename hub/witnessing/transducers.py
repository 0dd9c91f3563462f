"""The hub's own transducers, witnessed: the bands' mean fields, and Masters."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from typing import Final

from becomingone.hub.mesh.state import BandState
from becomingone.hub.witnessing.records import TransducerSeen
from becomingone.hub.witnessing.section import WitnessingSection
from becomingone.kairos.bands import Band
from becomingone.kairos.witnessing.layers import WitnessLayers
from becomingone.kairos.witnessing.witness import Witness

MOST: Final = 256
"""Transducers; a cell has a Master and a mean field for each of at most 64 bands."""


@dataclass(slots=True)
class _Shown:
    """What was last shown of a transducer."""

    time_us: int
    turn: float
    omega: float
    phase: float | None
    coherence: float


class TransducerWitnesses:
    """A witness for each of a few transducers, each on its own: `WitnessLayers`.

    Parameters
    ----------
    section : WitnessingSection
        Epochs and windows.
    """

    def __init__(self, section: WitnessingSection) -> None:
        self._layers = WitnessLayers(window=section.window)
        self._epoch = section.epoch
        self._witnesses: dict[str, Witness] = {}
        self._shown: dict[str, _Shown] = {}

    def field(self, band: Band, state: BandState) -> None:
        """Show the mean field of a band, to be called a lag apart: what all its Emissaries say together."""
        phase = state.phase
        self.take(f"emissary/{band.name}", phase, state.coherence, omega=state.omega, time_us=state.time_us, lag_us=0)

    def take(
        self, name: str, phase: float | None, coherence: float, *, omega: float, time_us: int, lag_us: int
    ) -> None:
        """Show a transducer; see `Witnesses.transducer`."""
        shown = self._shown.get(name)
        if shown is None:
            if len(self._shown) >= MOST:
                return
            self._witnesses[name] = Witness(circular=True, epoch=self._epoch)
            self._layers.add(name, self._witnesses[name])
            shown = self._shown[name] = _Shown(time_us, 0.0, omega, phase, coherence)
        elif time_us - shown.time_us < lag_us:
            return
        # By the rate that was measured before: by that of now, the phase would foretell itself.
        shown.turn = math.fmod(shown.turn + shown.omega * (time_us - shown.time_us) / 1e6, math.tau)
        shown.time_us, shown.omega, shown.phase, shown.coherence = time_us, omega, phase, coherence
        self._layers.witness_operation(name, 0j if phase is None else cmath.rect(1.0, phase - shown.turn))

    def seen(self) -> tuple[TransducerSeen, ...]:
        """Give what is known of each."""
        out: list[TransducerSeen] = []
        for name, shown in self._shown.items():
            witness, latest = self._witnesses[name], self._layers.witness_transducer(name)
            valid = latest is not None and latest.valid
            out.append(
                TransducerSeen(
                    name,
                    shown.phase,
                    shown.coherence,
                    witness.gain,
                    witness.scale,
                    latest.nis if latest is not None and valid else None,
                    latest.rho if latest is not None and valid else None,
                    latest.p if latest is not None and valid else None,
                )
            )
        return tuple(out)
