"""paho-mqtt's client as the link uses it: one for each connection, on a stream that is already open.

All that is known of paho's inside stands here: three of its methods are overridden, which paho-mqtt 2.1 and 2.2 have.
What paho would do besides is not used: its queue resends more than the broker's receive maximum after a reconnection
(2.2.0, `_messages_reconnect_reset_out`), its reconnection has no jitter, and its thread dies of an exception.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from becomingone.broker.link import Will
from becomingone.broker.outbox import Entry
from becomingone.broker.outgoing import publish_once
from becomingone.broker.settings import BrokerSettings
from becomingone.broker.transport import Transport
from becomingone.errors import MissingLibraryError
from becomingone.wire.frame import PROTOCOL

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessageInfo, SocketLike

RECEIVE_MAXIMUM: Final = 1_000
"""QoS 1 messages that the broker may have on their way to us (MQTT 5, 3.1.2.11.3)."""

MAX_PACKET: Final = 2 << 20
"""Bytes of the largest packet that we take (MQTT 5, 3.1.2.11.4): the protocol's 1 MiB of payload with room to spare."""

_SESSION_FOR_EVER: Final = 0xFFFF_FFFF


def check_paho() -> None:
    """Make sure that this paho-mqtt is one whose inside is known here.

    Raises
    ------
    MissingLibraryError
        It is not.
    """
    for name in ("_create_socket", "_mid_generate", "_send_publish"):
        if not callable(getattr(mqtt.Client, name, None)):
            msg = f"this paho-mqtt ({version('paho-mqtt')}) is not known: pip install 'paho-mqtt>=2.1,<2.3'"
            raise MissingLibraryError(msg)


class PahoClient(mqtt.Client):
    """An MQTT engine for one connection.

    Parameters
    ----------
    transport : Transport
        The open stream.
    client_id, will, settings, session_s
        See `PahoLink`.
    protocol : {5, 4}
        Of MQTT: 5, or 4 for 3.1.1.
    packet_id : callable
        Gives a packet identifier that is not in use, 1..65,535.

    Attributes
    ----------
    five : bool
        Whether it speaks MQTT 5.
    handed : int
        Bytes of messages handed to paho; whoever has them written sets it back.
    """

    def __init__(
        self,
        transport: Transport,
        client_id: str,
        will: Will | None,
        *,
        settings: BrokerSettings,
        session_s: int,
        protocol: MQTTProtocolVersion,
        packet_id: Callable[[], int],
    ) -> None:
        self.five = protocol is MQTTProtocolVersion.MQTTv5
        self.handed = 0
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=None if self.five else session_s == 0,
            protocol=protocol,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self._transport_in_use = transport
        self._packet_id = packet_id
        self._given_id: int | None = None
        self._settings_in_use = settings
        self._session_s = session_s
        self.max_inflight_messages_set(0)  # the outbox keeps to the limits
        if settings.username is not None:
            password = settings.password
            self.username_pw_set(settings.username, password.get_secret_value() if password else None)
        if will is not None:
            self.will_set(will.topic, will.payload, qos=1, retain=True)

    def greet(self) -> None:
        """Have a CONNECT ready to be sent."""
        settings = self._settings_in_use
        if self.five:
            self.connect(
                settings.host,
                settings.port,
                settings.keepalive_s,
                clean_start=self._session_s == 0,
                properties=_connect_properties(self._session_s),
            )
        else:
            self.connect(settings.host, settings.port, settings.keepalive_s)

    def send_entry(self, entry: Entry, remaining_s: float | None) -> int | None:
        """Have a PUBLISH of QoS 1 ready to be sent; give its packet identifier, None when it was not taken.

        An entry that has an identifier already belongs to a session that both sides still have: it keeps it, and is
        marked as sent before (MQTT 5, 4.4 and 3.3.1.1).
        """
        properties = self.properties(remaining_s, entry.content_type)
        self._given_id = entry.packet_id
        try:
            info = self.publish(entry.topic, entry.payload, 1, entry.retain, properties)
        finally:
            self._given_id = None
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def send_once(
        self, topic: str, payload: bytes, *, retain: bool, expiry_s: float | None, content_type: str | None
    ) -> bool:
        """Have a PUBLISH of QoS 0 ready to be sent.

        Where paho has nothing to send before it, it goes into the stream at once: paho would make an event and a report
        for each, which nobody waits for. Whoever calls this has the stream flushed.
        """
        if not self.want_write():
            if self.socket() is None:
                return False
            properties = self.properties(expiry_s, content_type)
            packed = b"" if not self.five else b"\0" if properties is None else _packed(properties)
            self._transport_in_use.send(publish_once(topic, payload, packed, retain=retain))
            self._last_msg_out = mqtt.time_func()  # as paho takes note of what it sends, so as not to ping for nothing
            return True
        self._given_id = 0  # a message of QoS 0 has none, and must not seem to have that of another
        try:
            info = self.publish(topic, payload, 0, retain, self.properties(expiry_s, content_type))
        finally:
            self._given_id = None
        return info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def properties(self, expiry_s: float | None, content_type: str | None) -> Properties | None:
        """Give what MQTT 5 can say of a message, and nothing on 3.1.1."""
        if not self.five:
            return None  # with none at all paho would make some for each message
        return _publish_properties(None if expiry_s is None else max(1, math.ceil(expiry_s)), content_type)

    def keep_alive(self, seconds: int) -> None:
        """Ping as often as the broker wants it (MQTT 5, 3.2.2.3.14), which paho 2.1 does not by itself."""
        self._keepalive = seconds

    def still_there(self) -> None:
        """Take what comes for an answer to a ping: that may stand behind a flood of messages."""
        self._ping_t = 0.0

    @property
    def within_packet(self) -> bool:
        """Whether paho has read a part of a packet and waits for the rest."""
        return self._in_packet["command"] != 0

    # -- what paho calls -------------------------------------------------------------------------------------------

    def _create_socket(self) -> SocketLike:
        return self._transport_in_use

    def _mid_generate(self) -> int:
        return self._packet_id() if self._given_id is None else self._given_id

    def _send_publish(
        self,
        mid: int,
        topic: bytes,
        payload: bytes | bytearray = b"",
        qos: int = 0,
        retain: bool = False,
        dup: bool = False,
        info: MQTTMessageInfo | None = None,
        properties: Properties | None = None,
    ) -> MQTTErrorCode:
        self.handed += len(topic) + len(payload)
        dup = dup or bool(self._given_id)
        return super()._send_publish(mid, topic, payload, qos, retain, dup, info, properties)


def packet_bytes(topic: str, payload: bytes, qos: int, properties: Properties | None) -> int:
    """Give the size of a PUBLISH packet of MQTT 5, its fixed header included (3.3)."""
    rest = (
        2 + len(topic.encode()) + 2 * (qos > 0) + (1 if properties is None else len(_packed(properties))) + len(payload)
    )
    return 1 + max(1, -(-rest.bit_length() // 7)) + rest


def _packed(properties: Properties) -> bytes:
    return bytes(properties.pack())  # type: ignore[no-untyped-call]  # paho's annotations are not complete


class _Packed(Properties):
    """Properties that are packed once, for a channel's messages all have the same."""

    _bytes: bytes

    def __init__(self, expiry_s: int | None, content_type: str | None) -> None:
        super().__init__(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if expiry_s is not None:
            self.MessageExpiryInterval = min(expiry_s, 0xFFFF_FFFF)
        if content_type is not None:
            self.ContentType = content_type
        object.__setattr__(self, "_bytes", super().pack())  # type: ignore[no-untyped-call]

    def pack(self) -> bytes:
        return self._bytes


@lru_cache(maxsize=64)
def _publish_properties(expiry_s: int | None, content_type: str | None) -> Properties:
    return _Packed(expiry_s, content_type)


def _connect_properties(session_s: int) -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    properties.MaximumPacketSize = MAX_PACKET
    properties.UserProperty = ("protocol", str(PROTOCOL))
    if session_s:
        properties.SessionExpiryInterval = min(session_s, _SESSION_FOR_EVER)
    return properties
