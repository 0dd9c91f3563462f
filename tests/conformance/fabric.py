"""What the suite needs to have hold of: a broker of some kind, and the means to disturb it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from becomingone.broker.link import Link, Will

from .raw import RawClient

CAPABILITIES = {
    "crash": "a broker that can be killed and started again",
    "sessions": "sessions of clients that are away",
    "persistence": "sessions and retained messages that outlive it",
    "rules": "rules: topics below `forbidden/` are forbidden to everybody",
    "raw": "clients that are no proper clients",
    "bytes": "clients that send any bytes",
    "mqtt5": "MQTT 5",
    "size": "a limit of 2 MiB or less for packets",
}
"""What a fabric may lack."""


class Fabric(Protocol):
    """A broker and the clients around it, in real or virtual time; everything happens on the caller's thread."""

    name: str
    """As in the table of differences."""

    run: str
    """A few characters that no other run has, in all topics and client identifiers: others may use the broker."""

    patience_s: float
    """Seconds after which what has not come will not come."""

    @property
    def lacks(self) -> Mapping[str, str]:
        """Which of `CAPABILITIES` is missing, and why."""
        ...

    def link(self, client_id: str, will: Will | None = None, *, session_s: int = 0, keepalive_s: int = 10) -> Link: ...

    def raw(self) -> RawClient: ...

    def until(self, condition: Callable[[], object], timeout_s: float = ...) -> bool:
        """Let time pass until the condition is met; False when it was not met in time."""
        ...

    def now_s(self) -> float:
        """Give the time by which `until` waits."""
        ...

    def cut(self, link: Link) -> None:
        """Break the connection under a link, as a broken cable does that is noticed at once."""
        ...

    def crash(self) -> None:
        """Kill the broker."""
        ...

    def restart(self) -> None:
        """Start it again; what it had kept is there."""
        ...

    def take_failures(self) -> list[str]:
        """Give, once, the exceptions that nobody caught."""
        ...

    def close(self) -> None: ...
