"""The sections of the broker's configuration."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from becomingone.broker.access import Identity, Role
from becomingone.config.sections import Name, Section

Login = Literal["anonymous", "password", "certificate"]

MAX_PACKET: Final = (1 << 20) + (1 << 16)
"""Bytes of an MQTT packet: the largest payload of the protocol, and room for its topic and properties."""

_SCHEMES: Final = {
    ("tcp", False): "mqtt",
    ("tcp", True): "mqtts",
    ("websockets", False): "ws",
    ("websockets", True): "wss",
}


class ListenerSection(Section):
    """One port that clients connect to."""

    address: Annotated[str, Field(description="IP address to listen on; 0.0.0.0 or :: for all")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535, description="TCP port; 0 for any free one")] = 1883
    transport: Annotated[Literal["tcp", "websockets"], Field(description="plain MQTT, or MQTT over WebSocket")] = "tcp"
    tls: Annotated[bool, Field(description="encrypted; must be true beyond loopback")] = False
    login: Annotated[
        Login | None,
        Field(
            description="how clients prove who they are; default: certificate over MQTT with TLS; anonymous where "
            "all is loopback and nobody is named; else password"
        ),
    ] = None

    @field_validator("address")
    @classmethod
    def _check_address(cls, address: str) -> str:
        try:
            return str(ipaddress.ip_address(address))
        except ValueError:
            msg = "must be an IP address of this machine, such as 127.0.0.1, or 0.0.0.0 or :: for all of them"
            raise ValueError(msg) from None

    @property
    def loopback(self) -> bool:
        """Whether only programs on this machine can reach it."""
        return ipaddress.ip_address(self.address).is_loopback

    @property
    def url(self) -> str:
        """Where it is, in the words of a client's configuration."""
        scheme = _SCHEMES[self.transport, self.tls]
        return f"{scheme}://{f'[{self.address}]' if ':' in self.address else self.address}:{self.port}"


class TlsSection(Section):
    """The broker's certificate, and whose certificates it takes."""

    certificate: Annotated[Path, Field(description="the broker's certificate chain, PEM")]
    key: Annotated[Path, Field(description="its private key, PEM, which others may not read")]
    ca: Annotated[
        Path | None,
        Field(description="the authority that signs the clients' certificates, PEM; for login: certificate"),
    ] = None
    revoked: Annotated[Path | None, Field(description="certificates that are void, a PEM revocation list")] = None
    version: Annotated[Literal["1.2", "1.3"], Field(description="least version of TLS")] = "1.2"


class IdentitiesSection(Section):
    """Who may take part, and as what; the hub always may."""

    nodes: Annotated[
        tuple[Name, ...] | Literal["any"],
        Field(description="node ids; any: whoever has a certificate may be the node that it names (Mosquitto 2.1)"),
    ] = ()
    operators: Annotated[tuple[Name, ...], Field(description="people and programs that may ask for things")] = ()
    observers: Annotated[tuple[Name, ...], Field(description="displays that see the results")] = ()
    relays: Annotated[tuple[Name, ...], Field(description="child cells that hand their aggregate up")] = ()
    witnesses: Annotated[tuple[Name, ...], Field(description="hubs that only observe and audit")] = ()

    @field_validator("nodes")
    @classmethod
    def _check_nodes(cls, nodes: tuple[str, ...] | str) -> tuple[str, ...] | str:
        if "hub" in nodes:
            msg = "must not name a node hub, which is the hub's own id"
            raise ValueError(msg)
        return nodes

    @property
    def members(self) -> list[Identity]:
        """Everybody by name, each once."""
        groups: tuple[tuple[Role, tuple[str, ...]], ...] = (
            ("hub", ("hub",)),
            ("node", () if self.nodes == "any" else self.nodes),
            ("operator", self.operators),
            ("observer", self.observers),
            ("relay", self.relays),
            ("witness", self.witnesses),
        )
        return [Identity(role, name) for role, names in groups for name in dict.fromkeys(names)]

    @property
    def stated(self) -> bool:
        """Whether anybody but the hub is named."""
        return bool(self.nodes or self.operators or self.observers or self.relays or self.witnesses)


class LimitsSection(Section):
    """What one client, or all together, may cost the broker."""

    packet_bytes: Annotated[int, Field(ge=1024, le=268_435_455, description="largest packet; more ends its sender")] = (
        MAX_PACKET
    )
    connections: Annotated[int, Field(ge=1, le=1_000_000, description="clients of a listener at once")] = 2000
    keepalive_s: Annotated[int, Field(ge=10, le=65_535, description="longest silence that a client may ask for, s")] = (
        120
    )
    in_flight: Annotated[
        int, Field(ge=1, le=65_535, description="messages of QoS 1 on their way to or from a client at once")
    ] = 100
    queued: Annotated[int, Field(ge=1, le=10_000_000, description="messages waiting for one client; more drop")] = (
        10_000
    )
    queued_bytes: Annotated[int, Field(ge=1 << 20, description="bytes waiting for one client; more drop")] = 64 << 20
    memory_bytes: Annotated[int, Field(ge=16 << 20, description="all that the broker may hold")] = 256 << 20
    session_days: Annotated[
        int, Field(ge=1, le=3650, description="days after which the session of a client that stays away is forgotten")
    ] = 7


class PersistenceSection(Section):
    """What outlives the broker: retained messages, sessions and what is queued for them."""

    enabled: Annotated[bool, Field(description="keep them on the disk")] = True
    every_s: Annotated[
        int,
        Field(ge=0, le=86_400, description="seconds between writes; 0: at each change, which wears an SD card out"),
    ] = 60


class BridgeSection(Section):
    """A parent cell: this cell's aggregate goes up to its broker, its sync comes down."""

    parent: Annotated[Name, Field(description="the parent cell's name")]
    url: Annotated[str, Field(description="the parent's broker, mqtts://host[:port], the port 8883 unless given")]
    ca: Annotated[Path, Field(description="the authority that signed the parent broker's certificate, PEM")]
    certificate: Annotated[Path, Field(description="this cell's certificate, relay:<cell>, PEM")]
    key: Annotated[Path, Field(description="its private key, PEM, which others may not read")]

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = urlsplit(url)
        try:
            fits = parts.scheme == "mqtts" and bool(parts.hostname) and parts.port != 0
        except ValueError:
            fits = False
        if not fits or parts.path not in ("", "/") or parts.username or any(sign.isspace() for sign in url):
            msg = "must be mqtts://host or mqtts://host:port, the port 1..65535"
            raise ValueError(msg)
        return url

    @property
    def address(self) -> tuple[str, int]:
        """The parent broker's host and port."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 8883
