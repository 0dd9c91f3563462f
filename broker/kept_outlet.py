"""Where kept messages go out: a link, or one that waits until the hub can know what they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from becomingone.broker.link import Link, Qos, Settled
from becomingone.broker.presence import Presence


class Outlet(Protocol):
    """What of a `Link` a sender of kept messages uses."""

    @property
    def connected(self) -> bool:
        """See `Link.connected`."""
        ...

    def on_up(self, callback: Callable[[], None]) -> None:
        """See `Link.on_up`."""
        ...

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: Qos = 0,
        settled: Settled | None = None,
        content_type: str | None = None,
    ) -> bool:
        """See `Link.publish`."""
        ...


class ConfirmedOutlet:
    """A link that counts as connected once the broker has sent its owner's state back.

    What was published before that state, a node's description above all, has then been routed.

    Parameters
    ----------
    link : Link
        The link.
    presence : Presence
        The owner's, on that link.
    held : callable
        Whether nothing is to go out just now; whoever says so sees to it that what waits is tried again.
    """

    def __init__(self, link: Link, presence: Presence, held: Callable[[], bool] = lambda: False) -> None:
        self._link = link
        self._presence = presence
        self._held = held

    @property
    def connected(self) -> bool:
        """Whether what is published now comes after what its owner says of itself."""
        return self._link.connected and self._presence.confirmed and not self._held()

    def on_up(self, callback: Callable[[], None]) -> None:
        """Call back after every connection, once that is so."""
        self._presence.on_confirmed(callback)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: Qos = 0,
        settled: Settled | None = None,
        content_type: str | None = None,
    ) -> bool:
        """See `Link.publish`."""
        return self._link.publish(topic, payload, qos=qos, settled=settled, content_type=content_type)
