"""A broker that hands out what, where and when it is told to, and a link to it that is always up."""

from __future__ import annotations

from collections.abc import Callable

from becomingone.broker.link import BulkHandler, Handler, Message, Metrics, Qos, Settled, Will
from becomingone.sim.clock import VirtualScheduler
from becomingone.wire.topics import matches


class HostileLink:
    """A link that is always up; after `cut` nothing goes through it any more."""

    def __init__(self, client_id: str, broker: HostileBroker) -> None:
        self.client_id = client_id
        self.connected = False
        self.metrics = Metrics()
        self.filters: list[tuple[str, Handler]] = []
        self._broker = broker
        self._up: list[Callable[[], None]] = []

    def on_up(self, callback: Callable[[], None]) -> None:
        self._up.append(callback)

    def on_down(self, callback: Callable[[str], None]) -> None:
        pass

    def set_cell_size(self, nodes: int) -> None:
        pass

    def subscribe(
        self,
        topic_filter: str,
        handler: Handler,
        *,
        qos: Qos = 0,
        optional: bool = False,
        bulk: BulkHandler | None = None,
    ) -> None:
        self.filters.append((topic_filter, handler))
        self._broker.asked.clear()
        if self.connected:
            self._broker.hand_out_retained(self, topic_filter, handler)

    def start(self) -> None:
        self.connected = True
        for topic_filter, handler in self.filters:
            self._broker.hand_out_retained(self, topic_filter, handler)
        for callback in self._up:
            self._broker.scheduler.post(callback)

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
        if self.connected:
            self._broker.published(topic, payload, retain=retain)
        return self.connected

    def close(self, done: Callable[[], None] | None = None) -> None:
        self.cut()

    def cut(self) -> None:
        self.connected = False
        self.filters.clear()
        self._broker.asked.clear()


class HostileBroker:
    """See the module; `route` decides what becomes of a message that was published."""

    def __init__(self, scheduler: VirtualScheduler) -> None:
        self.scheduler = scheduler
        self.links: dict[str, HostileLink] = {}
        self.retained: dict[str, bytes] = {}
        self.announcements = 0
        self.asked: dict[str, list[Handler]] = {}
        self.route: Callable[[str, bytes], None] = self.deliver

    def link(self, client_id: str, will: Will | None, *, session_s: int = 0) -> HostileLink:
        self.links[client_id] = HostileLink(client_id, self)
        return self.links[client_id]

    def published(self, topic: str, payload: bytes, *, retain: bool) -> None:
        if retain:
            self.retained[topic] = payload
        self.announcements += topic.endswith("/about")
        self.scheduler.post(lambda: self.route(topic, payload))

    def hand_out_retained(self, link: HostileLink, topic_filter: str, handler: Handler) -> None:
        for topic, payload in sorted(self.retained.items()):
            if matches(topic_filter, topic):
                message = Message(topic, payload, retained=True)
                self.scheduler.post(lambda message=message: handler(message) if link.connected else None)

    def deliver(self, topic: str, payload: bytes, *, retained: bool = False) -> int:
        """Hand a message to whoever has asked for its topic; give how many have."""
        handlers = self.asked.get(topic)
        if handlers is None:
            filters = [pair for link in self.links.values() for pair in link.filters]
            handlers = self.asked[topic] = [handler for wanted, handler in filters if matches(wanted, topic)]
        for handler in handlers:
            handler(Message(topic, payload, retained))
        return len(handlers)
