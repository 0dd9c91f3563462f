"""How to reach a broker, as the configuration says it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from becomingone.config.marks import RESTART

PORTS: Final = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
"""The schemes of a broker's URL and their default ports."""

WEBSOCKET_PATH: Final = "/mqtt"
"""The path of a WebSocket where none is given: what most brokers listen on; Mosquitto takes any."""

_PATH: Final = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*")
_FORMS: Final = "must be mqtt://host, mqtts://host, ws://host/path or wss://host/path, each also with :port, 1..65535"


def _text_of_five(value: object) -> object:
    """Take the number 5, which is what YAML makes of ``protocol: 5``."""
    return "5" if type(value) is int and value == 5 else value


Version = Annotated[Literal["auto", "5", "3.1.1"], BeforeValidator(_text_of_five)]


class BrokerSettings(BaseModel):
    """The section ``broker`` of a node's or the hub's configuration.

    Parameters
    ----------
    url : str
        ``mqtt://host``, ``mqtts://host`` (TLS), ``ws://host/path`` (WebSocket) or ``wss://host/path`` (both), each with
        ``:port`` after the host where it is not 1883, 8883, 80 or 443.
    username, password : str or None
        MQTT user name and password.
    keepalive_s : int
        Seconds of silence after which the client pings; a broker that enforces it publishes the will after 1.5 ×.
    ca : Path or None
        PEM file of the authorities that may have signed the broker's certificate; the system's where none is given.
    certificate, key : Path or None
        PEM files of this client's certificate (with what is between it and the authority) and its private key, for
        brokers that ask for one.
    protocol : str
        ``5``, ``3.1.1``, or ``auto``: 5 where the broker has it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    url: Annotated[
        str, RESTART, Field(description="mqtt://host, mqtts://host, ws://host/path or wss://host/path; host:port")
    ] = "mqtt://127.0.0.1:1883"
    username: Annotated[str | None, RESTART, Field(description="MQTT user name")] = None
    password: Annotated[SecretStr | None, RESTART, Field(description="MQTT password; use !secret NAME")] = None
    keepalive_s: Annotated[int, RESTART, Field(ge=1, le=3600, description="seconds of silence before a ping")] = 10
    ca: Annotated[
        Path | None, RESTART, Field(description="PEM file of the broker's authority; default: the system's")
    ] = None
    certificate: Annotated[Path | None, RESTART, Field(description="PEM file of this client's certificate")] = None
    key: Annotated[Path | None, RESTART, Field(description="PEM file of the certificate's private key")] = None
    protocol: Annotated[Version, RESTART, Field(description="version of MQTT; auto: 5 where the broker has it")] = (
        "auto"
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError(_FORMS) from None
        if parts.scheme not in PORTS or not parts.hostname or port == 0 or any(c.isspace() for c in url):
            raise ValueError(_FORMS)
        if parts.username is not None:
            msg = "must not hold a user name or password; they are fields of their own"
            raise ValueError(msg)
        if parts.query or parts.fragment or not _PATH.fullmatch(parts.path):
            raise ValueError(_FORMS)
        if parts.scheme in ("mqtt", "mqtts") and parts.path not in ("", "/"):
            msg = "must have no path; only ws:// and wss:// have one"
            raise ValueError(msg)
        return url

    @model_validator(mode="after")
    def _check_together(self) -> BrokerSettings:
        if self.password is not None and self.username is None:
            msg = "password: a password needs a username"
            raise ValueError(msg)
        for name, value, other, needed in (
            ("certificate", self.certificate, "key", self.key),
            ("key", self.key, "certificate", self.certificate),
        ):
            if value is not None and needed is None:
                msg = f"{name}: needs the {other} that belongs to it beside it"
                raise ValueError(msg)
        for name in ("ca", "certificate"):
            if getattr(self, name) is not None and not self.tls:
                msg = f"{name}: is used with TLS only; the url must begin with mqtts:// or wss://"
                raise ValueError(msg)
        return self

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return urlsplit(self.url).scheme in ("mqtts", "wss")

    @property
    def websocket(self) -> bool:
        """Whether MQTT travels in a WebSocket."""
        return urlsplit(self.url).scheme in ("ws", "wss")

    @property
    def path(self) -> str:
        """The path of the WebSocket."""
        path = urlsplit(self.url).path
        return path if path not in ("", "/") else WEBSOCKET_PATH

    @property
    def host(self) -> str:
        """The broker's host name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The broker's TCP port."""
        parts = urlsplit(self.url)
        return parts.port or PORTS[parts.scheme]

    @property
    def address(self) -> str:
        """``host:port``, as messages name it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
