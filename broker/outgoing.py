"""PUBLISH packets of QoS 0 as bytes: what a node sends a hundred times a second."""

from __future__ import annotations

from typing import Final

_PUBLISH: Final = 0x30


def publish_once(topic: str, payload: bytes, properties: bytes, *, retain: bool) -> bytes:
    r"""Write a PUBLISH of QoS 0.

    Parameters
    ----------
    topic : str
        UTF-8 of at most 65,535 bytes.
    payload : bytes
        With the rest, at most 268,435,455 bytes (MQTT 5, 1.5.5).
    properties : bytes
        On MQTT 5 the properties with their length, at least ``b"\0"``; on 3.1.1 nothing.
    retain : bool
        Whether the broker is to keep it.

    Returns
    -------
    bytes
        The packet (MQTT 5, 3.3; MQTT 3.1.1, 3.3).
    """
    name = topic.encode()
    left = 2 + len(name) + len(properties) + len(payload)
    head = bytearray((_PUBLISH | retain,))
    while left > 0x7F:
        head.append(left & 0x7F | 0x80)
        left >>= 7
    head.append(left)
    return b"".join((head, len(name).to_bytes(2, "big"), name, properties, payload))
