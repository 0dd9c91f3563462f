"""How to reach a broker, as the configuration says it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator


class BrokerSettings(BaseModel):
    """The section ``broker`` of a node's or the hub's configuration.

    Parameters
    ----------
    url : str
        ``mqtt://host[:port]``; the port is 1883 where none is given.
    username, password : str or None
        MQTT user name and password.
    keepalive_s : int
        Seconds of silence after which the client pings; a broker that enforces it publishes the will after 1.5 ×.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, Field(description="mqtt://host[:port]")] = "mqtt://127.0.0.1:1883"
    username: Annotated[str | None, Field(description="MQTT user name")] = None
    password: Annotated[SecretStr | None, Field(description="MQTT password; use !secret NAME")] = None
    keepalive_s: Annotated[int, Field(ge=1, le=3600, description="seconds of silence before a ping")] = 10

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme != "mqtt" or not parts.hostname or parts.path not in ("", "/") or port == -1 or parts.username:
            msg = "must be mqtt://host or mqtt://host:port, the port 1..65535"
            raise ValueError(msg)
        return url

    @property
    def host(self) -> str:
        """The broker's host name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The broker's TCP port."""
        return urlsplit(self.url).port or 1883
