"""Read the phases of a cell on a microcontroller.

MicroPython 1.23 or later, with `mpremote mip install umqtt.simple`. Connect to the network, then

    import phases_micropython
    phases_micropython.main("192.168.1.2")

The reader refuses what docs/protocol.md, "Refusals", tells to refuse, so no message can do it harm. A frame of many
samples needs memory for them: 16 bytes each.
"""

import math
import struct

from umqtt.simple import MQTTClient

VALID = 1
MOST = 3.4028234663852886e38
ARRAY = object()  # stands in for the range of a typed array
FIELDS = {  # key: name, least, most, as in the page's table
    1: ("boot", 0, 0xFFFFFFFF), 2: ("seq", 0, 0xFFFFFFFFFFFFFFFF), 3: ("time_us", 0, 0x7FFFFFFFFFFFFFFF),
    4: ("spacing_us", 1e-3, 1e15), 5: ("phasors", ARRAY, 65536), 6: ("coherence", 0.0, 1.0), 7: ("n_eff", 1.0, MOST),
    8: ("p", 0.0, 1.0), 9: ("omega", -1e9, 1e9), 10: ("omega_sigma", 0.0, MOST), 11: ("phase_sigma", 0.0, MOST),
    12: ("resonance", ARRAY, 1), 13: ("clock_sigma_s", 0.0, MOST), 14: ("flags", 0, 0xFFFFFFFF),
}  # fmt: skip


def need(condition, reason):
    """Refuse the payload."""
    if not condition:
        raise ValueError(reason)


class Reader:
    """Reads CBOR as the page's "Refusals" have it: what is not allowed raises ValueError."""

    def __init__(self, data):
        self.data, self.at, self.items = data, 0, 0

    def take(self, count):
        """Give the next bytes."""
        need(self.at + count <= len(self.data), "truncated")
        self.at += count
        return self.data[self.at - count : self.at]

    def item(self, depth=1):
        """Give the next item."""
        self.items += 1
        need(depth <= 8, "depth")
        need(self.items <= 1024, "too_long")
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        need(info != 31, "indefinite")
        need(info < 28, "malformed")
        raw = self.take(1 << info - 24) if info > 23 else bytes([info])
        number = int.from_bytes(raw, "big")
        if major == 7:
            if info in (20, 21, 22):
                return (False, True, None)[info - 20]
            need(info > 24, "type")
            return struct.unpack((">e", ">f", ">d")[info - 25], raw)[0]
        if major == 6:
            need(number == 85 and self.data[self.at : self.at + 1] and self.data[self.at] >> 5 == 2, "tag")
            return (number, self.item(depth + 1))  # a tuple, which nothing else is
        need(major < 4 or number <= 256, "too_long")
        if major == 5:
            return self.map(number, depth + 1)
        if major == 4:
            return [self.item(depth + 1) for _ in range(number)]
        if major == 3:
            return str(self.take(number), "utf-8")  # raises UnicodeError, a ValueError, for most that is none
        return (number, -1 - number, self.take(number) if major == 2 else None)[major]

    def map(self, count, depth):
        """Give a map of so many entries."""
        found = {}
        for _ in range(count):
            key = self.item(depth)
            need((isinstance(key, int) and not isinstance(key, bool) and key >= 0) or isinstance(key, str), "type")
            need(key not in found, "duplicate_key")
            found[key] = self.item(depth)
        return found


def checked(value, least, most, whole):
    """Give a field's value if it is right."""
    if least is ARRAY:
        need(isinstance(value, tuple), "type")
        count = len(value[1]) // 8
        need(0 < count <= most and len(value[1]) == 8 * count, "range")
        value = [complex(*struct.unpack_from("<ff", value[1], 8 * sample)) for sample in range(count)]
        need(all(abs(sample) <= 1.00001 for sample in value), "range")  # which no NaN is
        return value
    need(not isinstance(value, bool) and isinstance(value, int if whole else (int, float)), "type")
    value = value if whole else float(value)
    need(least <= value <= most, "range")  # which neither NaN nor infinity are
    return value


def decode(payload):
    """Read a phase frame: a dict with the names of the table, None for what is absent."""
    need(len(payload) <= 1 << 20, "oversize")
    reader = Reader(payload)
    need(payload and payload[0] >> 5 == 5, "type")
    fields = reader.item()
    need(reader.at == len(payload), "trailing")
    need(all(isinstance(key, int) for key in fields), "type")
    frame = {}
    for key, (name, least, most) in FIELDS.items():
        need(key in fields or key in (4, 12), "missing")
        frame[name] = checked(fields[key], least, most, key in (1, 2, 3, 14)) if key in fields else None
    need((len(frame["phasors"]) == 1) == (frame["spacing_us"] is None), "missing")
    frame["resonance"] = frame["resonance"] and frame["resonance"][0]
    return frame


def describe(topic, frame):
    """Put the last sample of a frame in one line."""
    node, _, band, channel = topic.split("/")[-4:]
    last = frame["phasors"][-1]
    phase = f"{math.atan2(last.imag, last.real):+.3f} rad" if frame["flags"] & VALID else "no phase"
    return f"{node} {channel} in {band}: {phase}, coherence {frame['coherence']:.2f}"


def heard(topic, payload):
    """Show a message."""
    try:
        print(describe(topic.decode(), decode(payload)))
    except ValueError as error:
        print(topic, "refused:", error)


def main(host, port=1883, base="becomingone/home"):
    """Subscribe to every channel of every node, and print."""
    client = MQTTClient("reader", host, port)
    client.set_callback(heard)
    client.connect()
    client.subscribe(f"{base}/node/+/phase/+/+")
    while True:
        client.wait_msg()
