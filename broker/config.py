"""The broker's configuration, ``broker.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, SecretStr, model_validator

from becomingone.broker.sections import (
    BridgeSection,
    IdentitiesSection,
    LimitsSection,
    ListenerSection,
    Login,
    PersistenceSection,
    TlsSection,
)
from becomingone.config.sections import LoggingSection, Name, Root, Section
from becomingone.wire.topics import Topics

Kind = Literal["auto", "embedded", "mosquitto"]

_LEAST_PASSWORD: Final = 12
_USER: Final = r"^[a-z0-9][a-z0-9_-]{0,62}([.:][a-z0-9][a-z0-9_-]{0,62})?$"


class BrokerConfig(Section):
    """Everything that a broker needs to know."""

    cell: Annotated[Name, Field(description="the deployment: a home, a laboratory, a robot")] = "home"
    root: Annotated[Root, Field(description="first level, or levels, of every topic")] = "becomingone"
    kind: Annotated[
        Kind, Field(description="auto: Mosquitto where anything is asked for that the embedded broker has not")
    ] = "auto"
    program: Annotated[Path | None, Field(description="the mosquitto to start; default: the one that is installed")] = (
        None
    )
    listeners: Annotated[tuple[ListenerSection, ...], Field(min_length=1, max_length=16)] = (ListenerSection(),)
    tls: TlsSection | None = None
    identities: IdentitiesSection = IdentitiesSection()
    passwords: Annotated[
        dict[Annotated[str, Field(pattern=_USER)], SecretStr], Field(description="by user name; use !secret NAME")
    ] = {}  # noqa: RUF012 - pydantic copies it
    password_file: Annotated[Path | None, Field(description="made by mosquitto_passwd, instead of passwords")] = None
    discovery: Annotated[Name, Field(description="first level of Home Assistant's discovery topics")] = "homeassistant"
    limits: LimitsSection = LimitsSection()
    persistence: PersistenceSection = PersistenceSection()
    bridges: Annotated[tuple[BridgeSection, ...], Field(max_length=16)] = ()
    sys_interval_s: Annotated[int, Field(ge=0, le=3600, description="seconds between $SYS figures; 0: none")] = 10
    state_dir: Annotated[Path, Field(description="where the broker's own files are kept")] = Path(
        "/var/lib/becomingone"
    )
    logging: LoggingSection = LoggingSection()

    @property
    def topics(self) -> Topics:
        """The cell's topics."""
        return Topics(self.root, self.cell)

    @property
    def folder(self) -> Path:
        """Where the broker's own files are kept."""
        return self.state_dir / self.cell / "broker"

    @property
    def one_trust_domain(self) -> bool:
        """Whether only this machine can connect and nobody is named: everybody may do everything."""
        named = self.identities.stated or self.passwords or self.password_file
        return not named and all(listener.loopback for listener in self.listeners)

    def login_of(self, listener: ListenerSection) -> Login:
        """How the clients of a listener prove who they are."""
        if listener.login is not None:
            return listener.login
        if listener.transport == "websockets":
            return "password"
        if listener.tls:
            return "certificate"
        return "anonymous" if self.one_trust_domain else "password"

    @property
    def beyond_embedded(self) -> str | None:
        """What is asked for first that the embedded broker has not; None where there is nothing."""
        for number, listener in enumerate(self.listeners):
            where = f"listeners[{number}]"
            if not listener.loopback:
                return f"{where}.address: {listener.address} is beyond loopback"
            if listener.tls or listener.transport != "tcp":
                return f"{where}: {listener.url.partition(':')[0]} is more than plain MQTT"
            if self.login_of(listener) != "anonymous":
                return f"{where}.login: clients are to prove who they are"
        if len(self.listeners) > 1:
            return "listeners: there is more than one"
        return "bridges: there are some" if self.bridges else None

    @model_validator(mode="after")
    def _check_listeners(self) -> BrokerConfig:
        taken: set[tuple[str, int]] = set()
        for number, listener in enumerate(self.listeners):
            fault = self._fault_of(listener)
            if fault is None and listener.port and (listener.address, listener.port) in taken:
                fault = f"port: two listeners are on {listener.address}:{listener.port}"
            if fault is not None:
                msg = f"listeners[{number}].{fault}"
                raise ValueError(msg)
            taken.add((listener.address, listener.port))
        return self

    def _fault_of(self, listener: ListenerSection) -> str | None:
        login = self.login_of(listener)
        authority = self.tls.ca if self.tls is not None else None
        faults = {
            f"tls: must be true beyond loopback, and {listener.address} is": not (listener.loopback or listener.tls),
            "tls: needs the section tls, with certificate and key": listener.tls and self.tls is None,
            "login: a certificate needs tls: true, and tls.ca, which tells whose certificates are taken": (
                login == "certificate" and not (listener.tls and authority)
            ),
            "login: must not be password where nobody has one: name some in passwords": (
                login == "password" and not (self.passwords or self.password_file)
            ),
            "login: must not be anonymous beyond loopback": login == "anonymous" and not listener.loopback,
            "login: must not be anonymous, for any page that a browser on this machine shows could connect": (
                login == "anonymous" and listener.transport == "websockets"
            ),
        }
        return next((message for message, wrong in faults.items() if wrong), None)

    @model_validator(mode="after")
    def _check_passwords(self) -> BrokerConfig:
        if not (self.passwords or self.password_file):
            return self
        if self.passwords and self.password_file:
            msg = "password_file: must be left out where there are passwords"
            raise ValueError(msg)
        if all(self.login_of(listener) != "password" for listener in self.listeners):
            msg = f"{'passwords' if self.passwords else 'password_file'}: no listener has login: password"
            raise ValueError(msg)
        known = {name: identity.login for identity in self.identities.members for name in identity.user_names}
        for user, password in self.passwords.items():
            if user not in known:
                msg = f"passwords.{user}: identities names nobody of that name; there are {', '.join(sorted(known))}"
                raise ValueError(msg)
            if len(password.get_secret_value()) < _LEAST_PASSWORD:
                msg = f"passwords.{user}: must have at least {_LEAST_PASSWORD} characters; try openssl rand -base64 18"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _check_rest(self) -> BrokerConfig:
        for number, bridge in enumerate(self.bridges):
            if bridge.parent == self.cell or bridge.parent in {one.parent for one in self.bridges[:number]}:
                msg = f"bridges[{number}].parent: must be another cell, each once"
                raise ValueError(msg)
        beyond = self.beyond_embedded
        if self.kind == "embedded" and beyond is not None:
            field, _, what = beyond.partition(": ")
            msg = f"{field}: the embedded broker has not got this ({what}): use kind: mosquitto"
            raise ValueError(msg)
        return self
