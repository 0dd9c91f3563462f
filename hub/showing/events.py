"""The hub's events: said to all, and the last of each kind kept for whoever comes later."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from becomingone.broker.link import Link
from becomingone.scheduling import MeshClock
from becomingone.wire.topics import Topics

KINDS: Final = (
    "emergence", "dissolution", "clock_limited", "we", "we_dissolution", "collapse", "dissipation", "realign",
    "joined", "left", "slept", "lost", "forgotten", "drifted", "distrusted", "restored", "twin", "witness",
    "rule", "request", "output", "operation", "memory", "second_hub", "disagreement", "agreement", "unfounded",
)  # fmt: skip
"""All kinds of events; docs/protocol.md says when each is told. The last three are a witness hub's."""


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
    boot : int
        The hub's boot id, which begins the events' own.
    below : str, optional
        The topic below which they are published; by default the cell's own events.

    Attributes
    ----------
    listeners : list of callable
        Called with id, kind, mesh time and content of each.
    """

    def __init__(self, topics: Topics, link: Link, clock: MeshClock, boot: int, *, below: str | None = None) -> None:
        self.listeners: list[Callable[[str, str, int, Mapping[str, Any]], None]] = []
        self._topics = topics
        self._link = link
        self._clock = clock
        self._boot = boot
        self._below = below
        self._told = 0

    def tell(self, kind: str, content: dict[str, Any]) -> str:
        """Tell of something that has happened just now; give its id, ``<boot>-<n>``."""
        if kind not in KINDS:
            msg = f"there is no event of the kind {kind!r}"
            raise ValueError(msg)
        self._told += 1
        number, time_us = f"{self._boot}-{self._told}", self._clock.now_us()
        payload = compact({"id": number, "time_us": time_us, "kind": kind, **content})
        topic = self._topics.event(kind) if self._below is None else f"{self._below}/{kind}"
        self._link.publish(topic, payload, qos=1)
        self._link.publish(f"{topic}/last", payload, qos=1, retain=True)
        for listener in self.listeners:
            listener(number, kind, time_us, content)
        return number
