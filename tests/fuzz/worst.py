"""Inputs of the greatest size that is taken, each made to be dear: in memory, in time, or in both."""

from __future__ import annotations

from .items import ARRAY, BYTES, MAP, TAG, TEXT, UNSIGNED, Item, head, write

SIZE = 1 << 20


def filled(start: bytes, part: bytes, end: bytes) -> bytes:
    """As many parts as fit between a start and an end."""
    return start + part * ((SIZE - len(start) - len(end)) // len(part)) + end


def json_inputs() -> dict[str, bytes]:
    """JSON whose values weigh more than their letters."""
    parts = {"lists": b"[],", "objects": b"{},", "integers": b"-9,", "floats": b"1e9,", "texts": b'"a",', "open": b"["}
    found = {name: filled(b"[", part, b"1]") for name, part in parts.items()}
    found["channels"] = filled(b'{"channels":[', b"{},", b"1]}")
    found["bands"] = b"{" + b",".join(b'"%x":{}' % n for n in range(SIZE // 12)) + b"}"
    found["digits"] = filled(b"", b"1", b"")
    found["fraction"] = filled(b"1.", b"1", b"")
    found["wide text"] = filled(b'"', b"a", b'\xf0\x9f\x98\x80"')
    found["escapes"] = filled(b'"', b"\\u00e9", b'"')
    found["white space"] = filled(b"", b" ", b"1")
    found["too large"] = filled(b"[", b"1,", b"1]") + b" " * SIZE
    return found


def cbor_inputs() -> dict[str, bytes]:
    """CBOR at the limits of size, depth and number, and beyond them."""
    one = Item(UNSIGNED, 1)
    nest = one
    for _ in range(400):
        nest = Item(ARRAY, children=[nest])
    pairs = [child for key in range(256) for child in (Item(UNSIGNED, key), Item(ARRAY, children=[one] * 2))]
    deep = Item(ARRAY, children=[Item(ARRAY, children=[Item(ARRAY, children=[one] * 200)] * 4)])
    items = {
        "bytes": Item(BYTES, content=bytes(SIZE - 16)),
        "text": Item(TEXT, content=b"a" * (SIZE - 16)),
        "wide text": Item(TEXT, content=b"a" * (SIZE - 20) + b"\xf0\x9f\x98\x80"),
        "text that is none": Item(TEXT, content=b"a" * (SIZE - 20) + b"\xff"),
        "samples": Item(TAG, 85, children=[Item(BYTES, content=b"\0\0\x80\x3f\0\0\0\0" * 65_536)]),
        "more samples": Item(TAG, 85, children=[Item(BYTES, content=bytes(8 * 65_537))]),
        "huge samples": Item(TAG, 85, children=[Item(BYTES, content=b"\xff\xff\x7f\x7f" * 131_072)]),
        "nested": nest,
        "wide": deep,
    }
    found = {}
    for key in (1, 4, 5, 12, 23, 100):
        for name, item in items.items():
            found[f"{name} at {key}"] = write(Item(MAP, children=[Item(UNSIGNED, key), item]))
    found["pairs"] = write(Item(MAP, children=pairs))
    found["claimed pairs"] = head(MAP, (1 << 64) - 1, None)
    found["claimed bytes"] = b"\xa1\x05" + head(BYTES, (1 << 64) - 1, None)
    found["too large"] = bytes(SIZE + 1)
    return found


def text_inputs() -> dict[str, bytes]:
    """Topics of the length that MQTT can carry, 65,535 bytes."""
    longest = 65_535
    parts = {"levels": b"a/", "short levels": b"/", "two letters": b"ab/", "NULs": b"\0", "no UTF-8": b"\xff"}
    found = {name: (part * longest)[:longest] for name, part in parts.items()}
    found["a pair"] = b"ab/" * (longest // 6) + b"\n" + b"ab/" * (longest // 6)
    start = b"becomingone/home/node/"
    return {**found, **{f"{name} below node": (start + data)[:longest] for name, data in found.items()}}
