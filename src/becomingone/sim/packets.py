"""The MQTT packets that the simulation exchanges, with the sizes that MQTT 3.1.1 gives them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from becomingone.broker.link import Qos, Will

HEAD_BYTES = 4
"""Bytes of everything but a PUBLISH, about: what matters is that they fit one segment."""


class Code(IntEnum):
    """Reason codes (MQTT 5, 2.4); MQTT 3.1.1 has fewer, and none in a PUBACK."""

    SUCCESS = 0x00
    NOT_AUTHORIZED = 0x87
    KEEP_ALIVE = 0x8D
    TAKEN_OVER = 0x8E
    NO_FILTER = 0x8F
    NO_TOPIC = 0x90
    TOO_LARGE = 0x95
    NO_SHARED = 0x9E

    @property
    def text(self) -> str:
        """The standard's words, as a link tells them."""
        return _TEXTS[self]


_TEXTS = {
    Code.SUCCESS: "success",
    Code.NOT_AUTHORIZED: "not authorized",
    Code.KEEP_ALIVE: "keep alive timeout",
    Code.TAKEN_OVER: "session taken over",
    Code.NO_FILTER: "topic filter invalid",
    Code.NO_TOPIC: "topic name invalid",
    Code.TOO_LARGE: "packet too large",
    Code.NO_SHARED: "shared subscriptions not supported",
}


@dataclass(frozen=True, slots=True)
class Connect:
    """Who comes, and for how long its session is to be kept (MQTT 5, 3.1; 0: clean)."""

    client_id: str
    user: str
    will: Will | None
    session_s: int
    keepalive_s: int


@dataclass(frozen=True, slots=True)
class Connack:
    """Whether the broker takes the client, whether it still had its session, and (MQTT 5) how much it takes at once."""

    code: Code
    session_present: bool = False
    max_packet: int | None = None
    receive_max: int | None = None

    @property
    def five(self) -> bool:
        """Whether this is MQTT 5, which alone tells its limits."""
        return self.max_packet is not None


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Filters, each with the greatest QoS that is wanted."""

    number: int
    filters: tuple[tuple[str, Qos], ...]


@dataclass(frozen=True, slots=True)
class Suback:
    """What became of each filter."""

    number: int
    codes: tuple[Code, ...]


@dataclass(frozen=True, slots=True)
class Publish:
    """A message; `number` is 0 at QoS 0, and `expires_ns` is the broker's own note of when `expiry_s` will be over."""

    topic: str
    payload: bytes
    qos: Qos = 0
    retain: bool = False
    dup: bool = False
    number: int = 0
    expiry_s: float | None = None
    content_type: str | None = None
    expires_ns: int | None = None

    @property
    def size(self) -> int:
        """Bytes of the packet (MQTT 3.1.1, 2.2.3 and 3.3)."""
        rest = 2 + len(self.topic.encode()) + 2 * (self.qos > 0) + len(self.payload)
        length_bytes = 1 + (rest > 0x7F) + (rest > 0x3FFF) + (rest > 0x1FFFFF)
        return 1 + length_bytes + rest


@dataclass(frozen=True, slots=True)
class Puback:
    """What became of a message of QoS 1."""

    number: int
    code: Code = Code.SUCCESS


@dataclass(frozen=True, slots=True)
class Ping:
    """PINGREQ."""


@dataclass(frozen=True, slots=True)
class Pong:
    """PINGRESP."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """A goodbye; from the broker (MQTT 5 only) with the reason."""

    code: Code = Code.SUCCESS


@dataclass(frozen=True, slots=True)
class Fin:
    """Not MQTT: the end of the TCP stream."""

    reset: bool = False


Packet = Connect | Connack | Subscribe | Suback | Publish | Puback | Ping | Pong | Disconnect | Fin


def size_of(packet: Packet) -> int:
    """Give a packet's bytes."""
    return packet.size if isinstance(packet, Publish) else HEAD_BYTES
