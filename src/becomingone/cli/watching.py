"""What `up` knows of its mesh: only what any MQTT client can read."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from becomingone.broker.link import Link, Message
from becomingone.errors import FrameError
from becomingone.wire.announce import OutputState, parse_announcement
from becomingone.wire.topics import Topics

_LOG = logging.getLogger(__name__)

Snapshot = dict[str, Any]


@dataclass(slots=True)
class MeshWatch:
    """Follows a cell's snapshot, events and outputs over a link.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    link : Link
        Not started yet.
    on_event : callable
        Called with each event.
    """

    topics: Topics
    link: Link
    on_event: Callable[[Snapshot], None]
    snapshot: Snapshot | None = None
    outputs: dict[str, OutputState] = field(default_factory=dict[str, OutputState])
    snapshots: int = 0

    def start(self) -> None:
        """Subscribe and connect."""
        self.link.subscribe(self.topics.snapshot, self._take_snapshot)
        self.link.subscribe(self.topics.event("+"), self._take_event)
        self.link.subscribe(self.topics.node("+", "output", "+", "state"), self._take_output)
        self.link.start()

    def _take_snapshot(self, message: Message) -> None:
        if not message.retained:  # a hub that ran before has left its last one
            self.snapshot = json.loads(message.payload)
            self.snapshots += 1

    def _take_event(self, message: Message) -> None:
        self.on_event(json.loads(message.payload))

    def _take_output(self, message: Message) -> None:
        levels = self.topics.parse_node(message.topic)
        try:
            self.outputs[f"{levels.node}/{levels.rest[0]}"] = parse_announcement(OutputState, message.payload)
        except FrameError as error:
            _LOG.debug("%s: %s", message.topic, error)
