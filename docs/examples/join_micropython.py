"""Take part in a cell with a microcontroller: a metronome, as a node of its own.

MicroPython 1.23 or later, with `mpremote mip install umqtt.simple`. Connect to the network, set the clock with
`ntptime.settime()`, then

    import join_micropython
    join_micropython.main("192.168.1.2", node="beacon")

docs/protocol.md says what each message means. What is published here is a metronome, flagged as simulated: replace
`phase_at` by what you measure, and the flag with it. MicroPython has no BLAKE2, so an authenticated cell, which wants a
MAC, will not take these frames.
"""

import json
import math
import struct
import time

from umqtt.simple import MQTTClient

BAND, MILLIHERTZ, TAU_S = "stride", 780, 1.0  # of the cell's plan: the hub compares the frequency with its own
FREQUENCY_HZ = MILLIHERTZ / 1000
CHANNEL, INTERVAL_MS = "beat", 500
VALID, SIMULATED = 1, 8
SINCE_1970_S = 0 if time.gmtime(0)[0] == 1970 else 946684800  # some boards count from the year 2000


def head(major, number):
    """Write the head of a CBOR item in the shortest form."""
    if number < 24:
        return bytes([major << 5 | number])
    info = 0 if number < 1 << 8 else 1 if number < 1 << 16 else 2 if number < 1 << 32 else 3
    return bytes([major << 5 | 24 + info]) + number.to_bytes(1 << info, "big")


def whole(value):
    """Write an unsigned integer."""
    return head(0, value)


def number(value):
    """Write a number as the shorter of half and single that keeps it; it is rounded to a single before."""
    single = struct.pack(">f", value)
    (rounded,) = struct.unpack(">f", single)
    half = struct.pack(">e", rounded) if abs(rounded) <= 65504 else b""
    if half and struct.unpack(">e", half)[0] == rounded:
        return b"\xf9" + half
    return b"\xfa" + single


def samples(values):
    """Write complex numbers as a typed array: tag 85 on their little-endian float32, re and im in turn."""
    data = b"".join(struct.pack("<ff", value.real, value.imag) for value in values)
    return head(6, 85) + head(2, len(data)) + data


def sample(value):
    """Write one complex number as a typed array."""
    return samples([value])


def encode(frame):
    """Write a phase frame from a dict with the names of the page's table; None is left out."""
    fields = (
        ("boot", whole), ("seq", whole), ("time_us", whole), ("spacing_us", number), ("phasors", samples),
        ("coherence", number), ("n_eff", number), ("p", number), ("omega", number), ("omega_sigma", number),
        ("phase_sigma", number), ("resonance", sample), ("clock_sigma_s", number),
        ("flags", whole),
    )  # fmt: skip
    entries = [(key, frame[name], write) for key, (name, write) in enumerate(fields, 1) if frame[name] is not None]
    return head(5, len(entries)) + b"".join(head(0, key) + write(value) for key, value, write in entries)


def about(node, boot):
    """Say what this node is: docs/protocol.md, "About"."""
    lag_s = math.ceil(2 * math.pi * TAU_S * FREQUENCY_HZ) / FREQUENCY_HZ
    band = {"frequency_hz": FREQUENCY_HZ, "tau_s": TAU_S, "lag_s": lag_s, "coherence_tau_s": 40 * TAU_S}
    channel = {
        "name": CHANNEL, "device": "metronome", "kind": "metronome", "unit": "1", "quantity": "beat",
        "rate_hz": 1000 / INTERVAL_MS, "floor": 0.0, "origin": "simulated", "bands": [BAND],
        "interval_s": INTERVAL_MS / 1000,
    }  # fmt: skip
    return {
        "protocol": 1, "node": node, "hardware": "pi_zero", "tau_s": [TAU_S, TAU_S], "capability": 1.0,
        "interval_s": 1.0, "bands": {BAND: band}, "channels": [channel], "outputs": [],
        "devices": [{"name": "metronome", "kind": "metronome", "available": True}],
        "software": "join_micropython.py 1", "config_sha256": "", "boot": boot, "pid": 0,
    }  # fmt: skip


def phase_at(time_us):
    """Give the phase of the beat, rad; in whole numbers, as a board's float has no digits for the µs of 50 years."""
    return 2 * math.pi * (time_us * MILLIHERTZ % 1000000000) / 1000000000


def frame_at(boot, seq, time_us):
    """Give the frame of one instant."""
    phase = phase_at(time_us)
    return {
        "boot": boot, "seq": seq, "time_us": time_us, "spacing_us": None,
        "phasors": [complex(math.cos(phase), math.sin(phase))], "coherence": 1.0, "n_eff": 100.0, "p": 0.0,
        "omega": 2 * math.pi * FREQUENCY_HZ, "omega_sigma": 0.0, "phase_sigma": 0.0, "resonance": None,
        "clock_sigma_s": 0.05, "flags": VALID | SIMULATED,
    }  # fmt: skip


def main(host, port=1883, base="becomingone/home", node="beacon", frames=None):
    """Connect, announce, publish so many frames or for ever, and say goodbye."""
    boot = int(time.time()) + SINCE_1970_S  # grows with each start, as long as nobody sets the clock back
    branch = f"{base}/node/{node}"
    client = MQTTClient(f"{base.replace('/', '.')}.node.{node}", host, port, keepalive=5)

    def announce():
        client.publish(f"{branch}/about", json.dumps(about(node, boot)).encode(), retain=True)
        client.publish(f"{branch}/state", b"ready", retain=True)

    def heard(topic, payload):
        # The hub asks who this is; or this node was called lost, by the hub or by the will of an earlier life.
        if topic.endswith(b"/rebirth") or payload == b"lost":
            announce()

    client.set_last_will(f"{branch}/state", b"lost", retain=True, qos=1)
    client.set_callback(heard)
    client.connect()
    client.subscribe(f"{branch}/state")
    client.subscribe(f"{branch}/cmd/rebirth")
    announce()
    topic = f"{branch}/phase/{BAND}/{CHANNEL}"
    seq = 0
    while frames is None or seq < frames:
        time_us = time.time_ns() // 1000 + SINCE_1970_S * 1000000
        client.publish(topic, encode(frame_at(boot, seq, time_us)))
        seq += 1
        time.sleep_ms(INTERVAL_MS)
        while client.check_msg() is not None:
            pass
    client.publish(f"{branch}/state", b"disconnected", retain=True)
    client.wait_msg()  # its own goodbye comes back: what is closed with a message unread may be lost on its way out
    client.disconnect()
