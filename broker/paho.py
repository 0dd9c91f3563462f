"""The real link: paho-mqtt, driven by the owner's asyncio loop instead of a thread of its own.

paho's own network thread dies of an exception in a callback while ``is_connected()`` stays true, and reconnects
without jitter. Here the loop watches the socket, so there is no such thread; only the TCP connect, which blocks,
runs in a daemon thread, so that it can never delay the end of the process.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from becomingone.broker.backoff import Backoff
from becomingone.broker.base import LinkBase
from becomingone.broker.link import Message, Qos, Settled, Will
from becomingone.broker.settings import BrokerSettings
from becomingone.scheduling import LoopScheduler

if TYPE_CHECKING:
    from paho.mqtt.client import SocketLike

CONNECT_TIMEOUT_S = 5.0
"""Seconds for the TCP connect."""

ANSWER_TIMEOUT_S = 5.0
"""Seconds for the broker's answers to CONNECT and SUBSCRIBE, together."""

GOODBYE_TIMEOUT_S = 1.0
"""Seconds that closing waits for the broker to acknowledge what was sent at QoS 1."""

IN_FLIGHT = 100
"""QoS 1 messages that may be unacknowledged at once."""

QUEUED = 1_000
"""QoS 1 messages that may wait for a place in flight."""


class PahoLink(LinkBase):
    """A link to a real broker.

    Parameters
    ----------
    client_id, will : str, Will or None
        See `LinkBase`.
    settings : BrokerSettings
        Where the broker is.
    scheduler : LoopScheduler
        On the loop that the link lives in.
    backoff : Backoff
        The pace of reconnection.
    """

    def __init__(
        self,
        client_id: str,
        will: Will | None,
        *,
        settings: BrokerSettings,
        scheduler: LoopScheduler,
        backoff: Backoff,
    ) -> None:
        super().__init__(client_id, will, scheduler, backoff)
        self._settings = settings
        self._loop = scheduler.loop
        self._client = self._make_client()
        self._unacked: dict[int, Settled | None] = {}
        self._socket: SocketLike | None = None
        self._flushing = False
        self._writing = False
        self._house: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._on_goodbye: Callable[[], None] | None = None
        self._refusal: str | None = None
        self._first_subscribe: int | None = None

    def _make_client(self) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=self.client_id, protocol=mqtt.MQTTv311)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(IN_FLIGHT)
        client.max_queued_messages_set(QUEUED)
        if self._settings.username is not None:
            password = self._settings.password
            client.username_pw_set(self._settings.username, password.get_secret_value() if password else None)
        if self.will is not None:
            client.will_set(self.will.topic, self.will.payload, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_want_write
        return client

    def _open(self) -> None:
        self._refusal = None
        threading.Thread(target=self._connect, name=f"connect {self.client_id}", daemon=True).start()

    def _connect(self) -> None:
        settings = self._settings
        reason: str | None = None
        try:
            self._client.connect(settings.host, settings.port, settings.keepalive_s)
        except OSError as error:
            reason = f"{settings.host}:{settings.port}: {error.strerror or error}"
        try:
            self._loop.call_soon_threadsafe(self._connected_tcp, reason)
        except RuntimeError:  # the loop has ended meanwhile, and with it the need for a connection
            self._client.disconnect()

    def _connected_tcp(self, reason: str | None) -> None:
        opened = self._client.socket()
        if reason is not None or opened is None:
            self._failed(reason or "the broker closed the connection")
            return
        if self._closing:
            self._client.disconnect()
            self._client.loop_write()
            self._finish()
            return
        if isinstance(opened, socket.socket):
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = opened
        self._loop.add_reader(opened, self._client.loop_read)
        self._deadline = self._loop.call_later(
            ANSWER_TIMEOUT_S, self._break, "the broker did not answer CONNECT or SUBSCRIBE"
        )
        self._house = self._loop.call_later(1.0, self._housekeeping)
        self._flush()

    def _break(self, reason: str) -> None:
        """Let go of a connection that is of no use; the TCP stream just ends, so the broker publishes the will."""
        opened = self._socket
        if opened is not None:
            self._forget(opened)
            opened.close()
            self._failed(reason)

    def _housekeeping(self) -> None:
        self._house = self._loop.call_later(1.0, self._housekeeping)
        self._client.loop_misc()  # pings; finds a silent connection and ends it

    def _on_connect(
        self, _client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            self._refusal = f"the broker refused the connection: {reason}"
        elif self._subscriptions:
            _, self._first_subscribe = self._subscribe(self._filters())
        else:
            self._granted()

    def _on_subscribe(
        self, _client: mqtt.Client, _data: object, mid: int, reasons: list[ReasonCode], _properties: object
    ) -> None:
        refused = [reason for reason in reasons if reason.is_failure]
        if refused:
            self._loop.call_soon(self._break, f"the broker refused a subscription: {refused[0]}")
        elif mid == self._first_subscribe:
            self._granted()

    def _granted(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        # Not inside paho's callback: what the owner does there may well fail, and paho would not recover.
        self._loop.call_soon(self._up_if_still_open)

    def _up_if_still_open(self) -> None:
        if self._socket is not None and not self._closing:
            self._accepted()

    def _on_disconnect(
        self, _client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        # paho knows no more than "Unspecified error" of a TCP stream that ended
        why = "the connection broke" if str(reason) == "Unspecified error" else str(reason)
        self._loop.call_soon(self._gone, self._refusal or why)

    def _gone(self, reason: str) -> None:
        if self._on_goodbye is not None:
            self._finish()
        else:
            self._failed(reason)

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self._arrived(Message(message.topic, bytes(message.payload), message.retain))

    def _on_publish(
        self, _client: mqtt.Client, _data: object, mid: int, _reason: ReasonCode, _properties: object
    ) -> None:
        if mid in self._unacked:
            # Not inside paho's callback: what the sender does then may well fail, and paho would not recover.
            self._loop.call_soon(lambda settled: self._settle(settled, acknowledged=True), self._unacked.pop(mid))
        if self._on_goodbye is not None and not self._unacked:
            self._loop.call_soon(self._disconnect)

    def _ask(self, filters: list[tuple[str, Qos]]) -> None:
        self._subscribe(filters)

    def _subscribe(self, filters: list[tuple[str, Qos]]) -> tuple[MQTTErrorCode, int | None]:
        return self._client.subscribe([(topic_filter, int(qos)) for topic_filter, qos in filters])

    def _send(self, topic: str, payload: bytes, qos: Qos, retain: bool, settled: Settled | None) -> bool:
        info = self._client.publish(topic, payload, qos, retain)
        if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS and qos:
            self._unacked[info.mid] = settled
        return info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _goodbye(self, done: Callable[[], None]) -> None:
        self._on_goodbye = done
        if not self.connected:
            if self._socket is not None:
                opened = self._socket
                self._forget(opened)
                opened.close()
            self._finish()
            return
        self._deadline = self._loop.call_later(GOODBYE_TIMEOUT_S, self._disconnect)
        if not self._unacked:
            self._loop.call_soon(self._disconnect)

    def _disconnect(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self.connected:
            self.connected = False
            self._client.disconnect()

    def _finish(self) -> None:
        done, self._on_goodbye = self._on_goodbye, None
        self.connected = False
        unacked, self._unacked = self._unacked, {}
        for settled in unacked.values():
            self._settle(settled, acknowledged=False)
        if done is not None:
            done()

    def _on_want_write(self, *_: Any) -> None:  # noqa: ANN401 - paho's own arguments, unused
        # Also called from the connecting thread; `_connected_tcp` flushes once that has ended.
        if self._socket is not None and not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._socket is None:
            return
        self._client.loop_write()
        self._watch_writing()

    def _watch_writing(self) -> None:
        """Have the loop tell when the socket takes more, as long as paho has more."""
        opened = self._socket
        if opened is None:  # writing has just found the connection broken
            return
        if self._client.want_write() and not self._writing:
            self._writing = True
            self._loop.add_writer(opened, self._flush)
        elif self._writing and not self._client.want_write():
            self._writing = False
            self._loop.remove_writer(opened)

    def _on_socket_close(self, _client: mqtt.Client, _data: object, opened: SocketLike) -> None:
        if opened is self._socket:
            self._forget(opened)

    def _forget(self, opened: SocketLike) -> None:
        self._socket = None
        self._flushing = False
        self._loop.remove_reader(opened)
        if self._writing:
            self._writing = False
            self._loop.remove_writer(opened)
        for timer in (self._house, self._deadline):
            if timer is not None:
                timer.cancel()
