"""The sections ``relay`` and ``children``: the cell above this one, and those within it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from becomingone.broker.settings import BrokerSettings
from becomingone.config.sections import Name, Positive, Root, Section
from becomingone.config.security import SecretKey

ChildName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,57}$")]
"""A child's name: its id as a member, ``cell-<child>``, is a name, too."""


class RelaySection(Section):
    """The cell that this one hands its sums up to."""

    parent: Annotated[Name | None, Field(description="the parent cell; nothing is handed up without one")] = None
    root: Annotated[Root | None, Field(description="the parent's first topic level; this cell's, if not given")] = None
    child: Annotated[
        ChildName | None, Field(description="what the parent calls this cell; its own name by default")
    ] = None
    broker: Annotated[
        BrokerSettings | None, Field(description="the parent's broker; this cell's own, if not given")
    ] = None
    key: Annotated[
        SecretKey | None,
        Field(description="the key of node cell-<child> in the parent, 32 bytes, hex or base64; use !secret NAME"),
    ] = None
    interval_s: Annotated[float, Field(ge=0.05, le=3600, description="seconds between sums")] = 1.0

    @model_validator(mode="after")
    def _check_parent(self) -> RelaySection:
        # What was written as it would be anyway does not count: a configuration may have been written out whole.
        given = {name for name, field in type(self).model_fields.items() if getattr(self, name) != field.default}
        if self.parent is None and given:
            msg = "parent: name the cell that the sums are handed up to"
            raise ValueError(msg)
        return self


class ChildSection(Section):
    """A cell within this one that may hand its sums up."""

    weight: Annotated[float, Field(gt=0, le=1000, description="its weight in this mesh, as a node's capability")] = 1.0
    max_age_s: Annotated[
        Positive, Field(le=3600, description="it is lost after so many seconds without a new sum; three intervals")
    ] = 5.0
    clock_sigma_s: Annotated[
        float, Field(ge=0, le=10, description="standard deviation of its hub's clock against this one's, s")
    ] = 0.002
