"""What the simulated broker retains: the last message of each topic (MQTT 3.1.1, 3.3.1.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from becomingone.broker.link import Qos
from becomingone.scheduling import Scheduler
from becomingone.sim.packets import Publish
from becomingone.wire.topics import matches


@dataclass(frozen=True, slots=True)
class _Kept:
    qos: Qos
    expires_ns: int | None


class Retained:
    """Retained messages.

    Parameters
    ----------
    scheduler : Scheduler
        Whose time they live in.

    Attributes
    ----------
    payloads : dict of str to bytes
        By topic; what is put there by hand counts as published at QoS 1.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self.payloads: dict[str, bytes] = {}
        self._kept: dict[str, _Kept] = {}
        self._scheduler = scheduler

    def keep(self, message: Publish) -> None:
        """Keep a message in the place of the one before; an empty one only takes that away (3.3.1-10)."""
        topic = message.topic
        if not message.payload:
            self.payloads.pop(topic, None)
            self._kept.pop(topic, None)
            return
        self.payloads[topic] = message.payload
        kept = self._kept[topic] = _Kept(message.qos, message.expires_ns)
        if message.expires_ns is not None:
            self._scheduler.call_at(message.expires_ns, lambda: self._expire(topic, kept))

    def under(self, topic_filter: str, qos: Qos) -> Iterator[Publish]:
        """Give what is retained under a filter, in the order of the topics."""
        exact = "+" not in topic_filter and "#" not in topic_filter
        for topic in [topic_filter] if exact else sorted(self.payloads):
            payload = self.payloads.get(topic)
            if payload is not None and (exact or matches(topic_filter, topic)):
                kept = self._kept.get(topic, _Kept(1, None))
                yield Publish(topic, payload, qos=min(qos, kept.qos), retain=True, expires_ns=kept.expires_ns)

    def clear(self) -> None:
        """Forget all."""
        self.payloads.clear()
        self._kept.clear()

    def _expire(self, topic: str, kept: _Kept) -> None:
        if self._kept.get(topic) is kept:
            del self._kept[topic]
            self.payloads.pop(topic, None)
