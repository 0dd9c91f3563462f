"""What every link does alike: subscriptions, delivery to handlers, reconnecting, counting.

A transport (paho, the simulated network) inherits from `LinkBase` and adds five methods.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from functools import partial
from typing import Final

from becomingone.broker.backoff import Backoff
from becomingone.broker.complaints import Complaints
from becomingone.broker.inbox import INBOX, Batch, Inbox
from becomingone.broker.link import BulkHandler, Handler, Message, Metrics, Qos, Settled, Will
from becomingone.broker.reasons import Reason
from becomingone.errors import LinkError, TopicError
from becomingone.scheduling import Scheduler, Timer
from becomingone.wire.topics import check_filter, matches

__all__ = ["INBOX", "MAX_TOPIC", "LinkBase"]

MAX_TOPIC: Final = 65_535
"""Bytes of a topic (MQTT 3.1.1, 1.5.3)."""

_CACHED_TOPICS: Final = 65_536


class LinkBase(abc.ABC):
    """A link without a transport.

    Parameters
    ----------
    client_id : str
        The MQTT client identifier.
    will : Will or None
        What the broker publishes when the link is lost.
    scheduler : Scheduler
        Whose turns the handlers run in.
    backoff : Backoff
        The pace of reconnection.
    """

    def __init__(self, client_id: str, will: Will | None, scheduler: Scheduler, backoff: Backoff) -> None:
        self.client_id = client_id
        self.will = will
        self.metrics = Metrics()
        self.connected = False
        self._scheduler = scheduler
        self._backoff = backoff
        self._subscriptions: list[tuple[str, Qos, Handler]] = []
        self._optional: set[str] = set()
        self._routes: dict[str, tuple[Handler, ...]] = {}
        self._up: list[Callable[[], None]] = []
        self._down: list[Callable[[str], None]] = []
        self._bulk: tuple[str, BulkHandler] | None = None
        self._bulk_topics: dict[bytes, str] = {}
        self._inbox = Inbox(scheduler, self.metrics, route=self._route, pause=self._pause, resume=self._resume)
        self._retry: Timer | None = None
        self._started = False
        self._closing = False
        self._tried_ns = self._accepted_ns = 0
        self._complaints = Complaints(self.metrics)

    def on_up(self, callback: Callable[[], None]) -> None:
        """See `Link.on_up`."""
        self._up.append(callback)

    def on_down(self, callback: Callable[[str], None]) -> None:
        """See `Link.on_down`."""
        self._down.append(callback)

    def subscribe(
        self,
        topic_filter: str,
        handler: Handler,
        *,
        qos: Qos = 0,
        optional: bool = False,
        bulk: BulkHandler | None = None,
    ) -> None:
        """See `Link.subscribe`."""
        if bulk is not None:
            if self._bulk is not None:
                raise LinkError(f"one subscription of a link is taken by the batch, and that is {self._bulk[0]}")
            self._bulk = topic_filter, bulk
        if optional:
            self._optional.add(topic_filter)
        self._subscriptions.append((check_filter(topic_filter), qos, handler))
        self._forget_routes()
        if self.connected:
            self._ask([(topic_filter, qos)])

    def start(self) -> None:
        """See `Link.start`."""
        if self._started:
            msg = f"the link {self.client_id} has been started already"
            raise LinkError(msg)
        self._started = True
        self._try()

    def set_cell_size(self, nodes: int) -> None:
        """See `Link.set_cell_size`."""
        self._backoff.resize(nodes)

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
        """See `Link.publish`."""
        if settled is not None and not qos:
            msg = f"nobody acknowledges a message of QoS 0: {topic}"
            raise LinkError(msg)
        handed_over = (
            self._check_topic(topic)
            and self.connected
            and self._send(topic, payload, qos, retain, settled, expiry_s, content_type)
        )
        if handed_over:
            self.metrics.sent += 1
            self.metrics.bytes_sent += len(topic) + len(payload)
        else:
            self.metrics.unsent += 1
        return handed_over

    def _check_topic(self, topic: str) -> bool:
        """Tell whether MQTT can carry a topic (MQTT 3.1.1, 4.7); one that is too long is refused, not a mistake."""
        try:
            size = len(topic.encode())
        except UnicodeEncodeError:
            size = 0
        if not size or "+" in topic or "#" in topic or "\0" in topic:
            msg = f"a message's topic is UTF-8 without a wildcard and a NUL, and not empty: {topic[:200]!r}"
            raise TopicError(msg)
        if size > MAX_TOPIC:
            self._refuse(Reason.TOPIC, f"a topic of {size} bytes, more than {MAX_TOPIC}: {topic[:60]}…")
        return size <= MAX_TOPIC

    def close(self, done: Callable[[], None] | None = None) -> None:
        """See `Link.close`."""
        self._closing = True
        if self._retry is not None:
            self._retry.cancel()
        self._goodbye(done or (lambda: None))

    @abc.abstractmethod
    def _open(self) -> None:
        """Try to connect and to subscribe to `_filters`; ends in `_accepted` or `_failed`."""

    @abc.abstractmethod
    def _ask(self, filters: list[tuple[str, Qos]]) -> None:
        """Send a SUBSCRIBE for all of the filters."""

    @abc.abstractmethod
    def _send(
        self,
        topic: str,
        payload: bytes,
        qos: Qos,
        retain: bool,
        settled: Settled | None,
        expiry_s: float | None,
        content_type: str | None,
    ) -> bool:
        """Send a PUBLISH; False when it was not taken. At QoS 1 `_settle` follows once."""

    @abc.abstractmethod
    def _goodbye(self, done: Callable[[], None]) -> None:
        """Send what is queued and a DISCONNECT, let go, call back."""

    def _try(self) -> None:
        self._retry = None
        if not self._closing:
            self._inbox.holding = True
            self._tried_ns = self._scheduler.monotonic_ns()
            self.metrics.attempts += 1
            self._open()

    def _filters(self) -> list[tuple[str, Qos]]:
        """Give the filters that a new connection begins with."""
        return [(topic_filter, qos) for topic_filter, qos, _ in self._subscriptions]

    def _accepted(self) -> None:
        """Take note that the broker has accepted the connection and granted the subscriptions."""
        self.connected = True
        self.metrics.connects += 1
        self._inbox.holding = False
        self._accepted_ns = self._scheduler.monotonic_ns()
        self._complaints.connected()
        for callback in self._up:
            self._contained(callback)
        self._inbox.deliver_soon()

    def _failed(self, reason: str, line: str | None = None, *, lasting: bool = False) -> None:
        """Take note that an attempt failed or the connection broke, and arrange the next attempt.

        Parameters
        ----------
        reason : str
            One of a fixed set, to count by.
        line : str, optional
            What a person needs to know; `reason` where it is not given.
        lasting : bool
            Whether trying again soon is in vain.
        """
        now = self._scheduler.monotonic_ns()
        begun = self._tried_ns
        if self.connected:
            self.connected = False
            begun = now
            if self._backoff.held(now - self._accepted_ns):
                self._complaints.held()
        if self._closing:
            return
        line = line or reason
        self._complaints.failed(reason, line)
        if self._retry is None:
            # An attempt that hung has waited already: what is left of a fault that heals is then at most the window.
            due = max(now, begun + self._backoff.next_ns(lasting=lasting))
            self._retry = self._scheduler.call_at(due, self._try)
        for callback in self._down:
            self._contained(callback, line)

    def _refuse(self, reason: str, line: str) -> None:
        """Take note of a message that cannot be sent or that the broker refused."""
        self._complaints.refused(reason, line)

    def _contained(self, callback: Callable[..., None], *arguments: object) -> None:
        """Call back; what the callback raises goes to the scheduler, in a turn of its own: the link has to go on."""
        try:
            callback(*arguments)
        except Exception as error:  # noqa: BLE001 - it is raised again
            self._scheduler.post(partial(_raise, error))

    def _settle(self, settled: Settled | None, *, acknowledged: bool) -> None:
        """Take note of what became of a message of QoS 1, and say so."""
        self.metrics.acknowledged += acknowledged
        self.metrics.given_up += not acknowledged
        if settled is not None:
            self._contained(settled, acknowledged)

    def _arrived(self, message: Message) -> None:
        """Take a message, for a turn of its own.

        What comes before the broker has granted the last subscription waits until the link is up, so that a handler can
        always answer. What came before a connection broke is still delivered: the broker believes that it has arrived.
        """
        self._inbox.put(message)

    def _arrived_batch(self, messages: list[tuple[str, bytes]], size: int) -> None:
        """Take messages of `_bulk_topics` that were read at once; see `_arrived`."""
        if self._bulk is not None:
            self._inbox.put_batch(Batch(messages, size, self._bulk[1]))

    def _silence(self) -> None:
        """Deliver nothing any more."""
        self._inbox.clear()

    def _pause(self) -> None:  # noqa: B027 - not every transport can
        """Take no more messages from the broker until `_resume`."""

    def _resume(self) -> None:  # noqa: B027
        """Take messages again."""

    def _route(self, message: Message) -> None:
        self.metrics.received += 1
        self.metrics.bytes_received += len(message.topic) + len(message.payload)
        handlers = self._routes.get(message.topic)
        if handlers is None:
            handlers = self._find_route(message.topic)
        for handler in handlers:
            handler(message)

    def _find_route(self, topic: str) -> tuple[Handler, ...]:
        """Find who takes a topic, and remember it."""
        found = [(wanted, handler) for wanted, _, handler in self._subscriptions if matches(wanted, topic)]
        if len(self._routes) >= _CACHED_TOPICS:
            self._forget_routes()
        handlers = self._routes[topic] = tuple(handler for _, handler in found)
        if self._bulk is not None and [wanted for wanted, _ in found] == [self._bulk[0]]:
            self._bulk_topics[topic.encode()] = topic
        return handlers

    def _forget_routes(self) -> None:
        self._routes.clear()
        self._bulk_topics.clear()


def _raise(error: Exception) -> None:
    raise error
