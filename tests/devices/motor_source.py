"""Stands in for a hub where only its commands matter: signed ones to one motor, twenty a second.

``python motor_source.py PORT KEY`` with the node's key in hexadecimal digits.
"""

from __future__ import annotations

import sys
import threading
import time

import paho.mqtt.client as mqtt

from becomingone.wire.command import OutputCommand, encode_command
from becomingone.wire.seal import seal

TOPIC = "becomingone/home/node/n001/output/m/set"
EXPIRY_US = 150_000
NODE_BOOT = 1


def main() -> None:
    port, key = int(sys.argv[1]), bytes.fromhex(sys.argv[2])
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.reconnect_delay_set(1, 1)
    client.connect_async("127.0.0.1", port, keepalive=60)
    client.loop_start()
    boot = int(time.time())
    number = 0
    pause = threading.Event()
    while True:
        now_us = time.time_ns() // 1_000
        command = OutputCommand(
            boot=boot, id=number, expires_us=now_us + EXPIRY_US, values={"velocity": 0.5, "rotation": 0.25}
        )
        number += 1
        if client.is_connected():
            client.publish(TOPIC, seal(key, TOPIC, encode_command(command), NODE_BOOT), qos=1)
        pause.wait(0.05)


if __name__ == "__main__":
    main()
