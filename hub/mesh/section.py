"""How the mesh is evaluated, as it is configured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from becomingone.config.sections import Positive, Section


class MeshSection(Section):
    """How the channels of a band are taken together."""

    mode: Annotated[
        Literal["robust", "documents"],
        Field(
            description="robust: no node's share above max_share, the mean field a robust mean, collapse by p_false; "
            "documents: plain weighted means, collapse by coherence_threshold"
        ),
    ] = "robust"
    coherence_threshold: Annotated[
        float, Field(gt=0, lt=1, description="above it the documents' form calls a band coherent, 0..1")
    ] = 0.75
    max_share: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="greatest share of a band's weight that one node may have, however many channels it has; "
            "of few nodes each may have half as much again as its equal share; 1: no limit",
        ),
    ] = 0.25
    least_trust: Annotated[
        float,
        Field(ge=0, le=1, description="a channel of less trust keeps its offset and takes no part in the locking"),
    ] = 0.5
    per_period: Annotated[
        float, Field(ge=4, le=1000, description="evaluations of a slow band a period, about; never more than tick_hz")
    ] = 16.0
    slowest_s: Annotated[Positive, Field(le=60, description="longest time between two evaluations of a band, s")] = 5.0
