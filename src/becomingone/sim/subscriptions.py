"""Who subscribed to what: a tree over the levels of the filters, so that a message's takers are found at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from becomingone.broker.link import Qos

_REMEMBERED: Final = 65_536


@dataclass(slots=True)
class _Level:
    next: dict[str, _Level] = field(default_factory=dict[str, "_Level"])
    here: dict[str, Qos] = field(default_factory=dict[str, Qos])
    below: dict[str, Qos] = field(default_factory=dict[str, Qos])
    """Who takes this level and everything below it: ``#``."""


class Subscriptions:
    """All subscriptions of a broker's clients (MQTT 3.1.1, 4.7)."""

    def __init__(self) -> None:
        self._root = _Level()
        self._found: dict[str, dict[str, Qos]] = {}

    def add(self, client_id: str, topic_filter: str, qos: Qos) -> None:
        """Take a subscription, in the place of an earlier one to the same filter (3.8.4)."""
        self._takers(topic_filter)[client_id] = qos
        self._found.clear()

    def remove(self, client_id: str, topic_filter: str) -> None:
        """Forget a subscription."""
        self._takers(topic_filter).pop(client_id, None)
        self._found.clear()

    def matching(self, topic: str) -> Mapping[str, Qos]:
        """Give each client that takes a topic once, with the greatest QoS of its filters (3.3.5)."""
        found = self._found.get(topic)
        if found is None:
            found = dict[str, Qos]()
            levels = topic.split("/")
            _collect(self._root, levels, 0, found, wild=not levels[0].startswith("$"))
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[topic] = found
        return found

    def _takers(self, topic_filter: str) -> dict[str, Qos]:
        level = self._root
        names = topic_filter.split("/")
        if names[-1] == "#":
            names.pop()
            below = True
        else:
            below = False
        for name in names:
            level = level.next.setdefault(name, _Level())
        return level.below if below else level.here


def _collect(level: _Level, names: list[str], depth: int, found: dict[str, Qos], *, wild: bool) -> None:
    """Walk down; `wild` is False at the first level of a topic that begins with $ (4.7.2)."""
    if wild:
        _join(found, level.below)
    if depth == len(names):
        _join(found, level.here)
        return
    exact = level.next.get(names[depth])
    if exact is not None:
        _collect(exact, names, depth + 1, found, wild=True)
    any_one = level.next.get("+") if wild else None
    if any_one is not None:
        _collect(any_one, names, depth + 1, found, wild=True)


def _join(found: dict[str, Qos], takers: dict[str, Qos]) -> None:
    for client_id, qos in takers.items():
        found[client_id] = max(found.get(client_id, qos), qos)
