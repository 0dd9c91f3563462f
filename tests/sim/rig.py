"""A simulated broker with links and bare clients around it."""

from __future__ import annotations

import random
from typing import Any

from becomingone.broker.link import Message, Will
from becomingone.sim.broker import SimBroker, SimLink
from becomingone.sim.clock import VirtualScheduler
from becomingone.sim.events import Note
from becomingone.sim.packets import Connack, Connect, Puback, Publish, Suback, Subscribe
from becomingone.sim.plan import Network


class Rig:
    def __init__(
        self,
        *,
        paths: list[dict[str, Any]] | None = None,
        seed: int = 1,
        scheduler: VirtualScheduler | None = None,
        note: Note | None = None,
        **options: Any,
    ) -> None:
        self.scheduler = scheduler or VirtualScheduler()
        self.clients: dict[str, Raw] = {}
        network = Network.model_validate({"paths": paths or []})
        self.events: list[tuple[str, str, str]] = []
        self.broker = SimBroker(
            self.scheduler,
            random.Random(seed),
            network=network,
            note=note or self._note,
            **options,
        )

    def _note(self, kind: str, client: str, topic: str = "", payload: bytes | None = None, why: str = "") -> None:
        self.events.append((kind, client, why))

    def run(self, seconds: float = 0.1) -> None:
        self.scheduler.run_for(seconds)

    @property
    def now(self) -> float:
        return self.scheduler.monotonic_ns() / 1e9

    def link(self, client_id: str, *filters: str, will: Will | None = None, qos: Any = 1, **options: Any) -> Heard:
        link = self.broker.link(client_id, will, **options)
        heard = Heard(link)
        for topic_filter in filters:
            link.subscribe(topic_filter, heard.append, qos=qos)
        link.start()
        self.run()
        return heard

    def raw(self, client_id: str, **options: Any) -> Raw:
        client = Raw(self, client_id, **options)
        self.run()
        return client


class Heard(list[Message]):
    """What a link has heard."""

    def __init__(self, link: SimLink) -> None:
        super().__init__()
        self.link = link

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self]


class Raw:
    """A client that does what no link does: it acknowledges only when it is told to."""

    def __init__(
        self, rig: Rig, client_id: str, *, session_s: int = 0, keepalive_s: int = 0, will: Will | None = None
    ) -> None:
        self.connection: Any = None
        self.packets: list[Any] = []
        self.broke: list[str] = []
        self._hello = Connect(client_id, client_id, will, session_s, keepalive_s)
        rig.broker.network.dial(client_id, self, rig.broker)

    def opened(self, connection: Any) -> None:
        self.connection = connection
        connection.client = self
        self.send(self._hello)

    def refused(self, reason: Any, line: str) -> None:
        self.broke.append(reason)

    def broken(self, reason: Any) -> None:
        self.broke.append(reason)

    def receive(self, packet: Any) -> None:
        self.packets.append(packet)

    def send(self, packet: Any) -> None:
        if self.connection is not None:
            self.connection.up.send(packet)

    def subscribe(self, topic_filter: str, qos: Any = 1) -> None:
        self.send(Subscribe(1, ((topic_filter, qos),)))

    def acknowledge(self, packet: Publish) -> None:
        self.send(Puback(packet.number))

    @property
    def publications(self) -> list[Publish]:
        return [packet for packet in self.packets if isinstance(packet, Publish)]

    @property
    def session_present(self) -> bool:
        return next(packet.session_present for packet in self.packets if isinstance(packet, Connack))

    @property
    def granted(self) -> list[int]:
        return [code for packet in self.packets if isinstance(packet, Suback) for code in packet.codes]
