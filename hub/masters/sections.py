"""The sections ``master`` and ``sync`` of a hub's configuration."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from becomingone.config.sections import Positive, Section
from becomingone.kairos.bands import MIN_COHERENCE_PER_TAU, Band
from becomingone.kairos.transducers.synchronise import PHASE_THRESHOLD
from becomingone.kairos.transducers.transducer import MASTER_S

SLOWER: Final = 4.0
"""A Master's window, in coherence windows of its band, at least: as slow as an Emissary it would tell the same."""


class MasterSection(Section):
    """The slow transducer."""

    enabled: Annotated[bool, Field(description="have a Master in every band whose window fits")] = True
    tau_s: Annotated[
        Positive,
        Field(
            le=86_400,
            description="time over which each channel's offset to the mean field is learnt, and shortest window of a "
            "Master, s",
        ),
    ] = 60.0
    tau_max: Annotated[
        float,
        Field(
            ge=MASTER_S[0],
            le=MASTER_S[1],
            allow_inf_nan=False,
            description="longest window of a Master, s; slower bands have none here",
        ),
    ] = MASTER_S[1]

    def window_s(self, band: Band) -> float | None:
        """Give the window of a band's Master, s; None where it has none.

        Four coherence windows of the band, and `tau_s`, at least; `tau_max` and an hour at most. A band whose own
        coherence window is longer than that is too slow for one that is fed tick by tick.
        """
        least = max(band.coherence_tau_s, MIN_COHERENCE_PER_TAU * band.tau_s)
        if not self.enabled or least > self.tau_max:
            return None
        return min(max(self.tau_s, SLOWER * least, MASTER_S[0]), self.tau_max)


class SyncLayerSection(Section):
    """The mesh's field, which the nodes' control oscillators follow, and what is done about who is out of step."""

    enabled: Annotated[bool, Field(description="publish sync/<band>")] = True
    phase_threshold: Annotated[
        float, Field(gt=0, le=1, description="coherence gap of Master and Emissary below which they may proceed, 0..1")
    ] = PHASE_THRESHOLD
    least_chi: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="share of the energy in which Master and Emissary must agree to proceed, 0..1; 0.5 is what "
            "unrelated phases have, 0: any",
        ),
    ] = 0.5
    realign: Annotated[bool, Field(description="ask nodes that are out of step to realign their oscillators")] = True
    realign_per_s: Annotated[
        float, Field(gt=0, le=1000, description="such requests a second to all nodes together, at most")
    ] = 10.0
