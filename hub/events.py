"""The hub's events: said to all, and the last of each kind kept for whoever comes later."""

from __future__ import annotations

import json
from typing import Any

from becomingone.broker.link import Link
from becomingone.scheduling import MeshClock
from becomingone.wire.topics import Topics


def compact(content: dict[str, Any]) -> bytes:
    """Write JSON without spaces; NaN and infinities, which JSON lacks, raise a ValueError."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


class Events:
    """Publishes ``event/<kind>``.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    link : Link
        Takes them.
    clock : MeshClock
        Says when they happened.
    """

    def __init__(self, topics: Topics, link: Link, clock: MeshClock) -> None:
        self._topics = topics
        self._link = link
        self._clock = clock

    def tell(self, kind: str, content: dict[str, Any]) -> None:
        """Tell of something that has happened just now."""
        payload = compact({"time_us": self._clock.now_us(), "kind": kind, **content})
        topic = self._topics.event(kind)
        self._link.publish(topic, payload, qos=1)
        self._link.publish(f"{topic}/last", payload, qos=1, retain=True)
