"""What a node says of itself, retained: ``about`` whenever it changes, ``health`` at its pace."""

from __future__ import annotations

from collections.abc import Callable

from becomingone.broker.link import Link
from becomingone.broker.presence import Presence
from becomingone.node.machine import Machine
from becomingone.node.trust import Trust
from becomingone.scheduling import NANOSECONDS, Repeating
from becomingone.wire.announce import About, Health
from becomingone.wire.topics import Topics


class Account:
    """Publishes a node's description and its vital figures.

    Parameters
    ----------
    node : str
        The node's id.
    machine : Machine
        What it stands on.
    link, topics, trust, presence : Link, Topics, Trust, Presence
        Where it is published, and how.
    about, health : callable
        Give the node as it is now.
    """

    def __init__(
        self,
        node: str,
        machine: Machine,
        *,
        link: Link,
        topics: Topics,
        trust: Trust,
        presence: Presence,
        about: Callable[[], About],
        health: Callable[[], Health],
    ) -> None:
        self._about_topic, self._health_topic = topics.about(node), topics.health(node)
        self._machine = machine
        self._link = link
        self._trust = trust
        self._presence = presence
        self._about = about
        self._health = health
        self._turns: Repeating | None = None

    def pace(self, seconds: float) -> None:
        """Publish the vital figures this often from now on."""
        self.close()
        self._turns = Repeating(self._machine.scheduler, int(seconds * NANOSECONDS), self.publish_health)

    def close(self) -> None:
        """Publish nothing by itself any more."""
        if self._turns is not None:
            self._turns.cancel()

    def publish_about(self) -> None:
        """Publish the description."""
        if self._link.connected:
            payload = self._trust.seal_json(self._about_topic, self._about().model_dump_json().encode())
            self._link.publish(self._about_topic, payload, qos=1, retain=True)

    def publish_health(self) -> None:
        """Publish the vital figures, and tell what has been refused meanwhile."""
        self._trust.audit.flush(self._machine.clock.monotonic_ns())
        if self._presence.confirmed:  # as with frames: a broker may give what it stores before what it routes
            self._link.publish(self._health_topic, self._health().model_dump_json().encode(), retain=True)
