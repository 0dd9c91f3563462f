"""amqtt's broker with one fault worked around and its load told; importing it costs 0.2 s, so only `embedded` does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amqtt.broker import Broker
from amqtt.session import Session

from becomingone.broker.outgrown import Load


class LoopbackBroker(Broker):
    """Gives retained messages only to those who subscribed to them.

    amqtt 0.12 sends every new client what is retained under everybody's subscriptions, so that a stranger who asked
    for one topic is shown all, and walks over the subscriptions meanwhile: when others subscribe at that moment, the
    new client is never served (both seen). MQTT 3.1.1, 3.8.4, gives retained messages to a SUBSCRIBE alone.

    Attributes
    ----------
    messages : int
        Messages taken from clients since the start, and their wills.
    on_message : callable
        Called with the topic and payload of each, before anybody else hears of it; what it refuses goes no further.
    """

    messages: int = 0
    on_message: Callable[[str, bytes], bool]

    @property
    def load(self) -> Load:
        """What it has done, and what it holds for clients: amqtt sets no bound to any of its queues."""
        waiting = self._broadcast_queue.qsize() + sum(not task.done() for task in self._tasks_queue)
        waiting += sum(session.retained_messages.qsize() for session, _ in self._sessions.values())
        return Load(self.messages, waiting)

    def close_listeners(self) -> None:
        """Take no more connections; amqtt's own end does this last, and may never come to it."""
        for server in self._servers.values():
            server.instance.close()

    async def _broadcast_message(
        self,
        session: Session | None,
        topic: str | None,
        data: bytes | bytearray | None,
        force_qos: int | None = None,
    ) -> None:
        self.messages += 1
        if self.on_message(topic or "", bytes(data or b"")):
            await super()._broadcast_message(session, topic, data, force_qos)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        subscribers: list[tuple[Any, int]] = self._subscriptions.get(subscription[0], [])
        if any(subscriber.client_id == session.client_id for subscriber, _ in subscribers):
            await super()._publish_retained_messages_for_subscription(subscription, session)
