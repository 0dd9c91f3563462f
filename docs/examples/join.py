"""Take part in a cell: a metronome, as a node of its own.

    python3 join.py [--host HOST] [--port PORT] [--base ROOT/CELL] [--node NAME] [--key HEX] [--seconds S]

It needs `pip install paho-mqtt cbor2` and nothing of ours; docs/protocol.md says what each message means. It announces
itself, beats at the frequency of one of the cell's bands, and publishes the phase of its beat twice a second, flagged
as simulated: replace `phase_at` by what you measure, and the flag with it. In an authenticated cell it needs its key.
"""

import argparse
import cmath
import hashlib
import json
import math
import struct
import time

import cbor2
import paho.mqtt.client as mqtt

BAND, FREQUENCY_HZ, TAU_S = "stride", 0.78, 1.0  # of the cell's plan: the hub compares the frequency with its own
CHANNEL, INTERVAL_S = "beat", 0.5
VALID, SIMULATED = 1, 8
BOOT = int(time.time())  # grows with each start, as long as nobody sets the clock back


def phase_at(time_us: int) -> float:
    """Give the phase of the beat, rad."""
    return math.remainder(2 * math.pi * FREQUENCY_HZ * time_us / 1e6, 2 * math.pi)


def about(node: str) -> dict[str, object]:
    """Say what this node is: docs/protocol.md, "About"."""
    lag_s = math.ceil(2 * math.pi * TAU_S * FREQUENCY_HZ) / FREQUENCY_HZ
    band = {"frequency_hz": FREQUENCY_HZ, "tau_s": TAU_S, "lag_s": lag_s, "coherence_tau_s": 40 * TAU_S}
    channel = {
        "name": CHANNEL, "device": "metronome", "kind": "metronome", "unit": "1", "quantity": "beat",
        "rate_hz": 1 / INTERVAL_S, "floor": 0.0, "origin": "simulated", "bands": [BAND], "interval_s": INTERVAL_S,
    }  # fmt: skip
    return {
        "protocol": 1, "node": node, "hardware": "cloud", "tau_s": [TAU_S, TAU_S], "capability": 1.0,
        "interval_s": 1.0, "bands": {BAND: band}, "channels": [channel], "outputs": [],
        "devices": [{"name": "metronome", "kind": "metronome", "available": True}],
        "software": "join.py 1", "config_sha256": "", "boot": BOOT, "pid": 0,
    }  # fmt: skip


def single(value: float) -> float:
    """Round to the float32 that the wire carries."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


def encode_frame(seq: int, time_us: int, phase: float) -> bytes:
    """Write a phase frame of one sample: docs/protocol.md, "The phase frame"."""
    sample = cmath.exp(1j * phase)
    frame = {
        1: BOOT,
        2: seq,
        3: time_us,
        5: cbor2.CBORTag(85, struct.pack("<2f", sample.real, sample.imag)),
        6: 1.0,  # coherence: a metronome is as steady as can be
        7: 100.0,
        8: 0.0,
        9: single(2 * math.pi * FREQUENCY_HZ),
        10: 0.0,
        11: 0.0,
        13: single(0.01),  # the system clock, as NTP keeps it
        14: VALID | SIMULATED,
    }
    return cbor2.dumps(frame, canonical=True)


def mac(key: bytes, topic: str, covered: bytes) -> bytes:
    """Compute the code that only this node and the hub can make: docs/protocol.md, "Authenticity"."""
    name = topic.encode()
    context = len(name).to_bytes(2, "big") + name + BOOT.to_bytes(4, "big")
    return hashlib.blake2b(context + covered, digest_size=16, key=key, person=b"becomingone/1").digest()


def seal(key: bytes, topic: str, payload: bytes) -> bytes:
    """Add the MAC as the last entry, key 23, of a map of less than 23 entries."""
    covered = bytes([payload[0] + 1]) + payload[1:] + b"\x17\x50"
    return covered + mac(key, topic, covered)


def seal_json(key: bytes, topic: str, text: str) -> bytes:
    """Add the MAC as the last field of an object."""
    covered = f'{text[:-1]},"mac":"'.encode()
    return covered + mac(key, topic, covered).hex().encode() + b'"}'


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Take part in a cell as a metronome.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--base", default="becomingone/home", help="root and cell")
    parser.add_argument("--node", default="metronome", help="also the user name where there is a password")
    parser.add_argument("--password")
    parser.add_argument("--key", type=bytes.fromhex, help="the node's key, 64 hexadecimal digits")
    parser.add_argument("--seconds", type=float, default=math.inf, help="leave after this time")
    return parser.parse_args()


def main() -> None:
    """Connect, announce, publish until the time is over or somebody presses Ctrl-C, and say goodbye."""
    given = options()
    branch = f"{given.base}/node/{given.node}"
    topic = f"{branch}/phase/{BAND}/{CHANNEL}"
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, given.base.replace("/", ".") + f".node.{given.node}")
    if given.password is not None:
        client.username_pw_set(given.node, given.password)
    client.will_set(f"{branch}/state", "lost", qos=1, retain=True)

    def announce() -> None:
        text = json.dumps(about(given.node))
        described = text if given.key is None else seal_json(given.key, f"{branch}/about", text)
        client.publish(f"{branch}/about", described, qos=1, retain=True)
        client.publish(f"{branch}/state", "ready", qos=1, retain=True)

    def connected(*_: object) -> None:
        client.subscribe([(f"{branch}/state", 1), (f"{branch}/cmd/rebirth", 1)])
        announce()

    def heard(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        # The hub asks who this is; or this node was called lost, by the hub or by the will of an earlier life.
        if message.topic.endswith("/rebirth") or message.payload == b"lost":
            announce()

    client.on_connect = connected
    client.on_message = heard
    client.connect(given.host, given.port, keepalive=5)
    client.loop_start()
    end, seq = time.monotonic() + given.seconds, 0
    try:
        while time.monotonic() < end:
            now_us = time.time_ns() // 1000
            frame = encode_frame(seq, now_us, phase_at(now_us))
            client.publish(topic, frame if given.key is None else seal(given.key, topic, frame))
            seq += 1
            time.sleep(INTERVAL_S)
    except KeyboardInterrupt:
        pass
    client.publish(f"{branch}/state", "disconnected", qos=1, retain=True).wait_for_publish(2)
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main()
