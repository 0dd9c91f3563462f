"""Who may read and write which topics: one table of roles, and Mosquitto's access list made from it.

Every rule grants; there are none that deny, because Mosquitto's ``deny`` takes reading and writing away together
(mosquitto.conf(5), ``acl_file``): a node that must not write its own commands could then not hear them either. So a
node is granted the branches that it writes one by one, and what the hub says to it stays the hub's alone.

A subscription is always acknowledged; what its member may not read is left out when messages are delivered, so that a
wildcard gives whoever uses it the part that is theirs. A will and a retained message count as writing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from becomingone.wire.topics import Topics, check_name

Role = Literal["hub", "node", "operator", "observer", "relay", "witness"]
"""What a member of the cell is to the broker; ``relay``: a child cell that hands its aggregate up."""

Access = Literal["read", "write"]

DISCOVERY: Final = "homeassistant"
"""The first level of Home Assistant's discovery topics, unless it is configured otherwise there."""

_WRITTEN_BY_NODE: Final = (
    "{base}/node/{id}/state",
    "{base}/node/{id}/about",
    "{base}/node/{id}/health",
    "{base}/node/{id}/phase/+/+",
    "{base}/node/{id}/kept",
    "{base}/node/{id}/oscillator/+",
    "{base}/node/{id}/output/+/state",
    "{base}/node/{id}/reply/+",
    "{base}/clock/ping/{id}",
)
_READ_BY_NODE: Final = (
    "{base}/node/{id}/state",
    "{base}/node/{id}/output/+/set",
    "{base}/node/{id}/cmd/+",
    "{base}/node/{id}/desired",
    "{base}/ack/{id}",
    "{base}/clock/pong/{id}",
    "{base}/sync/+",
    "{base}/hub/state",
)
_WRITTEN_BY_HUB: Final = (
    "{base}/hub/state",
    "{base}/hub/about",
    "{base}/hub/health",
    "{base}/emerged",
    "{base}/witness/+",
    "{base}/coherence",
    "{base}/order",
    "{base}/locking",
    "{base}/phase",
    "{base}/band/+/+",
    "{base}/snapshot",
    "{base}/event/+",
    "{base}/event/+/last",
    "{base}/sync/+",
    "{base}/ack/+",
    "{base}/clock/pong/+",
    "{base}/node/+/state",
    "{base}/node/+/output/+/set",
    "{base}/node/+/cmd/+",
    "{base}/node/+/desired",
    "{base}/node/+/about",
    "{base}/node/+/health",
    "{base}/node/+/output/+/state",
    "{base}/answer/+/+",
    "{discovery}/#",
    "{parent}/cell/{cell}/aggregate",
)
_READ_BY_HUB: Final = ("{base}/#", "{discovery}/#", "$SYS/#", "{parent}/sync/+")
_RESULTS: Final = (
    "{base}/hub/state",
    "{base}/hub/about",
    "{base}/hub/health",
    "{base}/emerged",
    "{base}/witness/+",
    "{base}/coherence",
    "{base}/order",
    "{base}/locking",
    "{base}/phase",
    "{base}/band/+/+",
    "{base}/snapshot",
    "{base}/event/+",
    "{base}/event/+/last",
    "{base}/node/+/state",
    "{base}/node/+/output/+/state",
)


@dataclass(frozen=True, slots=True)
class Rights:
    """What one role may do.

    Parameters
    ----------
    writes, reads : tuple of str
        Topic filters. ``{base}`` stands for ``<root>/<cell>``, ``{id}`` for the member's name, ``{cell}`` for the cell,
        ``{parent}`` for each parent cell's base, ``{discovery}`` for Home Assistant's first level.
    what : str
        Who that is, and what that means.
    """

    writes: tuple[str, ...]
    reads: tuple[str, ...]
    what: str


TABLE: Final[dict[Role, Rights]] = {
    "node": Rights(_WRITTEN_BY_NODE, _READ_BY_NODE, "its own branch and nothing else"),
    "hub": Rights(_WRITTEN_BY_HUB, _READ_BY_HUB, "reads the whole cell, writes what only the hub may say"),
    "operator": Rights(
        ("{base}/request/+/+", "{base}/request/+/cmd/+", "{discovery}/status"),
        ("{base}/#", "{discovery}/#", "$SYS/#"),
        "a person or a home automation: asks, and the hub decides",
    ),
    "observer": Rights((), _RESULTS, "a display: the results, and nothing that could be acted on"),
    "witness": Rights(
        ("{base}/audit/{id}/#",), ("{base}/#", "$SYS/#"), "a hub that only observes: reads all, says what it found"
    ),
    "relay": Rights(("{base}/cell/{id}/aggregate",), ("{base}/sync/+",), "a child cell's broker or hub"),
}
"""What each role needs, and nothing else; the manual's table is made from it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A member as the broker knows it.

    Parameters
    ----------
    role : Role
        What it is.
    name : str
        A level of a topic: the node's id, the operator's name, the child cell.

    Raises
    ------
    TopicError
        The name may not be a level of a topic, and so could change the meaning of a rule.
    """

    role: Role
    name: str

    def __post_init__(self) -> None:
        check_name(self.name, f"the name of a {self.role}")

    @property
    def id(self) -> str:
        """The user name: the common name of its certificate."""
        return self.name if self.role in ("hub", "node") else f"{self.role}:{self.name}"

    @property
    def login(self) -> str:
        """The user name that it gives with a password: Mosquitto's password file ends a name at the first colon."""
        return self.id.replace(":", ".")

    @property
    def user_names(self) -> tuple[str, ...]:
        """Every user name that stands for it; no other member can have one of them, for no name holds a dot."""
        return tuple(dict.fromkeys((self.id, self.login)))


def rules(
    role: Role, topics: Topics, name: str, *, discovery: str = DISCOVERY, parents: Sequence[str] = ()
) -> list[tuple[Access, str]]:
    """Give a member's rules: how it may use which topic filter.

    Parameters
    ----------
    role : Role
        What it is.
    topics : Topics
        The cell's.
    name : str
        Its name, or ``%u``, which Mosquitto replaces by the user name.
    discovery : str
        The first level of Home Assistant's discovery topics.
    parents : sequence of str
        ``<root>/<cell>`` of the cells that this one hands its aggregate to.
    """
    words = {"base": topics.base, "id": name, "cell": topics.base.rpartition("/")[2], "discovery": discovery}
    rights = TABLE[role]
    granted: list[tuple[Access, str]] = []
    wanted: tuple[tuple[Access, tuple[str, ...]], ...] = (("write", rights.writes), ("read", rights.reads))
    for access, templates in wanted:
        for template in templates:
            ways = [words | {"parent": parent} for parent in parents] if "{parent}" in template else [words]
            granted.extend((access, template.format_map(way)) for way in ways)
    return granted


def access_list(
    identities: Iterable[Identity],
    topics: Topics,
    *,
    discovery: str = DISCOVERY,
    parents: Sequence[str] = (),
    any_node: bool = False,
    anonymous: bool = False,
) -> str:
    """Render Mosquitto's access list (mosquitto.conf(5), ``acl_file``).

    Parameters
    ----------
    identities : iterable of Identity
        Who there is; whoever else is let in may read and write nothing.
    topics, discovery, parents : Topics, str, sequence of str
        See `rules`.
    any_node : bool
        Whoever is let in is a node besides: by patterns on the user name.
    anonymous : bool
        Whoever gives no name may do everything: for a listener of one trust domain.
    """
    lines = ["# Made from the broker's configuration, anew at every start and reload: what is changed here is lost."]
    if anonymous:
        lines += ["topic readwrite #", "topic read $SYS/#"]
    for identity in identities:
        for user in identity.user_names:
            lines += ["", f"user {user}"]
            lines += [
                f"topic {access} {topic_filter}"
                for access, topic_filter in rules(
                    identity.role, topics, identity.name, discovery=discovery, parents=parents
                )
            ]
    if any_node:
        lines.append("")
        lines += [f"pattern {access} {topic_filter}" for access, topic_filter in rules("node", topics, "%u")]
    return "\n".join(lines) + "\n"


def table() -> str:
    """Render `TABLE` for the manual, in Markdown; topics are below ``<root>/<cell>/`` where nothing else is said."""
    lines = ["| role | writes | reads |", "| --- | --- | --- |"]
    for role, rights in TABLE.items():
        cells = [", ".join(map(_told, filters)) or "nothing" for filters in (rights.writes, rights.reads)]
        lines.append(f"| **{role}**: {rights.what} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines) + "\n"


def _told(topic_filter: str) -> str:
    text = topic_filter.removeprefix("{base}/").replace("{parent}", "<parent>").replace("{discovery}", DISCOVERY)
    return f"`{text.replace('{id}', '<id>').replace('{cell}', '<cell>')}`"
