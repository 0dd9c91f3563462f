"""What every link does alike: subscriptions, delivery to handlers, reconnecting, counting.

A transport (paho, the simulated network) inherits from `LinkBase` and adds five methods.
"""

from __future__ import annotations

import abc
import logging
from collections import deque
from collections.abc import Callable

from becomingone.broker.backoff import Backoff
from becomingone.broker.link import Handler, Message, Metrics, Qos, Settled, Will
from becomingone.errors import LinkError
from becomingone.scheduling import NANOSECONDS, Scheduler, Timer
from becomingone.wire.topics import check_filter, matches

_CACHED_TOPICS = 65_536
_TURN_NS = NANOSECONDS // 100
"""Handlers are given messages for so long, 10 ms, before others have a turn: a flood must not stop the ticks."""

_LOG = logging.getLogger(__name__)


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
        self._routes: dict[str, tuple[Handler, ...]] = {}
        self._up: list[Callable[[], None]] = []
        self._down: list[Callable[[str], None]] = []
        self._inbox: deque[Message] = deque()
        self._delivering = False
        self._retry: Timer | None = None
        self._started = False
        self._closing = False
        self._last_failure: str | None = None

    def on_up(self, callback: Callable[[], None]) -> None:
        """See `Link.on_up`."""
        self._up.append(callback)

    def on_down(self, callback: Callable[[str], None]) -> None:
        """See `Link.on_down`."""
        self._down.append(callback)

    def subscribe(self, topic_filter: str, handler: Handler, *, qos: Qos = 0) -> None:
        """See `Link.subscribe`."""
        self._subscriptions.append((check_filter(topic_filter), qos, handler))
        self._routes.clear()
        if self.connected:
            self._ask([(topic_filter, qos)])

    def start(self) -> None:
        """See `Link.start`."""
        if self._started:
            msg = f"the link {self.client_id} has been started already"
            raise LinkError(msg)
        self._started = True
        self._try()

    def publish(
        self, topic: str, payload: bytes, *, qos: Qos = 0, retain: bool = False, settled: Settled | None = None
    ) -> bool:
        """See `Link.publish`."""
        if settled is not None and not qos:
            msg = f"nobody acknowledges a message of QoS 0: {topic}"
            raise LinkError(msg)
        handed_over = self.connected and self._send(topic, payload, qos, retain, settled)
        if handed_over:
            self.metrics.sent += 1
        else:
            self.metrics.unsent += 1
        return handed_over

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
    def _send(self, topic: str, payload: bytes, qos: Qos, retain: bool, settled: Settled | None) -> bool:
        """Send a PUBLISH; False when it was not taken. At QoS 1 `_settle` follows once."""

    @abc.abstractmethod
    def _goodbye(self, done: Callable[[], None]) -> None:
        """Send what is queued and a DISCONNECT, let go, call back."""

    def _try(self) -> None:
        self._retry = None
        if not self._closing:
            self.metrics.attempts += 1
            self._open()

    def _filters(self) -> list[tuple[str, Qos]]:
        """Give the filters that a new connection begins with."""
        return [(topic_filter, qos) for topic_filter, qos, _ in self._subscriptions]

    def _accepted(self) -> None:
        """Take note that the broker has accepted the connection and granted the subscriptions."""
        self.connected = True
        self.metrics.connects += 1
        self._backoff.succeeded()
        if self._last_failure is not None:
            self._last_failure = None
            _LOG.warning("broker: connected")
        for callback in self._up:
            callback()
        self._deliver_soon()

    def _failed(self, reason: str) -> None:
        """Take note that an attempt failed or the connection broke, and arrange the next attempt."""
        self.connected = False
        self._inbox.clear()
        if self._closing:
            return
        self.metrics.failures[reason] += 1
        if reason != self._last_failure:  # once, however often it is tried: a broker may be away for days
            self._last_failure = reason
            _LOG.warning("broker: %s; trying again", reason)
        if self._retry is None:
            self._retry = self._scheduler.call_at(self._scheduler.monotonic_ns() + self._backoff.next_ns(), self._try)
        for callback in self._down:
            callback(reason)

    def _settle(self, settled: Settled | None, *, acknowledged: bool) -> None:
        """Take note of what became of a message of QoS 1, and say so."""
        if acknowledged:
            self.metrics.acknowledged += 1
        else:
            self.metrics.given_up += 1
        if settled is not None:
            settled(acknowledged)

    def _arrived(self, message: Message) -> None:
        """Take a message, for a turn of its own.

        What is retained comes before the broker has granted the last subscription; it waits until the link is up, so
        that a handler can always answer.
        """
        self._inbox.append(message)
        self._deliver_soon()

    def _deliver_soon(self) -> None:
        if self._inbox and self.connected and not self._delivering:
            self._delivering = True
            self._scheduler.post(self._deliver)

    def _deliver(self) -> None:
        """Give messages to their handlers, in order, for one turn; also after one of them has failed."""
        end = self._scheduler.monotonic_ns() + _TURN_NS
        try:
            while self._inbox and self.connected:
                self._route(self._inbox.popleft())
                if self._scheduler.monotonic_ns() >= end:
                    break
        finally:
            self._delivering = False
            self._deliver_soon()

    def _route(self, message: Message) -> None:
        self.metrics.received += 1
        handlers = self._routes.get(message.topic)
        if handlers is None:
            handlers = tuple(
                handler for topic_filter, _, handler in self._subscriptions if matches(topic_filter, message.topic)
            )
            if len(self._routes) >= _CACHED_TOPICS:
                self._routes.clear()
            self._routes[message.topic] = handlers
        for handler in handlers:
            handler(message)
