"""Writes down when a cell's messages come: an operator's MQTT client, a process of its own.

One JSON object a line: ``t`` (monotonic, s), and either ``link`` (up, down), ``topic`` and ``payload`` (``null`` where
only the time matters; retained ones are marked), or ``frames`` (of each node in the last second).
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

TIMED = ("phase", "snapshot")
"""What comes as long as the mesh goes on: its phase, 10 times a second, and its snapshot; other figures may stay."""


class Listener:
    """Hears one cell.

    Parameters
    ----------
    out : text file
        Takes the lines.
    cell : str
        ``<root>/<cell>``.
    """

    def __init__(self, out: TextIO, cell: str) -> None:
        self._out = out
        self._cell = cell
        self._frames: Counter[str] = Counter()
        self._lock = threading.Lock()

    def tell(self, **what: Any) -> None:
        """Write a line."""
        with self._lock:
            self._out.write(json.dumps({"t": time.monotonic(), **what}) + "\n")
            self._out.flush()

    def connected(self, client: Client, _data: object, _flags: object, reason: Any, _properties: object) -> None:
        """Ask for everything, whenever the link is up."""
        self.tell(link="up" if not reason.is_failure else f"refused: {reason}")
        client.subscribe(f"{self._cell}/#", qos=0)

    def disconnected(self, _client: Client, _data: object, _flags: object, reason: object, _properties: object) -> None:
        """Tell that it is down."""
        self.tell(link="down", why=str(reason))

    def heard(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        """Write down what is of use."""
        topic = message.topic.removeprefix(f"{self._cell}/")
        levels = topic.split("/")
        if levels[0] == "node" and levels[2] == "phase":
            self._frames[levels[1]] += 1
        elif topic in TIMED:
            self.tell(topic=topic, payload=None, retained=message.retain)
        elif topic == "coherence" or levels[-1] in ("state", "about") or levels[0] == "event":
            self.tell(topic=topic, payload=message.payload.decode(errors="replace"), retained=message.retain)

    def count(self) -> None:
        """Write down the frames of the last second, for ever."""
        while True:
            time.sleep(1)
            frames, self._frames = self._frames, Counter()
            self.tell(frames=dict(frames))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    for name in ("host", "ca", "certificate", "key", "cell", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, default=8883)
    given = parser.parse_args()
    client = Client(CallbackAPIVersion.VERSION2)
    client.tls_set(given.ca, given.certificate, given.key)
    client.reconnect_delay_set(1, 1)
    with Path(given.out).open("a") as out:
        listener = Listener(out, given.cell)
        client.on_connect = listener.connected
        client.on_disconnect = listener.disconnected
        client.on_message = listener.heard
        threading.Thread(target=listener.count, daemon=True).start()
        client.connect_async(given.host, given.port, keepalive=5)
        client.loop_forever(retry_first_connection=True)


if __name__ == "__main__":
    main()
