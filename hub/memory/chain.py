"""The hash chain: what each record's hash covers.

All hashes are BLAKE2b with 32 bytes [1]_, personalised so that a hash of one thing is never one of another. Numbers are
8 bytes, big endian, two's complement; texts are UTF-8, bytes and texts have their length before them in 4 bytes.

======== ============== ====================================================================================
of       personalised   covers
======== ============== ====================================================================================
root     ``b1mem root`` id of the memory (16 bytes), when it was made (µs)
genesis  ``b1mem kind`` hash of the root, kind: what stands before the first record of a kind
frame    ``b1mem frame`` hash of the frame before, number, seq, time (µs), node, band, channel, boot, frame
entry    ``b1mem entry`` hash of the entry of its kind before, number, row, time (µs), kind, body
stream   ``b1mem stream`` row, node, band, channel, boot, mark, and one byte: 1 where there is a mark
marks    ``b1mem marks`` the hashes of all streams, in the order of their rows
======== ============== ====================================================================================

References
----------
.. [1] RFC 7693, "The BLAKE2 Cryptographic Hash and Message Authentication Code (MAC)".
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from typing import Final

from becomingone.hub.memory.protocol import StreamKey

HASH_BYTES: Final = 32
ID_BYTES: Final = 16

_FRAME_HEAD: Final = struct.Struct(">qqq").pack
_ENTRY_HEAD: Final = struct.Struct(">qqq").pack
_LENGTH: Final = struct.Struct(">I").pack
_NUMBER: Final = struct.Struct(">q").pack


def _blank(person: bytes) -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=HASH_BYTES, person=person)


_ROOT: Final = _blank(b"b1mem root").copy
_KIND: Final = _blank(b"b1mem kind").copy
_FRAME: Final = _blank(b"b1mem frame").copy
_ENTRY: Final = _blank(b"b1mem entry").copy
_STREAM: Final = _blank(b"b1mem stream").copy
_MARKS: Final = _blank(b"b1mem marks").copy
_STATEMENT: Final = _blank(b"b1mem statement").copy


def _long(content: bytes) -> bytes:
    return _LENGTH(len(content)) + content


def root_hash(identity: bytes, made_us: int) -> bytes:
    """Hash what a memory is."""
    digest = _ROOT()
    digest.update(_long(identity) + _NUMBER(made_us))
    return digest.digest()


def genesis(root: bytes, kind: bytes) -> bytes:
    """Give what stands before the first record of a kind."""
    digest = _KIND()
    digest.update(root + _long(kind))
    return digest.digest()


def stream_name(stream: StreamKey) -> bytes:
    """Give a stream as it goes into hashes."""
    node, band, channel, boot = stream
    return _long(node.encode()) + _long(band.encode()) + _long(channel.encode()) + _NUMBER(boot)


def frame_hash(previous: bytes, number: int, seq: int, time_us: int, name: bytes, frame: bytes) -> bytes:
    """Hash a kept frame; `name` is its stream's."""
    digest = _FRAME()
    digest.update(previous + _FRAME_HEAD(number, seq, time_us) + name + _LENGTH(len(frame)) + frame)
    return digest.digest()


def entry_hash(previous: bytes, number: int, row: int, time_us: int, kind: bytes, body: bytes) -> bytes:
    """Hash an entry."""
    digest = _ENTRY()
    digest.update(previous + _ENTRY_HEAD(number, row, time_us) + _LENGTH(len(kind)) + kind + _LENGTH(len(body)) + body)
    return digest.digest()


def stream_hash(row: int, name: bytes, mark: int | None) -> bytes:
    """Hash a stream and up to where it has been committed."""
    digest = _STREAM()
    digest.update(_NUMBER(row) + name + _NUMBER(mark or 0) + bytes((mark is not None,)))
    return digest.digest()


def marks_hash(streams: Iterable[bytes]) -> bytes:
    """Hash the hashes of all streams."""
    digest = _MARKS()
    digest.update(b"".join(streams))
    return digest.digest()


def statement_hash(statement: bytes) -> bytes:
    """Hash what a checkpoint states."""
    digest = _STATEMENT()
    digest.update(statement)
    return digest.digest()
