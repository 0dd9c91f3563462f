"""A client as the simulated broker sees it: one connection, from its CONNECT to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from becomingone.broker.link import Will
from becomingone.broker.reasons import Reason
from becomingone.scheduling import NANOSECONDS
from becomingone.sim.packets import (
    Code,
    Connect,
    Disconnect,
    Packet,
    Ping,
    Pong,
    Puback,
    Publish,
    Subscribe,
)

if TYPE_CHECKING:
    from becomingone.sim.broker import SimBroker
    from becomingone.sim.connection import Connection
    from becomingone.sim.session import Session


class Peer:
    """The broker's end of a connection.

    Parameters
    ----------
    broker : SimBroker
        Decides.
    connection : Connection
        To the client.
    """

    def __init__(self, broker: SimBroker, connection: Connection) -> None:
        self.connection = connection
        self.session: Session | None = None
        self.will: Will | None = None
        self.open = True
        self._broker = broker
        self._keepalive_ns = 0
        self._heard_ns = 0

    def send(self, packet: Packet) -> None:
        """Send a packet to the client."""
        if self.open:
            self.connection.down.send(packet)

    def stuck(self) -> bool:
        """Tell whether so much waits on a connection that stands still that no more is taken."""
        return len(self.connection.down.waiting) >= self._broker.limits.max_queued

    def receive(self, packet: Packet) -> None:
        """Take a packet from the client."""
        if not self.open:
            return
        self._heard_ns = self._broker.scheduler.monotonic_ns()
        session = self.session
        if session is None:
            if isinstance(packet, Connect):
                self._broker.connect(self, packet)
            else:  # 3.1.0-1: CONNECT is the first
                self._broker.dismiss(self, "no CONNECT")
            return
        match packet:
            case Publish():
                self._broker.publish(self, session, packet)
            case Puback():
                session.acknowledged(packet.number)
            case Subscribe():
                self._broker.subscribe(self, session, packet)
            case Ping():
                self.send(Pong())
            case Disconnect():
                self.will = None  # 3.14.4-3
                self._broker.dismiss(self, "goodbye")
            case _:
                self._broker.dismiss(self, "protocol error")

    def broken(self, reason: Reason) -> None:
        """Hear that the connection is no more."""
        self._broker.dismiss(self, str(reason))

    def end(self, code: Code | None) -> None:
        """Close the connection; MQTT 5 tells the client why (3.14)."""
        if code is not None and self._broker.limits.five:
            self.send(Disconnect(code))
        self.open = False
        self.connection.close_server()

    def watch(self, keepalive_s: int) -> None:
        """End the connection when nothing has come for one and a half times the keepalive (3.1.2-24)."""
        self._keepalive_ns = keepalive_s * NANOSECONDS * 3 // 2
        if keepalive_s:
            self._watch()

    def _watch(self) -> None:
        due = self._heard_ns + self._keepalive_ns
        if not self.open:
            return
        if self._broker.scheduler.monotonic_ns() >= due:
            self._broker.dismiss(self, Code.KEEP_ALIVE.text, Code.KEEP_ALIVE)
        else:
            self._broker.scheduler.call_at(due, self._watch)
