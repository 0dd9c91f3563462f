"""One interface to MQTT, whatever is behind it: a real broker, the embedded one, the simulated one.

A link belongs to one `Scheduler`: every handler is called on it, one at a time, and every method is called from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

Qos = Literal[0, 1]
"""At most once, or at least once. Exactly once is not used: the protocol's own sequence numbers do it better."""

Handler = Callable[["Message"], None]
BulkHandler = Callable[[Sequence[tuple[str, bytes]]], None]
"""Takes topics and payloads of messages that came together, in order."""

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
    arrived_ns : int
        When it was read from the connection, on the scheduler's monotonic clock: it may have waited for its handler
        since. 0 where that is not known.
    """

    topic: str
    payload: bytes
    retained: bool = False
    arrived_ns: int = field(default=0, compare=False)


class Will(NamedTuple):
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
        Why connections failed or broke and messages were refused, one count a reason; the reasons are those of
        `becomingone.broker.reasons.Reason`, or of the simulation.
    in_flight, queued : int
        Messages of QoS 1 that are unacknowledged just now, and that wait for a place among them.
    resent : int
        Messages of QoS 1 that were sent again after a reconnection.
    bytes_sent, bytes_received : int
        Bytes of the topics and payloads of `sent` and `received`.
    long_turns : int
        Turns in which handlers kept everybody else waiting for more than twice their time.
    shed : int
        Messages that came by the batch and were dropped, oldest first, because the handler could not keep up.
    """

    sent: int = 0
    received: int = 0
    acknowledged: int = 0
    given_up: int = 0
    unsent: int = 0
    attempts: int = 0
    connects: int = 0
    failures: Counter[str] = field(default_factory=Counter[str])
    in_flight: int = 0
    queued: int = 0
    resent: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    long_turns: int = 0
    shed: int = 0


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
        """Call back whenever an attempt fails or a connection breaks, with one line that a person can act on."""
        ...

    def set_cell_size(self, nodes: int) -> None:
        """Pace reconnection for a cell of so many nodes, at least 1; 100 until this is called. See `Backoff.resize`."""
        ...

    def subscribe(
        self,
        topic_filter: str,
        handler: Handler,
        *,
        qos: Qos = 0,
        optional: bool = False,
        bulk: BulkHandler | None = None,
    ) -> None:
        """Take messages from now on and after every reconnection; overlapping filters each get the message.

        A broker that refuses a subscription is of no use, and the link breaks; one that is optional it does without.

        Parameters
        ----------
        topic_filter, handler, qos : str, callable, int
            As in MQTT, and who takes the messages.
        optional : bool
            Whether the link can do without it.
        bulk : callable, optional
            Takes messages of QoS 0 that are not retained by the batch, where the transport reads many at once and no
            other filter takes them: they count as live, and where the handler cannot keep up the oldest are dropped,
            see `Metrics`. `handler` takes the others.

        Raises
        ------
        LinkError
            Another subscription of this link has `bulk`.
        """
        ...

    def start(self) -> None:
        """Begin to connect, and to reconnect with full-jitter back-off whenever the connection breaks."""
        ...

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: Qos = 0,
        retain: bool = False,
        settled: Settled | None = None,
        expiry_s: float | None = None,
        content_type: str | None = None,
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
        expiry_s : float, optional
            Seconds after which the broker no longer hands it on (MQTT 5, 3.3.2.3.3, which counts in whole seconds:
            rounded up, at least 1). No effect on MQTT 3.1.1.
        content_type : str, optional
            What the payload is, such as ``application/cbor`` (MQTT 5, 3.3.2.3.9). No effect on MQTT 3.1.1.

        Returns
        -------
        bool
            False when it could not be handed over (no connection, queue full, more than the broker takes) and is known
            not to have been sent; `settled` is not called then.

        Raises
        ------
        LinkError
            `settled` is given at QoS 0, which nobody acknowledges.
        TopicError
            The topic is empty or has a wildcard or a NUL.
        """
        ...

    def close(self, done: Callable[[], None] | None = None) -> None:
        """Send what is queued, say goodbye (the will is not published), and call back when that has been done."""
        ...


class LinkFactory(Protocol):
    """Makes links to one broker."""

    def __call__(self, client_id: str, will: Will | None, *, session_s: int = 0) -> Link:
        """Make a link that has not been started.

        Parameters
        ----------
        client_id, will : str, Will or None
            The MQTT client identifier, and what the broker publishes when the link is lost.
        session_s : int
            Seconds that the broker keeps the session (subscriptions and what arrives under them at QoS 1) of a link
            that is away; 0 for a clean one. MQTT 3.1.1 has no such time: there the broker's own setting counts.
        """
        ...
