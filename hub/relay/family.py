"""The cells above and below this one, as the hub sees them: one thing to start, to show each tick's state, to close."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from becomingone.broker.link import Link, LinkFactory, Message
from becomingone.errors import FrameError, TopicError
from becomingone.hub.config import HubConfig
from becomingone.hub.intake.roster import Roster
from becomingone.hub.intake.trust import Trust
from becomingone.hub.mesh.state import MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.hub.relay.children import Children
from becomingone.hub.relay.relay import Relay
from becomingone.scheduling import MeshClock
from becomingone.wire.topics import Topics


class Family:
    """Takes the sums of cells within this one, and hands this one's up.

    Parameters
    ----------
    config : HubConfig
        Its sections ``relay`` and ``children``.
    topics : Topics
        The cell's topics.
    boot : int
        The hub's boot id.
    roster, table, trust, clock : Roster, ChannelTable, Trust, MeshClock
        The hub's.
    link : Link
        To the cell's broker.
    parent_links : LinkFactory or None
        Makes a link to the parent's broker; needed where ``relay.broker`` is given.
    refuse, tell : callable
        See `Children`.

    Raises
    ------
    ConfigError
        See `Relay.of`.
    """

    def __init__(
        self,
        config: HubConfig,
        topics: Topics,
        boot: int,
        *,
        roster: Roster,
        table: ChannelTable,
        trust: Trust,
        clock: MeshClock,
        link: Link,
        parent_links: LinkFactory | None,
        refuse: Callable[[Message, FrameError | TopicError], None],
        tell: Callable[[str, dict[str, Any]], object],
    ) -> None:
        self._link = link
        self.children = Children(
            config.children,
            topics,
            config.band_plan(),
            roster,
            table,
            trust=trust,
            clock=clock,
            refuse=refuse,
            tell=tell,
        )
        self.relay = Relay.of(config, boot, table, children=self.children, link=link, links=parent_links)

    def start(self) -> None:
        """Subscribe, and connect to a broker of the parent's own; before the hub's link is started."""
        self.children.start(self._link)
        if self.relay is not None:
            self.relay.start()

    def take(self, state: MeshState) -> None:
        """Show a tick's state; right after its evaluation, while the table is as it was for that."""
        self.children.take(state)
        if self.relay is not None:
            self.relay.take(state)

    def figures(self) -> Mapping[str, Mapping[str, Any]]:
        """Give the snapshot's sections ``children`` and ``relay``; empty where there are none."""
        sections: dict[str, Mapping[str, Any]] = {}
        if self.children:
            sections["children"] = self.children.figures()
        if self.relay is not None:
            sections["relay"] = self.relay.figures()
        return sections

    def close(self) -> None:
        """Say goodbye to the parent's own broker."""
        if self.relay is not None:
            self.relay.close()
