"""Answering the nodes' pings: what mesh time is here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from becomingone.broker.link import Link, Message
from becomingone.errors import FrameError, TopicError
from becomingone.hub.intake.trust import Trust
from becomingone.scheduling import NANOSECONDS, MeshClock
from becomingone.wire.clock import ClockPong, decode_ping, encode_pong
from becomingone.wire.rate import Bucket
from becomingone.wire.topics import Topics

PINGS_PER_S: Final = 20.0
"""Pings of a node that are answered in the long run; an honest one sends 16 a second at its quickest, for 3 s."""

PINGS_AT_ONCE: Final = 40.0
"""Those that may come at once."""

MAX_CLIENTS: Final = 4096
"""Nodes that are told apart at a time; who comes beyond them waits until one has been silent for `IDLE_NS`."""

IDLE_NS: Final = 60 * NANOSECONDS


class _Client:
    __slots__ = ("bucket", "heard_ns")

    def __init__(self, now_ns: int) -> None:
        self.bucket = Bucket(PINGS_PER_S, PINGS_AT_ONCE)
        self.heard_ns = now_ns


class ClockServer:
    """Answers pings, and does a bounded amount of work for each node.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    boot : int
        The hub's boot id.
    clock : MeshClock
        The hub's clock, which is the mesh's.
    trust : Trust
        Opens the pings, and seals the pongs.
    link : Link
        To the broker.
    refuse : callable
        Told of every ping that is not answered, and why.

    Attributes
    ----------
    answered : int
        Pings that were answered.
    """

    def __init__(
        self,
        topics: Topics,
        boot: int,
        *,
        clock: MeshClock,
        trust: Trust,
        link: Link,
        refuse: Callable[[Message, FrameError | TopicError], None],
    ) -> None:
        self.answered = 0
        self._topics = topics
        self._boot = boot
        self._clock = clock
        self._trust = trust
        self._link = link
        self._refuse = refuse
        self._clients: dict[str, _Client] = {}
        self._making_ns: deque[int] = deque(maxlen=16)  # a pong says when it will be sent: when it has been made
        self._swept_ns = clock.monotonic_ns() - IDLE_NS

    def start(self) -> None:
        """Subscribe; to be called before the link is started, or at any time after."""
        self._link.subscribe(self._topics.clock_ping("+"), self._take)

    def _take(self, message: Message) -> None:
        try:
            self._answer(message)
        except (FrameError, TopicError) as error:
            self._refuse(message, error)

    def _answer(self, message: Message) -> None:
        """Answer a ping.

        Raises
        ------
        FrameError
            Why it is not answered: ``retained``, ``too_often``, ``boot``, and those of `Trust.open` and `decode_ping`.
        TopicError
            It names no node.
        """
        now_ns = self._clock.monotonic_ns()
        arrived_ns = message.arrived_ns or now_ns
        (node,) = self._topics.parse_cell(message.topic).names
        if message.retained:
            raise FrameError("retained", "a ping that the broker had stored has no time")
        life = self._trust.open(node, message.topic, message.payload)
        if not self._may(node, now_ns):
            raise FrameError("too_often", f"{node} sends more than {PINGS_PER_S:g} pings a second")
        ping = decode_ping(message.payload)
        if life is not None and ping.boot != life:
            raise FrameError("boot", f"a ping of boot {ping.boot}, sent in boot {life}")
        topic = self._topics.clock_pong(node)
        sigma_s = self._clock.sigma_s
        begun_ns = self._clock.monotonic_ns()
        pong = ClockPong(
            boot=ping.boot,
            seq=ping.seq,
            t1_ns=ping.t1_ns,
            t2_ns=self._clock.mesh_ns(arrived_ns),
            t3_ns=self._clock.mesh_ns(begun_ns + min(self._making_ns, default=0)),
            hub_boot=self._boot,
            sigma_s=sigma_s,
        )
        payload = self._trust.seal(node, topic, encode_pong(pong))
        self._making_ns.append(self._clock.monotonic_ns() - begun_ns)
        if payload is not None:
            self.answered += self._link.publish(topic, payload)

    def _may(self, node: str, now_ns: int) -> bool:
        client = self._clients.get(node)
        if client is None:
            if len(self._clients) >= MAX_CLIENTS:
                self._sweep(now_ns)
            if len(self._clients) >= MAX_CLIENTS:
                return False
            client = self._clients[node] = _Client(now_ns)
        client.heard_ns = now_ns
        return client.bucket.take(now_ns)

    def _sweep(self, now_ns: int) -> None:
        """Forget who has been silent, at most once a second: strangers must not have it done for each name."""
        if now_ns - self._swept_ns >= NANOSECONDS:
            self._swept_ns = now_ns
            self._clients = {
                node: client for node, client in self._clients.items() if now_ns - client.heard_ns < IDLE_NS
            }
