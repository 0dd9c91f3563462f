"""The simulated broker: MQTT 3.1.1 and 5 over virtual time, behind the same link interface as a real one.

What the standard leaves open it does as Mosquitto 2.0 does with MQTT 3.1.1: overlapping subscriptions of a client bring
a message once, at the greatest QoS (3.3.5; with MQTT 5 Mosquitto sends one for each); messages of QoS 0 do not wait for
a client that is away; a queue that is full drops what comes last. There are no shared subscriptions.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

from becomingone.broker.backoff import Backoff
from becomingone.broker.link import Qos, Will
from becomingone.errors import TopicError
from becomingone.scheduling import NANOSECONDS, Scheduler
from becomingone.sim import plan
from becomingone.sim.access import Access, Action, Rules
from becomingone.sim.connection import Connection
from becomingone.sim.events import Note, ignore
from becomingone.sim.link import SimLink
from becomingone.sim.network import Network
from becomingone.sim.packets import Code, Connack, Connect, Puback, Publish, Suback, Subscribe
from becomingone.sim.peer import Peer
from becomingone.sim.retained import Retained
from becomingone.sim.session import Limits, Session
from becomingone.sim.sessions import Sessions
from becomingone.sim.streams import stream
from becomingone.wire.topics import check_filter

__all__ = ["Action", "Rules", "SimBroker", "SimLink", "TraceEntry"]


@dataclass(slots=True)
class TraceEntry:
    """One message as the broker took it: mesh time in µs, the publisher's client id, topic, payload."""

    time_us: int
    client_id: str
    topic: str
    payload: bytes


class SimBroker:
    """A broker in virtual time, and the network around it.

    Parameters
    ----------
    scheduler : Scheduler
        Whose time it lives in.
    rng : random.Random
        Gives the seed of all that is drawn.
    network : plan.Network, optional
        How the paths between clients and broker behave; by default packets take 0.1 to 0.3 ms.
    limits : Limits
        What it speaks and bears.
    rules : callable, optional
        Who may do what; by default everybody everything.
    note : callable
        Takes note of everything that happens.
    keep_trace : bool
        Keep every message in `trace`.

    Attributes
    ----------
    retained : dict of str to bytes
        What is retained.
    trace : list of TraceEntry
        Every message that it has taken, wills included.
    up : bool
        Whether it runs.
    counts : Counter of str
        Messages that were not passed on, connections and subscriptions refused, by reason.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        rng: random.Random,
        *,
        network: plan.Network | None = None,
        limits: Limits | None = None,
        rules: Rules | None = None,
        note: Note = ignore,
        keep_trace: bool = True,
    ) -> None:
        self.trace: list[TraceEntry] = []
        self.scheduler = scheduler
        self.limits = limits or Limits()
        self._access = Access(rules, note)
        self.counts = self._access.counts
        self._seed = rng.getrandbits(64)
        self.network = Network(scheduler, self._seed, rules=network, note=note)
        self._note = note
        self._keep_trace = keep_trace
        self.up = True
        self._kept = Retained(scheduler)
        self.retained = self._kept.payloads
        self._sessions = Sessions(scheduler, self.limits, self._access.dropped)
        self._peers: dict[str, Peer] = {}
        self._links: dict[str, SimLink] = {}

    # -- what a test or a fault plan does to it --------------------------------------------------------------------

    def link(
        self, client_id: str, will: Will | None, *, session_s: int = 0, keepalive_s: int = 10, user: str | None = None
    ) -> SimLink:
        """Make a link to this broker; see `LinkFactory`.

        Parameters
        ----------
        client_id, will, session_s
            See `LinkFactory`.
        keepalive_s : int
            Seconds of silence after which the link pings; 0 for never.
        user : str, optional
            The MQTT user name; by default what comes after the client id's last dot.
        """
        backoff = Backoff(stream(self._seed, "backoff", client_id))
        link = SimLink(
            client_id,
            will,
            scheduler=self.scheduler,
            backoff=backoff,
            user=client_id.rpartition(".")[2] if user is None else user,
            session_s=session_s,
            keepalive_s=keepalive_s,
            dial=lambda caller: self.network.dial(client_id, caller, self),
            note=self._note,
        )
        self._links[client_id] = link
        return link

    def crash(self, *, persistent: bool = False, silent: bool = False) -> None:
        """Die: every connection breaks without a will.

        Parameters
        ----------
        persistent : bool
            What is retained, and the sessions that are kept, will be there again after `restart`.
        silent : bool
            The machine dies with it: no client is told, each finds out by its keepalive, or after the restart.
        """
        self.up = False
        self.network.broker_powered = not silent
        self._note("crash", "", why="persistent" if persistent else "")
        peers, self._peers = self._peers, {}
        for peer in peers.values():
            peer.open = False
            if silent:
                peer.connection.lose_server()
            else:
                peer.connection.close_server()
        self._sessions.crash(persistent=persistent)
        if not persistent:
            self._kept.clear()

    def restart(self) -> None:
        """Come back, with what the crash has left."""
        self.up = True
        self.network.broker_powered = True
        self._note("restart", "")

    def cut(self, client_id: str) -> None:
        """Break a client's connection without a goodbye, as pulling its plug does; its will is published."""
        peer = self._peers.get(client_id)
        if peer is not None:
            peer.connection.cut()

    def lose(self, client_id: str) -> None:
        """Make a client's connection half open: nothing gets through any more, and neither end is told."""
        peer = self._peers.get(client_id)
        if peer is not None:
            peer.connection.lost = True

    def kill(self, client_id: str, *, silent: bool = False) -> None:
        """End a client for good without a goodbye; `silent`: its machine dies, and the broker is not told."""
        peer = self._peers.get(client_id)
        self._links[client_id].abandon()
        if peer is not None and silent:
            peer.connection.lose_client()
        elif peer is not None:
            peer.connection.cut()

    def connected(self, client_id: str) -> bool:
        """Tell whether the broker takes a client for connected."""
        return client_id in self._peers

    # -- what comes over the network -------------------------------------------------------------------------------

    def accept(self, connection: Connection) -> Peer | None:
        """See `network.Listener.accept`."""
        return Peer(self, connection) if self.up else None

    def connect(self, peer: Peer, packet: Connect) -> None:
        """Take a CONNECT."""
        if not self._access.may(packet.user, "connect", packet.client_id, packet.client_id):
            peer.send(Connack(Code.NOT_AUTHORIZED))
            peer.end(None)
            return
        before = self._peers.get(packet.client_id)
        if before is not None:  # 3.1.4-2: the newer connection of a client id wins
            self.dismiss(before, Code.TAKEN_OVER.text, Code.TAKEN_OVER)
        session, present = self._sessions.open(packet)
        peer.session, peer.will = session, packet.will
        self._peers[packet.client_id] = peer
        self._note("connect", packet.client_id, why="session present" if present else "")
        peer.watch(packet.keepalive_s)
        peer.send(self._greeting(session_present=present))
        session.resume(peer.send, peer.stuck)

    def subscribe(self, peer: Peer, session: Session, packet: Subscribe) -> None:
        """Take a SUBSCRIBE: what is granted is in force, and what is retained under it is sent (3.8.4)."""
        codes = tuple(self._grant(session, topic_filter, qos) for topic_filter, qos in packet.filters)
        peer.send(Suback(packet.number, codes))
        for (topic_filter, qos), code in zip(packet.filters, codes, strict=True):
            if code is Code.SUCCESS:
                for message in self._kept.under(topic_filter, qos):
                    self._to(session, message)

    def publish(self, peer: Peer, session: Session, packet: Publish) -> None:
        """Take a PUBLISH, and acknowledge it at QoS 1."""
        code = Code.SUCCESS
        if packet.size > self.limits.max_packet:
            code = Code.TOO_LARGE
        elif not _is_topic(packet.topic):
            code = Code.NO_TOPIC
        if code is not Code.SUCCESS:
            self._access.refused(code.text, session.client_id, packet.topic)
            self.dismiss(peer, code.text, code)
            return
        if self._access.may(session.user, "publish", session.client_id, packet.topic):
            self._accept(session.client_id, packet)
        else:
            code = Code.NOT_AUTHORIZED
        if packet.qos:  # MQTT 3.1.1 has no way to say no: 3.3.5-2
            peer.send(Puback(packet.number, code if self.limits.five else Code.SUCCESS))

    def dismiss(self, peer: Peer, why: str, code: Code | None = None) -> None:
        """End a connection; its will is published unless it has said goodbye."""
        if not peer.open:
            return
        peer.end(code)
        session = peer.session
        if session is None:
            return
        self._peers.pop(session.client_id, None)
        self._note("gone", session.client_id, why=why)
        self._sessions.leave(session)
        if peer.will is not None and self._access.may(session.user, "publish", session.client_id, peer.will.topic):
            will = Publish(peer.will.topic, peer.will.payload, qos=1, retain=True)
            self._note("will", session.client_id, will.topic)
            self._accept(session.client_id, will)

    # -- what it does ----------------------------------------------------------------------------------------------

    def _greeting(self, *, session_present: bool) -> Connack:
        if not self.limits.five:
            return Connack(Code.SUCCESS, session_present)
        return Connack(Code.SUCCESS, session_present, self.limits.max_packet, self.limits.max_inflight)

    def _grant(self, session: Session, topic_filter: str, qos: Qos) -> Code:
        try:
            check_filter(topic_filter)
        except TopicError:
            return Code.NO_FILTER
        if topic_filter.startswith("$share/"):
            return Code.NO_SHARED
        if not self._access.may(session.user, "subscribe", session.client_id, topic_filter):
            return Code.NOT_AUTHORIZED
        self._sessions.subscribe(session, topic_filter, qos)
        return Code.SUCCESS

    def _accept(self, client_id: str, packet: Publish) -> None:
        """Take a message: keep it if it is to be retained, pass it on to everybody who wants it."""
        if self._keep_trace:
            self.trace.append(TraceEntry(self.scheduler.time_us(), client_id, packet.topic, packet.payload))
        self._note("publish", client_id, packet.topic, packet.payload)
        if packet.expiry_s is not None and self.limits.five:
            expires_ns = self.scheduler.monotonic_ns() + max(1, math.ceil(packet.expiry_s)) * NANOSECONDS
            packet = replace(packet, expires_ns=expires_ns)
        if packet.retain:
            self._kept.keep(packet)
        for session, qos in self._sessions.takers(packet.topic):
            if self._access.may(session.user, "receive", session.client_id, packet.topic):
                message = replace(packet, qos=min(qos, packet.qos), retain=False, dup=False, number=0)
                self._to(session, message)

    def _to(self, session: Session, message: Publish) -> None:
        session.take(message, hold_ns=self.network.path(session.client_id).down.hold_ns())


def _is_topic(topic: str) -> bool:
    """Tell whether a message may be published there (4.7.1-1, 4.7.3)."""
    return 1 <= len(topic.encode()) <= 65_535 and not {"+", "#", "\0"} & set(topic)
