"""Print the phases of a cell.

    python3 phases.py [HOST [PORT [ROOT/CELL]]]

It needs `pip install paho-mqtt cbor2` and nothing of ours. It trusts its broker: a program that cannot should first
check the bytes by the rules of docs/protocol.md, "Refusals".
"""

import cmath
import struct
import sys
from typing import Any

import cbor2
import paho.mqtt.client as mqtt

NUMBERS = {
    1: "boot",
    2: "seq",
    3: "time_us",
    4: "spacing_us",
    6: "coherence",
    7: "n_eff",
    8: "p",
    9: "omega",
    10: "omega_sigma",
    11: "phase_sigma",
    13: "clock_sigma_s",
    14: "flags",
}
VALID = 1


def samples(array: cbor2.CBORTag) -> list[complex]:
    """Read a typed array: pairs (re, im) of little-endian float32."""
    numbers = struct.unpack(f"<{len(array.value) // 4}f", array.value)
    return [complex(re, im) for re, im in zip(numbers[::2], numbers[1::2], strict=True)]


def decode(payload: bytes) -> dict[str, Any]:
    """Read a phase frame: a dict with the names of the page's table, None for what is absent."""
    keys = cbor2.loads(payload)
    frame = {name: keys.get(key) for key, name in NUMBERS.items()}
    frame["phasors"] = samples(keys[5])
    frame["resonance"] = samples(keys[12])[0] if 12 in keys else None
    return frame


def describe(topic: str, frame: dict[str, Any]) -> str:
    """Put the last sample of a frame in one line."""
    node, _, band, channel = topic.split("/")[-4:]
    phasors, spacing = frame["phasors"], frame["spacing_us"] or 0.0
    seconds = (frame["time_us"] + (len(phasors) - 1) * spacing) / 1e6
    phase = f"{cmath.phase(phasors[-1]):+.3f} rad" if frame["flags"] & VALID else "no phase"
    return f"{seconds:.3f} {node} {channel} in {band}: {phase}, coherence {frame['coherence']:.2f}, p {frame['p']:.2g}"


def main(host: str = "127.0.0.1", port: str = "1883", base: str = "becomingone/home") -> None:
    """Subscribe to every channel of every node, and print until somebody presses Ctrl-C."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_connect = lambda *_: client.subscribe(f"{base}/node/+/phase/+/+")
    client.on_message = lambda _client, _data, message: print(
        describe(message.topic, decode(message.payload)), flush=True
    )
    client.connect(host, int(port))
    client.loop_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
