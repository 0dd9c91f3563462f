"""A cell within another: its sums handed up to the parent, its own children's among them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from becomingone.broker.link import Link, LinkFactory
from becomingone.config.security import key_bytes
from becomingone.errors import ConfigError, FrameError
from becomingone.hub.config import HubConfig
from becomingone.hub.mesh.state import MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.hub.relay.children import Children
from becomingone.hub.relay.section import RelaySection
from becomingone.hub.relay.sums import carried_on, own_sum
from becomingone.kairos.mesh.partial_sum import PartialSum
from becomingone.wire.aggregate import AggregateFrame, encode_aggregate
from becomingone.wire.seal import seal
from becomingone.wire.topics import Topics


class Relay:
    """Publishes ``cell/<child>/aggregate`` of the parent.

    Parameters
    ----------
    section : RelaySection
        With a parent.
    topics : Topics
        This cell's own topics.
    root, cell : str
        This cell's names.
    boot : int
        The hub's boot id.
    table : ChannelTable
        The one from which states are evaluated.
    children : Children
        The cells within this one.
    link : Link
        To the parent's broker; this hub's own, or one more.
    own_link : bool
        Whether the link is the relay's own, to be started and closed with it.

    Raises
    ------
    ValueError
        The section has no parent, or the parent is this cell itself.
    """

    def __init__(
        self,
        section: RelaySection,
        root: str,
        cell: str,
        boot: int,
        table: ChannelTable,
        *,
        children: Children,
        link: Link,
        own_link: bool = False,
    ) -> None:
        if section.parent is None:
            msg = "a relay needs relay.parent"
            raise ValueError(msg)
        self._topic, child = parent_topic(section, root, cell)
        self._key = None if section.key is None else key_bytes(section.key.get_secret_value())
        self._interval_us = round(section.interval_s * 1e6)
        self._boot = boot
        self._table = table
        self._children = children
        self._link = link
        self._own_link = own_link
        self._child = child
        self._due_us = 0
        self._seq = 0
        self._channels = 0
        self.unsent: Counter[str] = Counter()

    @classmethod
    def of(
        cls,
        config: HubConfig,
        boot: int,
        table: ChannelTable,
        *,
        children: Children,
        link: Link,
        links: LinkFactory | None,
    ) -> Relay | None:
        """Make what a hub's configuration asks for; None where it names no parent.

        Parameters
        ----------
        link : Link
            The hub's own.
        links : LinkFactory or None
            Makes one to the parent's broker; used where ``relay.broker`` is given.

        Raises
        ------
        ConfigError
            ``relay.broker`` is given, and there is nothing to reach it by; or the parent is the cell itself.
        """
        section = config.relay
        if section.parent is None:
            return None
        try:
            _, child = parent_topic(section, config.root, config.cell)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        own = section.broker is not None
        if own:
            if links is None:
                raise ConfigError("relay.broker: there is nothing here to reach it by")
            link = links(Topics(section.root or config.root, section.parent).client_id("relay", child), None)
        return cls(section, config.root, config.cell, boot, table, children=children, link=link, own_link=own)

    def start(self) -> None:
        """Connect, where the link is its own."""
        if self._own_link:
            self._link.start()

    def take(self, state: MeshState) -> None:
        """Hand up what the mesh adds up to, when it is due; to be called after each evaluation."""
        if state.time_us < self._due_us:
            return
        behind = state.time_us - self._due_us >= self._interval_us
        self._due_us = (state.time_us if behind else self._due_us) + self._interval_us
        if not self._link.connected:
            self.unsent["down"] += 1
            return
        try:
            frame = self.frame(state)
            payload = encode_aggregate(frame)
        except FrameError as error:  # more than 64 bands, or a sum beyond what is believed
            self.unsent[error.reason] += 1
            return
        if self._key is not None:
            payload = seal(self._key, self._topic, payload, self._boot)
        if self._link.publish(self._topic, payload):
            self._seq += 1
            self._channels = sum(total.count for total in frame.bands.values())
        else:
            self.unsent["refused"] += 1

    def frame(self, state: MeshState) -> AggregateFrame:
        """Add up the mesh at a tick, and the children with it, brought to the same instant."""
        parts = self._children.sums(state.time_us)
        numbers = self._children.numbers
        for band in state.bands:
            total = own_sum(band, self._table, without=numbers)
            if total.count:
                carried = carried_on(total, band.omega, state.time_us - band.time_us)
                parts.setdefault(band.name, []).insert(0, (carried, band.omega))
        return AggregateFrame(
            boot=self._boot,
            seq=self._seq,
            time_us=state.time_us,
            bands={name: _merged(sums) for name, sums in parts.items()},
            omega={name: _rate(sums) for name, sums in parts.items()},
            cells=self._children.cells | {self._children.own},
        )

    def figures(self) -> dict[str, Any]:
        """Give what has been handed up."""
        return {
            "topic": self._topic,
            "connected": self._link.connected,
            "sent": self._seq,
            "unsent": dict(self.unsent),
            "channels": self._channels,
        }

    def close(self) -> None:
        """Say goodbye to the parent's broker, where the link is the relay's own."""
        if self._own_link:
            self._link.close()


def parent_topic(section: RelaySection, root: str, cell: str) -> tuple[str, str]:
    """Give the topic of a cell's sums, and its name there.

    Raises
    ------
    ValueError
        The parent is the cell itself.
    """
    parent = Topics(section.root or root, section.parent or "")
    if parent.base == Topics(root, cell).base:
        msg = f"relay.parent: {section.parent} is this cell itself"
        raise ValueError(msg)
    child = section.child or cell
    return parent.aggregate(child), child


def _merged(sums: list[tuple[PartialSum, float]]) -> PartialSum:
    total = PartialSum.empty()
    for part, _ in sums:
        total = total + part
    return total


def _rate(sums: list[tuple[PartialSum, float]]) -> float:
    """Give the rate of the merged field: that of the parts, weighted as the field is."""
    pull = sum(part.coherence for part, _ in sums)
    if pull <= 0.0:
        return sums[0][1]
    return sum(part.coherence * omega for part, omega in sums) / pull
