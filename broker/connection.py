"""One connection: a stream, paho's engine on it, and the asyncio loop's watch over both, until it ends, once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from becomingone.broker.client import PahoClient
from becomingone.broker.inbox import BATCH
from becomingone.broker.incoming import Incoming
from becomingone.broker.reasons import ConnectionFailedError, Reason, of_code, said
from becomingone.broker.transport import Transport
from becomingone.scheduling import NANOSECONDS, Clock

TURN_NS: Final = NANOSECONDS // 100
"""Packets are read for so long, 10 ms, before others have a turn."""

_LOG = logging.getLogger(__name__)


class Connection:
    """A connection that `begin`s and ends once.

    Parameters
    ----------
    client : PahoClient
        Its callbacks for what arrives are the owner's affair; those for the socket and the end are set here.
    transport : Transport
        The stream that the client works on.
    address : str
        ``host:port``, for messages.
    loop : asyncio.AbstractEventLoop
        Watches the stream.
    clock : Clock
        Measures turns.
    on_message : callable
        Called with each PUBLISH packet that is not taken by the batch.
    bulk : mapping of bytes to str
        Topics whose messages are taken by the batch; may change.
    on_batch : callable
        Called with the messages of a batch and their size.
    on_end : callable
        Called once, with the reason; not when the connection is let go with `abandon`.
    """

    def __init__(
        self,
        client: PahoClient,
        transport: Transport,
        *,
        address: str,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        on_message: Callable[[Incoming], None],
        bulk: Mapping[bytes, str],
        on_batch: Callable[[list[tuple[str, bytes]], int], None],
        on_end: Callable[[ConnectionFailedError], None],
    ) -> None:
        self.client = client
        self.transport = transport
        self._address = address
        self._loop = loop
        self._clock = clock
        self._on_message = on_message
        self._bulk = bulk
        self._on_batch = on_batch
        self._on_end = on_end
        self._open = True
        self._ended = False
        self._paused = False
        self._flushing = False
        self._writing = False
        self._received = 0
        self._farewell: int | None = None
        self._house: asyncio.TimerHandle | None = None
        self._on_drained: Callable[[], None] | None = None
        client.on_message = self._on_paho_message
        client.on_disconnect = self._on_disconnect
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self.want_flush

    @property
    def backlog(self) -> int:
        """Bytes, about, that wait to leave."""
        return self.transport.backlog + self.client.handed

    def begin(self) -> None:
        """Say CONNECT, and watch."""
        self._loop.add_reader(self.transport, self._readable)
        self._house = self._loop.call_later(1.0, self._housekeeping)
        self.client.greet()
        self._loop.call_soon(self._readable)  # what came with the handshake

    def end(self, failure: ConnectionFailedError) -> None:
        """Let go of a connection that is of no use: the stream just ends, so the broker publishes the will."""
        if not self._open:
            return
        self._release()
        self.transport.close()
        self._finish(failure)

    def abandon(self) -> None:
        """Let go without a word to anybody."""
        self._ended = True
        self._release()
        self.transport.close()

    def leave(self) -> None:
        """Say DISCONNECT; the broker forgets the will."""
        self.client.disconnect()
        self._flush()
        if self._open:  # the stream takes nothing more, not even that
            self.end(ConnectionFailedError(Reason.BROKEN, f"{self._address}: the broker did not hear the goodbye"))

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Call back once, when all that was to be sent has left."""
        self._on_drained = callback
        self.want_flush()

    def pause(self) -> None:
        """Read no more for now; TCP makes the broker wait."""
        if self._open and not self._paused:
            self._paused = True
            self._loop.remove_reader(self.transport)

    def resume(self) -> None:
        """Read again."""
        if self._open and self._paused:
            self._paused = False
            self._loop.add_reader(self.transport, self._readable)
            self._loop.call_soon(self._readable)

    def _readable(self) -> None:
        if not self._open or self._paused:
            return
        more = self.transport.fill()
        end = self._clock.monotonic_ns() + TURN_NS
        while self._open and not self._paused and self.transport.readable:
            self._digest()
            if self._clock.monotonic_ns() >= end:
                more = True
                break
        if more and self._open and not self._paused:
            self._loop.call_soon(self._readable)

    def _digest(self) -> None:
        """Take one packet, or a batch."""
        if not self.client.within_packet:
            if self._bulk:
                messages, size = self.transport.take_bulk(self._bulk, BATCH, five=self.client.five)
                if messages:
                    self._on_batch(messages, size)
                    return
            packet = self.transport.take_publish(five=self.client.five)
            if packet is not None:
                self._on_message(packet)
                return
            if self.client.five:
                self._farewell = self.transport.farewell()
        try:
            self.client.loop_read()
        except Exception as error:  # noqa: BLE001 - whatever paho's parser makes of what a broker sends
            _LOG.debug("%s: a packet could not be read", self._address, exc_info=True)
            text = f"{self._address}: the broker sent what cannot be read: {type(error).__name__}"
            self.end(ConnectionFailedError(Reason.PROTOCOL, text))

    def _on_paho_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        """Take a message that paho has read, because it came in two pieces."""
        self._on_message(Incoming(0, message.topic, bytes(message.payload), message.retain, message.mid))

    def want_flush(self, *_: Any) -> None:  # noqa: ANN401 - paho's own arguments, unused
        """Have what is to be sent leave soon: at the end of this turn, and all at once."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if not self._open or not self._hand_over():
            return
        self.transport.flush()
        if self.transport.error is not None:
            self._readable()  # perhaps the broker has said goodbye
            self.end(self.transport.error)
            return
        wanted = self.transport.backlog > 0
        if wanted and not self._writing:
            self._loop.add_writer(self.transport, self._flush)
        elif self._writing and not wanted:
            self._loop.remove_writer(self.transport)
        self._writing = wanted
        if not wanted and self._on_drained is not None:
            callback, self._on_drained = self._on_drained, None
            callback()

    def _hand_over(self) -> bool:
        """Have paho put its packets into the transport; False when a goodbye was among them."""
        self.client.loop_write()
        self.client.handed = 0
        return self._open

    def _housekeeping(self) -> None:
        self._house = self._loop.call_later(1.0, self._housekeeping)
        if self.transport.received != self._received:
            self._received = self.transport.received
            self.client.still_there()
        self.client.loop_misc()  # pings; finds a silent connection and ends it

    def _on_disconnect(
        self, _client: mqtt.Client, _data: object, flags: mqtt.DisconnectFlags, reason: ReasonCode, properties: object
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            code = self._farewell or reason.value
            text = f"the broker ended the connection: {_name(code)}{reason_string(properties)}"
            failure = ConnectionFailedError(of_code(code), f"{self._address}: {text}")
        elif self.transport.error is not None:
            failure = self.transport.error
        elif str(reason) == "Keep alive timeout":
            failure = ConnectionFailedError(Reason.SILENT, f"{self._address}: the broker does not answer pings")
        else:
            failure = ConnectionFailedError(Reason.PROTOCOL, f"{self._address}: the broker breaks the protocol")
        # Not inside paho's callback: what the owner does there may well fail, and paho would not recover.
        self._loop.call_soon(self._finish, failure)

    def _finish(self, failure: ConnectionFailedError) -> None:
        if not self._ended:
            self._ended = True
            self._on_end(failure)

    def _on_socket_close(self, *_: Any) -> None:  # noqa: ANN401 - paho's own arguments, unused
        self._release()

    def _release(self) -> None:
        if not self._open:
            return
        self._open = False
        if self._house is not None:
            self._house.cancel()
        if not self._paused:
            self._loop.remove_reader(self.transport)
        if self._writing:
            self._loop.remove_writer(self.transport)


def _name(code: int) -> str:
    """Give the standard's name of a DISCONNECT's reason code (MQTT 5, 3.14.2.1)."""
    try:
        return ReasonCode(PacketTypes.DISCONNECT, identifier=code).getName()
    except (KeyError, ValueError):
        return f"reason {code:#04x}"


def reason_string(properties: object) -> str:
    """Give what a broker of MQTT 5 says beside a reason code, as the end of a line; usually nothing."""
    text = getattr(properties, "ReasonString", None)
    return f" ({said(text)})" if isinstance(text, str) and said(text) else ""
