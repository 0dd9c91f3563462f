"""One direction of a client's path to the broker: what happens to each packet is drawn here."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from becomingone.scheduling import NANOSECONDS
from becomingone.sim import plan
from becomingone.sim.packets import Publish
from becomingone.sim.streams import stream

RETRANSMIT_NS: Final = NANOSECONDS // 5
"""The first retransmission of a segment comes after this; each further one after twice as long (RFC 6298, 5.5)."""

RETRANSMIT_MOST_NS: Final = 120 * NANOSECONDS

SEGMENT_BYTES: Final = 1_448
"""What an Ethernet frame carries of a TCP stream."""

_NS_PER_MS: Final = 1_000_000


class Lane:
    """One direction of a client's path: draws what happens to each packet."""

    def __init__(self, rules: plan.Way, seed: int, client_id: str, direction: str) -> None:
        self.rules = rules
        self._rng = stream(seed, "network", direction, client_id)

    def delay_ns(self, size: int = 1, pace_ns: int = RETRANSMIT_NS) -> int:
        """Draw a packet's delay, retransmissions included.

        Parameters
        ----------
        size : int
            Its bytes: a packet of several segments is late when one of them is.
        pace_ns : int
            Nanoseconds that the last three packets took to be sent. When three more have come, the loss is noticed
            before its time (fast retransmit, RFC 5681, 3.2); they are taken to come as fast as the last three.
        """
        delay = max(0, round(self.rules.delay_ms.sample(self._rng) * _NS_PER_MS))
        if self.rules.loss:
            lost = 1.0 - (1.0 - self.rules.loss) ** -(-size // SEGMENT_BYTES)
            wait = min(RETRANSMIT_NS, pace_ns + 2 * delay)
            while self._rng.random() < lost:
                delay += wait
                wait = min(max(2 * wait, RETRANSMIT_NS), RETRANSMIT_MOST_NS)
        return delay

    def hold_ns(self) -> int:
        """Draw for how long a message is held back; 0 for most."""
        if not self.rules.reorder or self._rng.random() >= self.rules.reorder:
            return 0
        return max(0, round(self.rules.reorder_ms.sample(self._rng) * _NS_PER_MS))

    def mishandle(self, packet: Publish) -> tuple[str, list[Publish]]:
        """Draw what brokers and bridges do to a message: the fault's name, and what is sent instead."""
        rules, rng = self.rules, self._rng
        if packet.qos == 0 and rules.drop and rng.random() < rules.drop:
            return "drop", []
        if packet.payload and rules.corrupt and rng.random() < rules.corrupt:
            return "corrupt", [replace(packet, payload=self._flipped(packet.payload))]
        if packet.qos and rules.duplicate and rng.random() < rules.duplicate:
            return "duplicate", [packet, replace(packet, dup=True)]
        return "", [packet]

    def _flipped(self, payload: bytes) -> bytes:
        """Flip one to eight different bits."""
        bits = {self._rng.randrange(8 * len(payload)) for _ in range(self._rng.randint(1, 8))}
        damaged = bytearray(payload)
        for bit in bits:
            damaged[bit // 8] ^= 1 << bit % 8
        return bytes(damaged)
