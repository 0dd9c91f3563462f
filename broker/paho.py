"""The real link: paho-mqtt, driven by the owner's asyncio loop instead of a thread of its own.

paho's own network thread dies of an exception in a callback while ``is_connected()`` stays true, and reconnects
without jitter. Here the loop watches the stream, so there is no such thread; only what blocks (name, TCP, TLS,
WebSocket) runs in a daemon thread, so that it can never delay the end of the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.reasoncodes import ReasonCode

from becomingone.broker.backoff import Backoff
from becomingone.broker.base import LinkBase
from becomingone.broker.client import PahoClient, check_paho
from becomingone.broker.connection import Connection, reason_string
from becomingone.broker.delivery import Delivery
from becomingone.broker.diagnosis import Diagnosis
from becomingone.broker.dial import Dialled, Dialler
from becomingone.broker.link import Message, Qos, Settled, Will
from becomingone.broker.outbox import Entry
from becomingone.broker.reasons import ConnectionFailedError, Reason, of_code
from becomingone.broker.settings import BrokerSettings
from becomingone.broker.tls import client_context
from becomingone.broker.version import FIVE_TIMEOUT_S, VersionChoice
from becomingone.scheduling import LoopScheduler

ANSWER_TIMEOUT_S: Final = 5.0
"""Seconds for the broker's answer to CONNECT, and again to SUBSCRIBE."""

GOODBYE_TIMEOUT_S: Final = 1.0
"""Seconds that closing waits for the broker to take what was published and to acknowledge what is of QoS 1."""


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
    session_s : int
        See `LinkFactory`.

    Raises
    ------
    ConfigError
        A certificate file cannot be used.
    MissingLibraryError
        The installed paho-mqtt is not one of those that are known.
    """

    def __init__(
        self,
        client_id: str,
        will: Will | None,
        *,
        settings: BrokerSettings,
        scheduler: LoopScheduler,
        backoff: Backoff,
        session_s: int = 0,
    ) -> None:
        super().__init__(client_id, will, scheduler, backoff)
        check_paho()
        client_context(settings)  # files that cannot be used are a mistake to be told at once
        self._settings = settings
        self._session_s = session_s
        self._loop = scheduler.loop
        self._version = VersionChoice(settings.protocol)
        self._diagnosis = Diagnosis(client_id, settings)
        self._delivery = Delivery(self, loop=scheduler.loop, clock=scheduler, kept=session_s > 0)
        self._dialler = Dialler(settings, loop=scheduler.loop, clock=scheduler, done=self._dialled)
        self._connection: Connection | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._on_goodbye: Callable[[], None] | None = None
        self._refusal: ConnectionFailedError | None = None
        self._greeted = False
        self._asked: dict[int, list[tuple[str, Qos]]] = {}
        self._first_subscribe: int | None = None

    # -- making a connection ---------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._dialler.start()

    def _dialled(self, made: Dialled) -> None:
        if isinstance(made, ConnectionFailedError):
            self._version.unreached()
            self._diagnosis.unreached()
            self._failed(made.reason, made.line, lasting=made.reason.lasting)
            return
        client = PahoClient(
            made,
            self.client_id,
            self.will,
            settings=self._settings,
            session_s=self._session_s,
            protocol=self._version.next,
            packet_id=self._delivery.packet_id,
        )
        client.on_connect, client.on_subscribe = self._on_connect, self._on_subscribe
        self._delivery.attach(client)
        self._connection = Connection(
            client,
            made,
            address=self._settings.address,
            loop=self._loop,
            clock=self._scheduler,
            on_message=self._delivery.incoming,
            bulk=self._bulk_topics,
            on_batch=self._arrived_batch,
            on_end=self._ended,
        )
        self._refusal, self._greeted, self._first_subscribe = None, False, None
        self._asked.clear()
        self._set_deadline(FIVE_TIMEOUT_S if self._version.guess else ANSWER_TIMEOUT_S, self._no_answer)
        self._connection.begin()

    def _no_answer(self) -> None:
        self._break(Reason.SILENT, "the broker did not answer CONNECT or SUBSCRIBE")

    def _on_connect(
        self, _client: mqtt.Client, _data: object, flags: mqtt.ConnectFlags, reason: ReasonCode, properties: object
    ) -> None:
        if self._connection is None:
            return
        if reason.is_failure:
            why = of_code(reason.value)
            text = f"the broker refused the connection: {reason}{reason_string(properties)}"
            line = f"{self._settings.address}: {text}{self._diagnosis.of_refusal(why)}"
            self._refusal = ConnectionFailedError(why, line)
            return
        self._greeted = True
        self._version.accepted()
        self._set_deadline(ANSWER_TIMEOUT_S, self._no_answer)
        self._delivery.begin(self._connection, session_present=flags.session_present, properties=properties)
        keepalive = getattr(properties, "ServerKeepAlive", None)
        if keepalive is not None:
            self._connection.client.keep_alive(keepalive)
        if getattr(properties, "MaximumQoS", 1) < 1 or not getattr(properties, "RetainAvailable", 1):
            self._loop.call_soon(self._break, Reason.UNSUPPORTED, "the broker has no QoS 1, or retains nothing")
        elif self._subscriptions:
            self._first_subscribe = self._subscribe(self._filters())
        else:
            self._loop.call_soon(self._granted)

    def _ask(self, filters: list[tuple[str, Qos]]) -> None:
        self._subscribe(filters)

    def _subscribe(self, filters: list[tuple[str, Qos]]) -> int | None:
        if self._connection is None:
            return None
        _, packet_id = self._connection.client.subscribe([(name, int(qos)) for name, qos in filters])
        if packet_id is not None:
            self._asked[packet_id] = filters
        return packet_id

    def _on_subscribe(
        self, _client: mqtt.Client, _data: object, packet_id: int, reasons: list[ReasonCode], properties: object
    ) -> None:
        for (name, _), reason in zip(self._asked.pop(packet_id, []), reasons, strict=False):
            if reason.is_failure:
                text = f"the broker refused a subscription, {name}: {reason}{reason_string(properties)}"
                if name in self._optional:
                    self.refuse(Reason.SUBSCRIPTION, text)
                    continue
                self._loop.call_soon(self._break, Reason.SUBSCRIPTION, text)
                return
        if packet_id == self._first_subscribe:
            # Not inside paho's callback, which would not recover from what the owner does there.
            self._loop.call_soon(self._granted)

    def _granted(self) -> None:
        if self._connection is None or self._closing or self.connected:
            return
        self._clear_deadline()
        self._delivery.pump()  # before anything new
        self._accepted()

    # -- its end ---------------------------------------------------------------------------------------------------

    def _break(self, reason: Reason, text: str) -> None:
        """Let go of a connection that is of no use."""
        if self._connection is not None:
            self._connection.end(ConnectionFailedError(reason, f"{self._settings.address}: {text}"))

    def _ended(self, failure: ConnectionFailedError) -> None:
        """Hear that the connection has ended."""
        self._connection = None
        self._clear_deadline()
        now_ns = self._scheduler.monotonic_ns()
        if self.connected:
            lasted_ns = now_ns - self._accepted_ns
            failure = self._diagnosis.of_end(failure, lasted_ns, self._delivery.largest, now_ns)
        elif not self._greeted and self._refusal is None:
            failure = self._diagnosis.of_silence(failure)
        self._delivery.interrupted()
        if self._on_goodbye is not None:
            self._finish()
            return
        failure = self._refusal or failure
        if not self._greeted and not self._closing and self._version.refused(failure.reason):
            self.metrics.attempts += 1
            self._open()  # at once, in the other version: that is no failure yet
            return
        self._failed(failure.reason, failure.line, lasting=failure.reason.lasting)

    def _goodbye(self, done: Callable[[], None]) -> None:
        self._on_goodbye = done
        self._dialler.cancel()
        if self._connection is None or not self.connected:
            if self._connection is not None:
                self._connection.abandon()
            self._finish()
            return
        self._set_deadline(GOODBYE_TIMEOUT_S, self._leave)
        if self._delivery.empty:
            self._connection.when_drained(self._leave)

    def emptied(self) -> None:
        """Hear from the delivery that nothing is unacknowledged any more."""
        if self._on_goodbye is not None and self._connection is not None:
            self._connection.when_drained(self._leave)

    def _leave(self) -> None:
        self._clear_deadline()
        if self._connection is not None and self.connected:
            self.connected = False
            self._connection.leave()

    def _finish(self) -> None:
        done, self._on_goodbye = self._on_goodbye, None
        self.connected = False
        self._connection = None
        self._clear_deadline()
        self._silence()
        self._delivery.give_up()
        if done is not None:
            done()

    def _set_deadline(self, seconds: float, callback: Callable[[], None]) -> None:
        self._clear_deadline()
        self._deadline = self._loop.call_later(seconds, callback)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    # -- messages --------------------------------------------------------------------------------------------------

    def _send(
        self,
        topic: str,
        payload: bytes,
        qos: Qos,
        retain: bool,
        settled: Settled | None,
        expiry_s: float | None,
        content_type: str | None,
    ) -> bool:
        if qos:
            return self._delivery.take(Entry(topic, payload, retain, settled, content_type), expiry_s)
        return self._delivery.send_once(topic, payload, retain=retain, expiry_s=expiry_s, content_type=content_type)

    def arrived(self, message: Message) -> None:
        """Hear from the delivery that a message has come."""
        self._arrived(message)

    def settle(self, settled: Settled | None, *, acknowledged: bool) -> None:
        """Hear from the delivery what became of a message of QoS 1."""
        self._settle(settled, acknowledged=acknowledged)

    def refuse(self, reason: Reason, line: str) -> None:
        """Hear from the delivery that a message cannot be sent, or was refused."""
        self._refuse(reason, f"{self._settings.address}: {line}")

    def _route(self, message: Message) -> None:
        try:
            super()._route(message)
        finally:
            self._delivery.handled(message)

    def _pause(self) -> None:
        if self._connection is not None:
            self._connection.pause()

    def _resume(self) -> None:
        if self._connection is not None:
            self._connection.resume()
