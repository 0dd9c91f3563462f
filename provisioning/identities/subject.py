"""Whom a certificate may name: the members that the broker knows, and the servers that they connect to."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from becomingone.broker.access import Identity, Role
from becomingone.errors import ConfigError, TopicError

ServerRole = Literal["broker", "join"]
"""``broker``: the MQTT broker; ``join``: where new nodes enrol."""

LONGEST: Final = 64
"""Characters of a common name (RFC 5280, A.1, ``ub-common-name``)."""

_LABEL: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_SERVERS: Final[tuple[ServerRole, ...]] = get_args(ServerRole)


@dataclass(frozen=True, slots=True)
class Server:
    """A server of the cell, which is no member: it writes and reads nothing.

    Parameters
    ----------
    role : {'broker', 'join'}
        Which one.
    """

    role: ServerRole

    @property
    def id(self) -> str:
        """What it is called here; its certificate's common name is its first host name."""
        return self.role


Subject = Identity | Server
"""Whom a certificate is for."""


def check_subject(subject: Subject) -> Subject:
    """Give it back when a certificate can name it.

    Raises
    ------
    ConfigError
        It would be taken for somebody else, or its name is too long.
    """
    if isinstance(subject, Server):
        return subject
    if subject.role == "hub" and subject.name != "hub":
        raise ConfigError(f"hub {subject.name!r}: a cell has one hub, whose name is hub")
    if subject.role == "node" and subject.name in ("hub", *_SERVERS):
        raise ConfigError(f"node {subject.name!r}: that name is the {subject.name}'s own; give the node another")
    if len(subject.id) > LONGEST:
        longest = LONGEST - len(subject.id) + len(subject.name)
        raise ConfigError(f"{subject.role} {subject.name!r}: must be at most {longest} characters long")
    return subject


def member(role: Role, name: str) -> Identity:
    """Make a member from what somebody has typed.

    Raises
    ------
    ConfigError
        The name is none that a topic, or a certificate, can carry.
    """
    try:
        identity = Identity(role, name)
    except TopicError as error:
        raise ConfigError(str(error)) from None
    check_subject(identity)
    return identity


def subject_of(text: str) -> Subject:
    """Find whom a text names: ``kitchen``, ``hub``, ``operator:anna``, ``operator.anna``, ``broker`` or ``join``.

    Raises
    ------
    ConfigError
        Nobody can have that name.
    """
    for server in _SERVERS:
        if text == server:
            return Server(server)
    if text == "hub":
        return member("hub", "hub")
    found = re.fullmatch(r"([a-z]+)[:.](.*)", text, re.DOTALL)
    if found is None:
        return member("node", text)
    for role in get_args(Role):
        if found[1] == role and role not in ("hub", "node"):
            return member(role, found[2])
    raise ConfigError(f"{text!r}: there is no role {found[1]}: must be a node, hub, broker, or as in operator:anna")


def file_name(subject: Subject) -> str:
    """Give the name of its folder: its own with ``:`` as ``.``, which no name holds."""
    return subject.id.replace(":", ".")


def check_hosts(hosts: Sequence[str]) -> tuple[str, ...]:
    """Give the host names and addresses of a server in their usual form, each once and in the order given.

    Raises
    ------
    ConfigError
        There is none, or one of them is neither a host name (RFC 1123, 2.1) nor an IP address.
    """
    names = tuple(dict.fromkeys(_host(host) for host in hosts))
    if not names:
        raise ConfigError("a server's certificate needs the names and addresses under which clients reach it: --host")
    if len(names[0]) > LONGEST:
        raise ConfigError(f"host {names[0]!r}: the first must be at most {LONGEST} characters long; begin with another")
    return names


def _host(text: str) -> str:
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(text if "%" not in text else ""))
    name = text.lower()
    labels = name.split(".")
    # Numbers that are no address are a misspelt one, and no host's name; one with a zone means something here alone.
    if len(name) > 253 or labels[-1].isdecimal() or not all(_LABEL.fullmatch(label) for label in labels):
        msg = f"host {text!r}: must be a host name such as attic.local, or an address such as 192.0.2.10"
        raise ConfigError(msg)
    return name
