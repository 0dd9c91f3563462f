"""A simulated TCP connection: two ordered pipes.

TCP loses no bytes: what cannot get through waits, is tried again (RFC 6298, beginning with Linux's 0.2 s) and comes
late, in order. A connection on which nothing gets through for long breaks.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Protocol

from becomingone.broker.reasons import Reason
from becomingone.sim.lane import RETRANSMIT_MOST_NS, RETRANSMIT_NS, Lane
from becomingone.sim.packets import Fin, Packet, Publish, size_of

if TYPE_CHECKING:
    from becomingone.sim.network import Network, Path


class End(Protocol):
    """One end of a connection."""

    def receive(self, packet: Packet) -> None:
        """Take a packet."""
        ...

    def broken(self, reason: Reason) -> None:
        """Hear that the connection is no more; nothing comes afterwards."""
        ...


class Pipe:
    """One direction of a connection: packets arrive in order, late, or not at all.

    Parameters
    ----------
    connection : Connection
        Whose it is.
    lane : Lane
        What it runs over.
    """

    def __init__(self, connection: Connection, lane: Lane) -> None:
        self.shut = False
        self.waiting: list[Packet] = []
        """What could not get through yet."""
        self._connection = connection
        self._scheduler = connection.network.scheduler
        self._lane = lane
        self._sent_ns: deque[int] = deque(maxlen=3)
        self._free_ns = 0
        self._since_ns = 0
        self._retry_ns = 0

    def send(self, packet: Packet) -> None:
        """Send a packet."""
        if self.shut:
            return
        if isinstance(packet, Publish):
            fault, instead = self._lane.mishandle(packet)
            if fault:
                self._connection.network.note(
                    "fault", self._connection.path.client_id, packet.topic, packet.payload, fault
                )
            for one in instead:
                self._transmit(one)
        else:
            self._transmit(packet)

    def _transmit(self, packet: Packet) -> None:
        now = self._scheduler.monotonic_ns()
        pace_ns = now - self._sent_ns[0] if len(self._sent_ns) == 3 else RETRANSMIT_NS
        self._sent_ns.append(now)
        arrival = now + self._lane.delay_ns(size_of(packet), pace_ns)
        self._free_ns = max(self._free_ns, arrival)
        self._scheduler.call_at(self._free_ns, partial(self._arrive, packet))

    def _arrive(self, packet: Packet) -> None:
        if self.shut:
            return
        if self.waiting or self._connection.blocked:
            if not self.waiting:
                self._since_ns = self._scheduler.monotonic_ns()
                self._retry_ns = RETRANSMIT_NS
                self._retry_later()
            self.waiting.append(packet)
        else:
            self._connection.arrived(self, packet)

    def _retry_later(self) -> None:
        self._scheduler.call_at(self._scheduler.monotonic_ns() + self._retry_ns, self._retry)
        self._retry_ns = min(2 * self._retry_ns, RETRANSMIT_MOST_NS)

    def _retry(self) -> None:
        if self.shut:
            return
        network = self._connection.network
        if not self._connection.blocked:
            waiting, self.waiting = self.waiting, []
            for packet in waiting:
                if not self.shut:
                    self._connection.arrived(self, packet)
        elif self._scheduler.monotonic_ns() - self._since_ns >= network.stall_ns:
            self._connection.timed_out(self)
        else:
            self._retry_later()


class Connection:
    """One TCP connection."""

    def __init__(self, network: Network, path: Path) -> None:
        self.network = network
        self.path = path
        self.lost = False
        """Half open: nothing gets through any more, and neither end is told."""
        self.client: End | None = None
        self.server: End | None = None
        self.up = Pipe(self, path.up)
        self.down = Pipe(self, path.down)

    @property
    def blocked(self) -> bool:
        """Whether nothing gets through just now."""
        return self.lost or self.path.blocks > 0 or not self.network.broker_powered

    def arrived(self, pipe: Pipe, packet: Packet) -> None:
        """Hand a packet to the end that it was for."""
        end = self.server if pipe is self.up else self.client
        if isinstance(packet, Fin):
            self._end(pipe)
            if end is not None:
                end.broken(Reason.BROKEN)
        elif end is not None:
            end.receive(packet)
        elif pipe is self.up:  # there is nobody any more: the broker's machine answers with a reset
            self.down.send(Fin(reset=True))

    def timed_out(self, pipe: Pipe) -> None:
        """Tell the sending end that nothing gets through."""
        end = self.client if pipe is self.up else self.server
        self._end(pipe)
        if pipe is self.up:
            self.down.shut, self.client = True, None
        else:
            self.up.shut, self.server = True, None
        if end is not None:
            end.broken(Reason.TIMEOUT)

    def _end(self, pipe: Pipe) -> None:
        pipe.shut = True
        pipe.waiting.clear()
        if pipe is self.up:
            self.server = None
        else:
            self.client, self.up.shut = None, True

    def close_client(self) -> None:
        """Close it from the client's side: the broker hears of it after everything that was sent before."""
        self.client, self.down.shut = None, True
        self.down.waiting.clear()
        self.up.send(Fin())

    def close_server(self) -> None:
        """Close it from the broker's side."""
        self.server = None
        self.down.send(Fin())

    def lose_client(self) -> None:
        """Take the client's machine away: nobody is told."""
        self.client, self.lost = None, True
        self.up.shut = True

    def lose_server(self) -> None:
        """Take the broker's machine away: nobody is told."""
        self.server = None

    def cut(self) -> None:
        """Break it; what is under way is lost. The broker notices at once, the client as soon as it can be told."""
        server = self.server
        self.server, self.up.shut = None, True
        self.up.waiting.clear()
        self.down.shut = True
        self.down.waiting.clear()
        rest = Pipe(self, self.path.down)
        self.down = rest
        rest.send(Fin(reset=True))
        if server is not None:
            server.broken(Reason.BROKEN)
