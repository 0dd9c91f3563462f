"""The broker's figures about itself, from its ``$SYS`` topics (mosquitto(8), "Broker status")."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from becomingone.broker.link import Link, Message

BASE: Final = "$SYS/broker/"

_COUNT: Final = re.compile(rb"\d{1,18}")
_RATE: Final = re.compile(rb"\d{1,15}(\.\d{1,9})?")
_UPTIME: Final = re.compile(rb"(\d{1,12}) seconds")
_VERSION: Final = re.compile(rb"[ -~]{1,100}")


@dataclass(frozen=True, slots=True)
class BrokerFigures:
    """What the broker last said of itself; None for what it has not said since the link is up.

    Parameters
    ----------
    version : str or None
        Its name and version.
    uptime_s : int or None
        Seconds since its start; the counters below begin there.
    clients, clients_away : int or None
        Clients that are connected, and sessions whose client is away.
    subscriptions, retained, stored : int or None
        Subscriptions, retained messages, and messages that it holds for whatever reason.
    stored_bytes, heap_bytes, heap_most_bytes : int or None
        Bytes of those messages' payloads; of its memory now and at most.
    received, sent : int or None
        MQTT packets of every kind.
    published, delivered, dropped : int or None
        Messages that clients published, that it delivered, and that it dropped because somebody's queue was full.
    bytes_received, bytes_sent : int or None
        Bytes on its connections.
    received_per_min, sent_per_min, dropped_per_min : float or None
        The averages over the last minute of `received`, `sent` and `dropped`.
    """

    version: str | None = None
    uptime_s: int | None = None
    clients: int | None = None
    clients_away: int | None = None
    subscriptions: int | None = None
    retained: int | None = None
    stored: int | None = None
    stored_bytes: int | None = None
    heap_bytes: int | None = None
    heap_most_bytes: int | None = None
    received: int | None = None
    sent: int | None = None
    published: int | None = None
    delivered: int | None = None
    dropped: int | None = None
    bytes_received: int | None = None
    bytes_sent: int | None = None
    received_per_min: float | None = None
    sent_per_min: float | None = None
    dropped_per_min: float | None = None

    def as_json(self) -> dict[str, str | int | float]:
        """Give what is known, for a snapshot."""
        known = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in known.items() if value is not None}


def _count(payload: bytes) -> int | None:
    return int(payload) if _COUNT.fullmatch(payload) else None


def _rate(payload: bytes) -> float | None:
    return float(payload) if _RATE.fullmatch(payload) else None


def _uptime(payload: bytes) -> int | None:
    found = _UPTIME.fullmatch(payload)
    return int(found[1]) if found else None


def _version(payload: bytes) -> str | None:
    return payload.decode("ascii") if _VERSION.fullmatch(payload) else None


_Parse = Callable[[bytes], str | int | float | None]

TOPICS: Final[dict[str, tuple[str, _Parse]]] = {
    "version": ("version", _version),
    "uptime": ("uptime_s", _uptime),
    "clients/connected": ("clients", _count),
    "clients/disconnected": ("clients_away", _count),
    "subscriptions/count": ("subscriptions", _count),
    "retained messages/count": ("retained", _count),
    "store/messages/count": ("stored", _count),
    "store/messages/bytes": ("stored_bytes", _count),
    "heap/current": ("heap_bytes", _count),
    "heap/maximum": ("heap_most_bytes", _count),
    "messages/received": ("received", _count),
    "messages/sent": ("sent", _count),
    "publish/messages/received": ("published", _count),
    "publish/messages/sent": ("delivered", _count),
    "publish/messages/dropped": ("dropped", _count),
    "bytes/received": ("bytes_received", _count),
    "bytes/sent": ("bytes_sent", _count),
    "load/messages/received/1min": ("received_per_min", _rate),
    "load/messages/sent/1min": ("sent_per_min", _rate),
    "load/publish/dropped/1min": ("dropped_per_min", _rate),
}
"""Below `BASE`: the figure that a topic tells, and how it is read."""


class SysMetrics:
    """Follows a broker's figures over a link.

    A broker that has none, such as the embedded one, or whose rules do not let this member read them, leaves all of
    them None. What is no figure is counted and changes nothing.

    Parameters
    ----------
    link : Link
        Where the broker is; a broker that refuses its figures is done without.

    Attributes
    ----------
    figures : BrokerFigures
        What is known now.
    malformed : Counter of str
        Payloads that were not what their topic tells, by topic below `BASE`.
    """

    def __init__(self, link: Link) -> None:
        self.figures = BrokerFigures()
        self.malformed: Counter[str] = Counter()
        for topic in TOPICS:
            link.subscribe(BASE + topic, self._take, optional=True)
        link.on_down(self._forget)

    def _take(self, message: Message) -> None:
        topic = message.topic.removeprefix(BASE)
        name, parse = TOPICS[topic]
        value = parse(message.payload)
        if value is None:
            self.malformed[topic] += 1
        else:
            change: dict[str, Any] = {name: value}
            self.figures = replace(self.figures, **change)

    def _forget(self, _reason: str) -> None:
        """Know nothing: the next broker on this link may be another, with counters of its own."""
        self.figures = BrokerFigures()
