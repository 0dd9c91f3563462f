"""Message authenticity between a node and the hub: a keyed BLAKE2b over topic, epoch and payload.

The authentication code (MAC) travels inside the message, so that whoever holds no key reads it as before: the last
18 bytes of a sealed CBOR map are its entry 23, a byte string of 16 bytes; a sealed JSON object ends with a field
``mac`` of 32 hexadecimal digits. It covers

    length of the topic (2 bytes, big endian) ‖ topic (UTF-8) ‖ epoch (4 bytes, big endian) ‖ payload up to the code

so a message is worth nothing under another topic, in another life of its node, or with any bit changed.

References
----------
.. [1] RFC 7693, "The BLAKE2 Cryptographic Hash and Message Authentication Code", 2.5 (keyed) and 2.8 (personal).
.. [2] RFC 8949, "CBOR", 4.2.1 (core deterministic encoding).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

from becomingone.errors import FrameError
from becomingone.wire.cbor import MAX_PAYLOAD
from becomingone.wire.fields import UINT32

KEY_BYTES: Final = 32
"""Bytes of a node's key and of the cell's secret."""

MAC_BYTES: Final = 16

SEAL_KEY: Final = 23
"""The key of a map's entry that holds its MAC or its signature: the largest of one byte, so always the last."""

PERSON: Final = b"becomingone/1"
"""BLAKE2's personalisation of a message's MAC."""

KEY_PERSON: Final = b"becomingone/key"
"""BLAKE2's personalisation of the derivation of a node's key."""

ENTRY: Final = bytes((SEAL_KEY, 0x40 | MAC_BYTES))
"""What stands before the MAC at the end of a sealed map: key 23, byte string of 16."""

_FIRST_ENTRY: Final = re.compile(rb"(?:[\xa1-\xb7]|\xb8.)\x01(?:([\x00-\x17])|\x18(.)|\x19(..)|\x1a(....))", re.DOTALL)
_FIELD: Final = b'"mac":"'
_FIELD_END: Final = b'"}'
_SEALED_JSON: Final = re.compile(rb'[{,]"mac":"([0-9a-f]{32})"\}\Z')
_JSON_TAIL: Final = 1 + len(_FIELD) + 2 * MAC_BYTES + len(_FIELD_END)


def node_key(secret: bytes, root: str, cell: str, node: str) -> bytes:
    """Derive the key that one node and the hub share from the secret that only the hub has.

    Parameters
    ----------
    secret : bytes
        The cell's secret, 32 random bytes.
    root, cell, node : str
        Names as in the topics: a key holds for one node of one cell.

    Returns
    -------
    bytes
        32 bytes, from which neither the secret nor another node's key can be found.
    """
    name = "\0".join((root, cell, node)).encode()  # no name holds a NUL
    return hashlib.blake2b(name, digest_size=KEY_BYTES, key=secret, person=KEY_PERSON).digest()


def seal(key: bytes, topic: str, payload: bytes, epoch: int) -> bytes:
    """Add the MAC to a CBOR map.

    Parameters
    ----------
    key : bytes
        The key that this node and the hub share, see `node_key`.
    topic : str
        Where it will be published.
    payload : bytes
        One map in deterministic form, without the key 23 or a greater one.
    epoch : int
        The boot id of the node, 0..2³²−1: its own where it sends, the receiver's where the hub sends.

    Returns
    -------
    bytes
        The map with one more entry, 18 bytes longer (19 where it had 23 entries).

    Raises
    ------
    FrameError
        ``type``: it is no map of at most 254 entries.
    """
    covered = with_entry(payload) + ENTRY
    return covered + _mac(key, topic, epoch, covered)


def open_sealed(key: bytes, topic: str, payload: bytes, epoch: int) -> bytes:
    """Check the MAC of a CBOR map before anything else is read of it.

    Parameters
    ----------
    key, topic, epoch : bytes, str, int
        As in `seal`.
    payload : bytes
        What came, from anybody.

    Returns
    -------
    bytes
        The payload as it came, known to be from a holder of the key; decoders skip its entry 23.

    Raises
    ------
    FrameError
        ``oversize``, ``unsealed`` (there is no MAC where it belongs) or ``forged`` (it is not the right one).
    """
    _check_size(payload)
    if payload[-MAC_BYTES - len(ENTRY) : -MAC_BYTES] != ENTRY:
        raise FrameError("unsealed", f"a sealed map ends with key {SEAL_KEY} and {MAC_BYTES} bytes")
    _check_mac(key, topic, epoch, payload[:-MAC_BYTES], payload[-MAC_BYTES:])
    return payload


def seal_json(key: bytes, topic: str, payload: bytes, epoch: int) -> bytes:
    """Add the MAC to a JSON object as its last field ``mac``; parameters as in `seal`.

    Raises
    ------
    FrameError
        ``type``: the payload is no object without white space at its end.
    """
    if not (payload.startswith(b"{") and payload.endswith(b"}")):
        raise FrameError("type", "only one JSON object can be sealed")
    body = payload[:-1]
    covered = body + (_FIELD if body == b"{" else b"," + _FIELD)
    return covered + _mac(key, topic, epoch, covered).hex().encode("ascii") + _FIELD_END


def open_json(key: bytes, topic: str, payload: bytes, epoch: int) -> bytes:
    """Check the MAC of a JSON object; parameters, result and errors as in `open_sealed`."""
    _check_size(payload)
    found = _SEALED_JSON.search(payload, max(0, len(payload) - _JSON_TAIL))
    if found is None:
        raise FrameError("unsealed", f'a sealed object ends with "mac" and {2 * MAC_BYTES} hexadecimal digits')
    _check_mac(key, topic, epoch, payload[: found.start(1)], bytes.fromhex(found[1].decode("ascii")))
    return payload


def claimed_boot(payload: bytes) -> int:
    """Read the boot id that a CBOR map claims as its first entry, key 1: which epoch to check its MAC with.

    Raises
    ------
    FrameError
        ``unsealed``: it does not begin as a node's sealed message must.
    """
    found = _FIRST_ENTRY.match(payload)
    if found is None or found.lastindex is None:
        raise FrameError("unsealed", "a node's sealed message begins with key 1, its boot id of 32 bits")
    return int.from_bytes(found[found.lastindex], "big")


def with_entry(payload: bytes) -> bytes:
    """Give a deterministic CBOR map the head of one that has an entry more.

    Raises
    ------
    FrameError
        ``type``: it is no map of at most 254 entries.
    """
    first = payload[0] if payload else 0
    if 0xA0 <= first < 0xB7:  # up to 22 entries stand in the first byte, and 23 will
        return bytes((first + 1,)) + payload[1:]
    if first == 0xB7:
        return b"\xb8\x18" + payload[1:]
    if first == 0xB8 and len(payload) > 1 and 24 <= payload[1] < 0xFF:
        return bytes((0xB8, payload[1] + 1)) + payload[2:]
    raise FrameError("type", "only one deterministic CBOR map of at most 254 entries can be sealed")


def mac_state(key: bytes, topic: str, epoch: int) -> hashlib.blake2b:
    """Begin the MAC of a message; copied and updated with what it covers of the payload, its digest is the MAC.

    For whoever checks many messages of one topic and epoch. Parameters as in `seal`.
    """
    return hashlib.blake2b(_context(topic, epoch), digest_size=MAC_BYTES, key=key, person=PERSON)


def _context(topic: str, epoch: int) -> bytes:
    if not 0 <= epoch <= UINT32:
        msg = f"an epoch is 0..{UINT32}, not {epoch}"
        raise ValueError(msg)
    name = topic.encode()
    return len(name).to_bytes(2, "big") + name + epoch.to_bytes(4, "big")


def _mac(key: bytes, topic: str, epoch: int, covered: bytes) -> bytes:
    return hashlib.blake2b(_context(topic, epoch) + covered, digest_size=MAC_BYTES, key=key, person=PERSON).digest()


def _check_size(payload: bytes) -> None:
    if len(payload) > MAX_PAYLOAD:
        raise FrameError("oversize", f"{len(payload)} bytes, at most {MAX_PAYLOAD} are taken")


def _check_mac(key: bytes, topic: str, epoch: int, covered: bytes, mac: bytes) -> None:
    if not hmac.compare_digest(_mac(key, topic, epoch, covered), mac):
        raise FrameError("forged", "the MAC is not that of this topic, life of the node and payload")
