"""CBOR as a tree that can be wrong: read leniently, changed, and written with any fault that bytes can have."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = range(8)
MOST_ITEMS = 4096
DEEPEST = 32


@dataclass(slots=True)
class Item:
    """One item.

    ``width`` is the bytes of its argument (0: within the first byte), or None for the shortest; ``lie`` is added to
    the length that it claims; ``indefinite`` writes the form that a break ends.
    """

    major: int
    argument: int = 0
    content: bytes = b""
    children: list[Item] = field(default_factory=list)
    width: int | None = None
    lie: int = 0
    indefinite: bool = False

    def walk(self) -> list[Item]:
        """This item and all below it."""
        found = [self]
        for item in found:
            found += item.children
        return found

    def copy(self) -> Item:
        """A copy, whose changes do not show here."""
        children = [child.copy() for child in self.children]
        return Item(self.major, self.argument, self.content, children, self.width, self.lie, self.indefinite)


def read(data: bytes) -> tuple[Item, bytes]:
    """Read one item, and give what follows it.

    Raises
    ------
    ValueError
        Where that is not possible.
    """
    budget = [MOST_ITEMS]
    found, end = _read(data, 0, 0, budget)
    return found, data[end:]


def _read(data: bytes, at: int, depth: int, budget: list[int]) -> tuple[Item, int]:
    budget[0] -= 1
    if at >= len(data) or depth > DEEPEST or budget[0] < 0:
        raise ValueError("no item")
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if info < 24:
        width, argument = 0, info
    elif info < 28:
        width = 1 << (info - 24)
        if at + width > len(data):
            raise ValueError("truncated")
        argument = int.from_bytes(data[at : at + width], "big")
        at += width
    else:
        raise ValueError("indefinite or reserved")
    if major < BYTES or major == SIMPLE:
        return Item(major, argument, width=width), at
    if major < ARRAY:
        content = data[at : at + argument]
        return Item(major, argument, content, width=width), at + len(content)
    count = 1 if major == TAG else argument if major == ARRAY else 2 * argument
    children: list[Item] = []
    for _ in range(min(count, MOST_ITEMS + 1)):
        child, at = _read(data, at, depth + 1, budget)
        children.append(child)
    return Item(major, argument, children=children, width=width), at


def write(item: Item) -> bytes:
    """Write an item with all its faults."""
    major = item.major
    if major < BYTES or major >= TAG:
        argument = item.argument
    elif major < ARRAY:
        argument = len(item.content)
    else:
        argument = len(item.children) >> (major == MAP)
    if not item.children and not item.content and not item.indefinite and not item.lie:
        return head(major, argument, item.width)
    inner = item.content + b"".join([write(child) for child in item.children])
    if item.indefinite and BYTES <= major < TAG:
        if major < ARRAY:
            inner = head(major, len(inner), None) + inner
        return bytes((major << 5 | 31,)) + inner + b"\xff"
    return head(major, max(0, argument + item.lie), item.width) + inner


def head(major: int, argument: int, width: int | None) -> bytes:
    """Write a head with an argument of so many bytes, or more where it needs more."""
    if not width and 0 <= argument < 24:
        return bytes((major << 5 | argument,))
    argument &= (1 << 64) - 1
    for info, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if size >= (width or 0) and argument < 1 << (8 * size):
            return bytes((major << 5 | info,)) + argument.to_bytes(size, "big")
    raise AssertionError(argument)


def number(value: float, width: int) -> Item:
    """A float of 2, 4 or 8 bytes; an infinity where it is too large for them."""
    shape = {2: ">e", 4: ">f", 8: ">d"}[width]
    try:
        packed = struct.pack(shape, value)
    except OverflowError:
        packed = struct.pack(shape, float("inf"))
    return Item(SIMPLE, int.from_bytes(packed, "big"), width=width)
