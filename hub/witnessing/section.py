"""How the mesh witnesses itself, as it is configured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from becomingone.config.sections import Positive, Section

Layer = Literal["micro", "meso", "macro", "meta"]
"""The layers of witnesses, each of which looks at the one below."""

WINDOWS_PER_EPOCH = 16
"""Windows that have to fit into an epoch: with fewer, the error of what was learnt in it would show as faults."""


class WitnessingSection(Section):
    """What is witnessed, how soon, and how seldom it may cry wolf."""

    enabled: Annotated[bool, Field(description="whether anything is witnessed")] = True
    layers: Annotated[tuple[Layer, ...], Field(description="the layers that look")] = ("micro", "meso", "macro", "meta")
    lower: Annotated[bool, Field(description="whether a node that is found at fault loses weight while it lasts")] = (
        True
    )
    window: Annotated[int, Field(ge=8, le=256, description="innovations in a window of the meso layer")] = 16
    epoch: Annotated[
        int, Field(ge=128, le=65_536, description="innovations from which a witness learns; at least 16 windows")
    ] = 256
    first_epoch: Annotated[
        int,
        Field(ge=32, le=65_536, description="the same for a witness that knows nothing yet; it says nothing before"),
    ] = 64
    false_alarm_s: Annotated[
        Positive,
        Field(ge=3600, le=1e9, description="mean time between false alarms of each layer, all nodes together, s"),
    ] = 30 * 86_400.0
    master_interval_s: Annotated[
        Positive, Field(le=86_400, description="least time between looks at a Master, s; a lag at least is kept anyhow")
    ] = 0.1
    emissary_interval_s: Annotated[
        Positive, Field(le=86_400, description="the same at a node's channels and at a band's mean field, s")
    ] = 0.01
    record_s: Annotated[
        Positive, Field(ge=1, le=86_400, description="least time between the records of a layer, s; micro has 1 s")
    ] = 10.0

    @model_validator(mode="after")
    def _windows_fit(self) -> WitnessingSection:
        if self.epoch < WINDOWS_PER_EPOCH * self.window:
            msg = f"epoch ({self.epoch}) must be at least 16 windows ({WINDOWS_PER_EPOCH * self.window})"
            raise ValueError(msg)
        if self.first_epoch > self.epoch:
            msg = f"first_epoch ({self.first_epoch}) must be at most epoch ({self.epoch})"
            raise ValueError(msg)
        return self
