"""The section ``memory`` of the hub's configuration."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from becomingone.config.sections import Positive, Section

_DAYS: Final = "days then the oldest go; empty: as long as there is room"

Days = Annotated[Positive | None, Field(le=36_500)]


class KeepSection(Section):
    """How long what is remembered is kept, by kind."""

    frame: Annotated[Days, Field(description=f"a kept frame: {_DAYS}")] = None
    event: Annotated[Days, Field(description=f"an event: {_DAYS}")] = None
    witness: Annotated[Days, Field(description=f"what a witnessing layer has said: {_DAYS}")] = None
    mesh: Annotated[Days, Field(description=f"the mesh's state: {_DAYS}")] = 30.0
    signature: Annotated[Days, Field(description=f"a temporal signature: {_DAYS}")] = None
    pattern: Annotated[Days, Field(description=f"a pattern of phases, for recall: {_DAYS}")] = 365.0
    tier: Annotated[Days, Field(description=f"a state of the decay tiers, of which the newest count: {_DAYS}")] = 2.0
    checkpoint: Annotated[Days, Field(description=f"a signed checkpoint: {_DAYS}")] = 30.0

    def days(self, kind: str) -> float | None:
        """Give the days for a kind; None where only the room decides."""
        value: float | None = getattr(self, kind) if kind in type(self).model_fields else None
        return value


class MemorySection(Section):
    """Where what nodes keep, and what the hub remembers, is committed."""

    max_mb: Annotated[Positive, Field(le=1e6, description="room on the disk, MB; full: the oldest goes")] = 1000.0
    commit_s: Annotated[
        Positive, Field(le=60, description="seconds between commits; nodes hear of them after that")
    ] = 0.5
    keep_days: Annotated[KeepSection, Field(description="how long each kind is kept, days")] = KeepSection()
    checkpoint_s: Annotated[
        float, Field(ge=1, le=86_400, description="seconds after which new records are sealed by a checkpoint")
    ] = 60.0
    checkpoint_records: Annotated[
        int, Field(ge=100, le=10_000_000, description="records after which there is a checkpoint in any case")
    ] = 20_000
    queue_entries: Annotated[
        int, Field(ge=10, le=1_000_000, description="entries that may wait for a commit; more are dropped, and counted")
    ] = 10_000
    queue_mb: Annotated[Positive, Field(le=1000, description="what may wait for a commit, MB; the same")] = 32.0
