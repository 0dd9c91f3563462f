"""The ``http`` section of the hub's configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from becomingone.config.sections import Section


class HttpSection(Section):
    """What the hub serves over HTTP: ``/healthz``, ``/metrics``. Without a password, so on this machine only."""

    enabled: Annotated[bool, Field(description="serve at all")] = True
    host: Annotated[
        str, Field(min_length=1, max_length=255, description="address to listen on; 0.0.0.0: everybody may read")
    ] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="port; 0: any free one, which the log names")] = 8080
