"""A stranger's MQTT client: plain paho with its own thread, nothing of ours."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import paho.mqtt.client as mqtt


class Stranger:
    def __init__(self, port: int, *filters: str) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self._changed = threading.Condition()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        self._client.on_connect = lambda client, *_: client.subscribe([(topic, 1) for topic in filters])
        self._client.on_message = self._heard
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_: object) -> None:
        before = self._client.socket()
        self._client.disconnect()
        self._client.loop_stop()
        for stream in (before, self._client.socket()):
            if stream is not None:
                stream.close()  # on a busy machine paho's thread may end before it has done so

    def _heard(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._changed:
            self.messages.append((message.topic, message.payload))
            self._changed.notify_all()

    def until(self, condition: Callable[[list[tuple[str, bytes]]], bool], timeout_s: float = 20.0) -> bool:
        """Wait until the messages so far satisfy a condition."""
        end = time.monotonic() + timeout_s
        with self._changed:
            while not condition(self.messages):
                if not self._changed.wait(end - time.monotonic()):
                    return condition(self.messages)
            return True

    def of(self, topic: str) -> list[bytes]:
        with self._changed:
            return [payload for name, payload in self.messages if name == topic]
