"""The section ``remember`` of the hub's configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from becomingone.config.sections import Positive, Section


class RememberSection(Section):
    """What the hub remembers of the mesh, beside the frames that nodes keep."""

    every_s: Annotated[
        float, Field(ge=0.1, le=3600, description="seconds between entries of a band; at least about its τ")
    ] = 1.0
    flush_s: Annotated[
        float,
        Field(
            ge=0,
            le=600,
            description="seconds for which figures are collected before they are written: a power cut "
            "loses as much of them, and the card wears less; events and signatures do not wait",
        ),
    ] = 10.0
    pattern_s: Annotated[
        float, Field(ge=0, le=86_400, description="seconds between patterns for recall; at least τ; 0: none")
    ] = 10.0
    tier_s: Annotated[
        float, Field(ge=60, le=86_400, description="seconds between copies of the tiers, which a start begins from")
    ] = 10_800.0
    keep: Annotated[
        int, Field(ge=8, le=4096, multiple_of=2, description="blocks of the past on each level: age/keep is its grain")
    ] = 96
    channels: Annotated[
        int, Field(ge=0, le=4096, description="kept channels in bands whose past is remembered one by one")
    ] = 192
    witness_per_s: Annotated[
        Positive, Field(le=1000, description="witness records a second, at most; more are counted and dropped")
    ] = 10.0
