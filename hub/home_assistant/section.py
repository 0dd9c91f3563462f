"""The ``home_assistant`` section of the hub's configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from becomingone.broker.access import DISCOVERY
from becomingone.config.sections import Section


class HomeAssistantSection(Section):
    """Whether Home Assistant finds the cell by itself."""

    enabled: Annotated[bool, Field(description="publish discovery messages; false: take those away that are there")] = (
        True
    )
    prefix: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}(/[A-Za-z0-9][A-Za-z0-9_-]{0,62})*$",
            description="first level of the discovery topics, as in Home Assistant's MQTT settings",
        ),
    ] = DISCOVERY
