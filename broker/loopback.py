"""amqtt's broker with one fault worked around; importing it costs 0.2 s, so only `embedded` does."""

from __future__ import annotations

from typing import Any

from amqtt.broker import Broker
from amqtt.session import Session


class LoopbackBroker(Broker):
    """Gives retained messages only to those who subscribed to them.

    amqtt 0.12 sends every new client what is retained under everybody's subscriptions, so that a stranger who asked
    for one topic is shown all, and walks over the subscriptions meanwhile: when others subscribe at that moment, the
    new client is never served (both seen). MQTT 3.1.1, 3.8.4, gives retained messages to a SUBSCRIBE alone.
    """

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        subscribers: list[tuple[Any, int]] = self._subscriptions.get(subscription[0], [])
        if any(subscriber.client_id == session.client_id for subscriber, _ in subscribers):
            await super()._publish_retained_messages_for_subscription(subscription, session)
