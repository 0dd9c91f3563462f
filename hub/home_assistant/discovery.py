"""Publishes the discovery messages, keeps them true, and takes away what is of this cell and no more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache, partial
from typing import Any, Final, cast

from becomingone.broker.link import Link, Message
from becomingone.hub.home_assistant.devices import cell_device, device_id, node_device, of_cell
from becomingone.hub.home_assistant.section import HomeAssistantSection
from becomingone.hub.intake.roster import Roster
from becomingone.wire.announce import About
from becomingone.wire.topics import Topics

MOST_A_TURN: Final = 20
"""Messages in one turn: a thousand nodes take a minute, and hold up nobody."""

PATIENCE_TURNS: Final = 60
"""Turns after a connection in which a node may still describe itself before its stored device is taken away."""

MOST_STRANGE: Final = 8192
"""Stored messages that are looked after; somebody else's are not counted."""

MAX_STORED: Final = 1 << 20
"""Bytes of a stored message that is read at all."""


class Discovery:
    """Home Assistant's view of the cell.

    Parameters
    ----------
    section : HomeAssistantSection
        Whether, and where.
    topics : Topics
        The cell's topics.
    bands : sequence of str
        The plan's bands.
    roster : Roster
        Who is there.
    link : Link
        Takes the messages, QoS 1 and retained.
    """

    def __init__(
        self, section: HomeAssistantSection, topics: Topics, bands: Sequence[str], roster: Roster, link: Link
    ) -> None:
        self._section = section
        self._topics = topics
        self._bands = bands
        self._roster = roster
        self._link = link
        self._sent: dict[str, About | None] = {}
        self._stored: set[str] = set()
        self._turns = 0
        self._device_id = cache(partial(device_id, topics))

    def start(self) -> None:
        """Hear what is stored, and when Home Assistant starts."""
        prefix = self._section.prefix
        self._link.subscribe(f"{prefix}/status", self._status)
        self._link.subscribe(f"{prefix}/device/+/config", self._take_stored, qos=1, optional=True)

    def forget(self) -> None:
        """Publish everything anew: the broker, or Home Assistant, may have lost it."""
        self._sent.clear()
        self._turns = 0

    def look(self) -> None:
        """Publish what has changed, about once a second."""
        if not self._link.connected:
            return
        self._turns += 1
        room = MOST_A_TURN
        if self._section.enabled:
            own = self._device_id(None)
            if own not in self._sent:
                self._publish(own, cell_device(self._topics, self._bands), None)
                room -= 1
            for member in self._roster.members:
                about = member.about
                if room > 0 and about is not None:
                    identifier = self._device_id(member.id)
                    if self._sent.get(identifier) is not about:
                        self._publish(identifier, node_device(self._topics, about), about)
                        room -= 1  # also where nobody takes it: to put it together is what costs time
        self._take_away(room)

    def _publish(self, identifier: str, content: dict[str, Any], about: About | None) -> None:
        payload = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
        if self._link.publish(self._topic(identifier), payload, qos=1, retain=True):
            self._sent[identifier] = about

    def _take_away(self, room: int) -> None:
        """Take away the devices of this cell that there are no more; those of nodes not before they could speak."""
        wanted: set[str] = set()
        if self._section.enabled:
            if self._turns <= PATIENCE_TURNS:
                return
            there = (member.id for member in self._roster.members if member.about is not None)
            wanted = {self._device_id(None), *map(self._device_id, there)}
        for identifier in sorted((self._stored | self._sent.keys()) - wanted)[: max(0, room)]:
            if self._link.publish(self._topic(identifier), b"", qos=1, retain=True):
                self._stored.discard(identifier)
                self._sent.pop(identifier, None)

    def _topic(self, identifier: str) -> str:
        return f"{self._section.prefix}/device/{identifier}/config"

    def _status(self, message: Message) -> None:
        if message.payload == b"online" and not message.retained:
            self._sent.clear()

    def _take_stored(self, message: Message) -> None:
        identifier = message.topic.split("/")[-2]
        if not message.payload:
            self._stored.discard(identifier)
        elif len(message.payload) <= MAX_STORED and len(self._stored) < MOST_STRANGE:
            try:
                content = json.loads(message.payload)
            except (ValueError, RecursionError):  # somebody else's
                return
            if isinstance(content, dict) and of_cell(self._topics, identifier, cast("dict[str, Any]", content)):
                self._stored.add(identifier)
