"""One interface to MQTT, whatever is behind it: a real broker, the embedded one, the simulated one.

A link belongs to one `Scheduler`: every handler is called on it, one at a time, and every method is called from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

Qos = Literal[0, 1]
"""At most once, or at least once. Exactly once is not used: the protocol's own sequence numbers do it better."""

Handler = Callable[["Message"], None]
Settled = Callable[[bool], None]


@dataclass(frozen=True, slots=True)
class Message:
    """One message from the broker.

    Parameters
    ----------
    topic : str
        Where it was published.
    payload : bytes
        At most what the broker lets through; not checked in any way.
    retained : bool
        True where it is the broker's stored copy, sent because of a new subscription.
    """

    topic: str
    payload: bytes
    retained: bool = False


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes, QoS 1 and retained, when the link is lost without a goodbye."""

    topic: str
    payload: bytes


@dataclass(slots=True)
class Metrics:
    """What a link has done since it was made.

    Parameters
    ----------
    sent, received : int
        Messages handed to the broker, and taken from it.
    acknowledged : int
        Messages of QoS 1 that the broker has acknowledged. Not durability: a broker that is killed forgets them.
    given_up : int
        Messages of QoS 1 that were handed over and never acknowledged: refused by the broker, or the link was closed.
    unsent : int
        Messages refused because the link was down or its queue full: known not to have been sent.
    attempts, connects : int
        Attempts to connect, and those that succeeded.
    failures : Counter of str
        Why connections failed or broke, one count a reason.
    """

    sent: int = 0
    received: int = 0
    acknowledged: int = 0
    given_up: int = 0
    unsent: int = 0
    attempts: int = 0
    connects: int = 0
    failures: Counter[str] = field(default_factory=Counter[str])


class Link(Protocol):
    """A client's connection to a broker, kept up until it is closed."""

    @property
    def client_id(self) -> str:
        """The MQTT client identifier."""
        ...

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted the connection, granted the subscriptions, and it all still stands."""
        ...

    @property
    def metrics(self) -> Metrics:
        """What the link has done."""
        ...

    def on_up(self, callback: Callable[[], None]) -> None:
        """Call back after every successful connection, once the broker has granted the subscriptions."""
        ...

    def on_down(self, callback: Callable[[str], None]) -> None:
        """Call back with the reason whenever an attempt fails or a connection breaks."""
        ...

    def subscribe(self, topic_filter: str, handler: Handler, *, qos: Qos = 0) -> None:
        """Take messages from now on and after every reconnection; overlapping filters each get the message."""
        ...

    def start(self) -> None:
        """Begin to connect, and to reconnect with full-jitter back-off whenever the connection breaks."""
        ...

    def publish(
        self, topic: str, payload: bytes, *, qos: Qos = 0, retain: bool = False, settled: Settled | None = None
    ) -> bool:
        """Hand a message over.

        Parameters
        ----------
        topic, payload, qos, retain : str, bytes, int, bool
            As in MQTT. What is taken at QoS 1 and not acknowledged when the connection breaks is sent again, in order,
            before anything new, once the link is up again.
        settled : callable, optional
            Called once for a message of QoS 1 that was taken: with True when the broker acknowledges it, with False
            when the link gives it up (the broker refused it, or the link was closed first).

        Returns
        -------
        bool
            False when it could not be handed over (no connection, queue full) and is known not to have been sent;
            `settled` is not called then.

        Raises
        ------
        LinkError
            `settled` is given at QoS 0, which nobody acknowledges.
        """
        ...

    def close(self, done: Callable[[], None] | None = None) -> None:
        """Send what is queued, say goodbye (the will is not published), and call back when that has been done."""
        ...


class LinkFactory(Protocol):
    """Makes links to one broker."""

    def __call__(self, client_id: str, will: Will | None) -> Link:
        """Make a link that has not been started."""
        ...
