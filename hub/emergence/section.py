"""When a band's nodes count as one, ``emergence`` in ``hub.yaml``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from becomingone.config.sections import Section


class EmergenceSection(Section):
    """When a band's nodes count as one. Times are in τ, the time constant of the band's filter."""

    enabled: Annotated[bool, Field(description="look for emergence")] = True
    coherence: Annotated[float, Field(gt=0, lt=1, description="the band's coherence must be above this")] = 0.75
    release_coherence: Annotated[float, Field(gt=0, lt=1, description="below this an emerged band dissolves")] = 0.65
    p_false: Annotated[
        float,
        Field(gt=0, le=0.1, description="probability of a false emergence, in a band, in the time of one window"),
    ] = 0.01
    release_p: Annotated[
        float, Field(gt=0, lt=0.5, description="an emerged band whose evidence is no better than this dissolves")
    ] = 0.1
    window_tau: Annotated[float, Field(ge=48, le=10_000, description="how far a look goes back, τ")] = 240.0
    first_tau: Annotated[float, Field(ge=12, le=1000, description="phases that two nodes must have for a look, τ")] = (
        12.0
    )
    trend_tau: Annotated[float, Field(ge=4, le=64, description="fluctuations are about the mean over this time, τ")] = (
        8.0
    )
    settle_tau: Annotated[
        float, Field(ge=0, le=16, description="what follows a start or a gap of τ and is left out, τ")
    ] = 2.0
    locking_tau: Annotated[
        float, Field(ge=8, le=1000, description="time over which phase differences must not wander, τ")
    ] = 12.0
    dwell_tau: Annotated[float, Field(ge=0, le=1000, description="time for which the conditions must hold, τ")] = 2.0

    @model_validator(mode="after")
    def _check_order(self) -> EmergenceSection:
        if self.release_coherence > self.coherence:
            msg = (
                f"release_coherence: {self.release_coherence:g} is above coherence, {self.coherence:g}; "
                "a band would dissolve as soon as it has emerged"
            )
            raise ValueError(msg)
        if self.release_p < self.p_false:
            msg = f"release_p: {self.release_p:g} is below p_false, {self.p_false:g}; it must be at least that"
            raise ValueError(msg)
        least = self.first_tau + self.settle_tau + self.trend_tau
        if self.window_tau < 2.0 * least:
            msg = (
                f"window_tau: {self.window_tau:g} is too short; at least {2.0 * least:g}, "
                "twice first_tau, settle_tau and trend_tau together"
            )
            raise ValueError(msg)
        return self
