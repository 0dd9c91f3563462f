"""Changes that keep an input's structure, so that most of what is tried gets past the first check."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from random import Random
from typing import Any

from .items import ARRAY, BYTES, MAP, NEGATIVE, SIMPLE, TAG, TEXT, UNSIGNED, Item, number, read, write

INTEGERS = [0, 1, 2, 22, 23, 24, 85, 255, 256, 65_535, 65_536, (1 << 32) - 1, 1 << 32, (1 << 53) + 1]
INTEGERS += [(1 << 63) - 1, 1 << 63, (1 << 64) - 1]
FLOATS = [0.0, -0.0, 0.5, 1.0, -1.0, 1.0 + 1e-7, 1.00001, 2.0, 20.0, 360.0, 65_504.0, 65_520.0, 1e9, 1.1e9, 1e15]
FLOATS += [1e-3, 1e-45, 5e-324, 3.4028234663852886e38, 3.4028235677973366e38, 1e300, math.inf, -math.inf, math.nan]
TAGS = [0, 2, 4, 28, 29, 84, 85, 86, 256, 55_799]
SAMPLES = [b"\0\0\x80\x3f\0\0\0\0", b"\0" * 8, b"\0\0\xc0\x7f" * 2, b"\0\0\x80\x7f\0\0\0\0", b"\x54\0\x80\x3f\0\0\0\0"]
SAMPLES += [b"\xf3\x04\x35\x3f" * 2, b"\xff\xff\x7f\x7f" * 2, b"\0\0\0\0\0\0\x80\xbf"]
WORDS = ["", "hue", "brightness", "velocity", "volume", "x" * 64, "\0", "é", "\U0001f600", "live", "motor", "-", "0"]


def mutate_cbor(data: bytes, rng: Random) -> bytes:
    """Change one to four things in a CBOR item.

    Raises
    ------
    ValueError
        Where the data is no item.
    """
    root, rest = read(data)
    if rng.random() < 0.5:  # nothing but values
        for _ in range(rng.randint(1, 3)):
            _tweak(root, rng)
        return write(root) + rest
    for _ in range(rng.choice((1, 1, 2, 3))):
        rng.choice(_CHANGES)(root, rng)
    changed = write(root) + rest
    if rng.random() < 0.05:
        changed = changed[: rng.randint(0, len(changed))]
    return changed + rng.randbytes(1) if rng.random() < 0.02 else changed


def any_item(rng: Random) -> Item:
    """Invent an item."""
    return rng.choice(
        (
            Item(UNSIGNED, rng.choice(INTEGERS), width=rng.choice((None, None, 8))),
            Item(NEGATIVE, rng.choice(INTEGERS)),
            number(rng.choice(FLOATS), rng.choice((2, 4, 8))),
            number(rng.random(), 8),
            Item(TAG, rng.choice(TAGS), children=[_samples(rng)]),
            Item(TEXT, content=rng.choice(WORDS).encode()),
            Item(SIMPLE, rng.choice((20, 21, 22, 23, 0, 255))),
            Item(rng.choice((ARRAY, MAP)), children=[Item(UNSIGNED, n) for n in range(2 * rng.randrange(3))]),
        )
    )


def _samples(rng: Random) -> Item:
    return Item(BYTES, content=b"".join(rng.choice(SAMPLES) for _ in range(rng.choice((0, 1, 1, 2, 3, 40)))))


def _one(root: Item, rng: Random, majors: tuple[int, ...]) -> Item | None:
    found = [item for item in root.walk() if item.major in majors]
    return rng.choice(found) if found else None


def _change_value(root: Item, rng: Random) -> None:
    item = rng.choice(root.walk())
    if item.major in (BYTES, TEXT):
        content = bytearray(item.content)
        if content and rng.random() < 0.5:
            content[rng.randrange(len(content))] = rng.randrange(256)
        else:
            content = bytearray(_samples(rng).content if item.major == BYTES else rng.choice(WORDS).encode())
        item.content = bytes(content)
    elif item.major == SIMPLE:
        _become(item, number(rng.choice(FLOATS), rng.choice((2, 4, 8))))
    else:
        item.argument = rng.choice(TAGS if item.major == TAG else INTEGERS)


def _tweak(root: Item, rng: Random) -> None:
    """Change a value to one that might be taken."""
    values = root.children[1::2] if root.major == MAP else [root]
    item = rng.choice([below for value in values for below in value.walk()] or [root])
    if item.major == UNSIGNED:
        item.argument = rng.choice((rng.choice(INTEGERS), rng.randrange(1 << rng.randrange(1, 64)), item.argument + 1))
    elif item.major == SIMPLE and item.width in (2, 4, 8):
        value = rng.choice((rng.random(), rng.choice(FLOATS), rng.expovariate(0.1), rng.gauss(0.0, 100.0)))
        _become(item, number(value, rng.choice((2, 4, 8))))
    elif item.major == BYTES:
        item.content = _samples(rng).content
    elif item.major == MAP and len(item.children) > 2 and item is not root:
        item.children = item.children[: 2 * rng.randint(1, len(item.children) // 2)]


def _replace(root: Item, rng: Random) -> None:
    items = root.walk()
    _become(rng.choice(items[1:] or items), rng.choice(items).copy() if rng.random() < 0.3 else any_item(rng))


def _become(item: Item, other: Item) -> None:
    for name in Item.__slots__:
        setattr(item, name, getattr(other, name))


def _entries(item: Item) -> list[list[Item]]:
    step = 2 if item.major == MAP else 1
    return [item.children[at : at + step] for at in range(0, len(item.children), step)]


def _change_entries(root: Item, rng: Random) -> None:
    item = _one(root, rng, (MAP, ARRAY))
    if item is None:
        return
    entries = _entries(item)
    action = rng.randrange(5)
    if action == 0 or not entries:
        key = [Item(UNSIGNED, rng.randrange(30))] if item.major == MAP else []
        entries.insert(rng.randint(0, len(entries)), [*key, any_item(rng)])
    elif action == 1:
        del entries[rng.randrange(len(entries))]
    elif action == 2:
        entries.append([child.copy() for child in rng.choice(entries)])
    elif action == 3:
        rng.shuffle(entries)
    else:
        times = rng.choice((1, 2, 8)) if rng.random() < 0.95 else 250
        entries += [[child.copy() for child in rng.choice(entries)] for _ in range(times)]
    item.children = [child for entry in entries for child in entry]


def _nest(root: Item, rng: Random) -> None:
    item = rng.choice(root.walk())
    for _ in range(rng.choice((1, 2, 7))):
        inner = item.copy()
        major = rng.choice((ARRAY, TAG, MAP))
        _become(item, Item(major, 85, children=[Item(UNSIGNED, 1), inner] if major == MAP else [inner]))


def _misspell(root: Item, rng: Random) -> None:
    item = rng.choice(root.walk())
    action = rng.randrange(4)
    if action == 0:
        item.width = rng.choice((1, 2, 4, 8))
    elif action == 1:
        item.lie = rng.choice((-8, -1, 1, 8, 1 << 16, 1 << 62))
    elif action == 2:
        item.indefinite = True
    else:
        item.major = rng.randrange(8)


_CHANGES: list[Callable[[Item, Random], None]] = [
    _change_value, _change_value, _change_value, _replace, _change_entries, _change_entries, _nest, _misspell,
]  # fmt: skip


def mutate_json(data: bytes, rng: Random) -> bytes:
    """Change one to four things in a JSON text.

    Raises
    ------
    ValueError
        Where the data is no JSON.
    """
    root = [json.loads(data)]
    gentle = rng.random() < 0.6
    for _ in range(rng.choice((1, 1, 2, 3))):
        holder, key = rng.choice(_places(root))
        action = rng.randrange(5)
        if gentle:
            holder[key] = _like(holder[key], rng)
        elif action == 0 and holder is not root:
            del holder[key]
        elif action == 1 and isinstance(holder, list) and holder is not root:
            holder.extend([holder[key]] * rng.choice((1, 3, 300)))
        elif action == 2 and isinstance(holder, dict):
            holder[rng.choice(WORDS)] = holder[key]
        elif action == 3:
            holder[key] = [holder[key]]
        else:
            holder[key] = _any_value(rng)
        if not _places(root):
            break
    return json.dumps(root[0], ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def _places(root: list[Any]) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting: list[Any] = [root]
    while waiting and len(found) < 2000:
        holder = waiting.pop()
        for key in holder if isinstance(holder, dict) else range(len(holder)):
            found.append((holder, key))
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])
    return found


def _like(value: Any, rng: Random) -> Any:
    """A value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return rng.choice((rng.choice(INTEGERS), value + 1, 10**12, 10**12 + 1))
    if isinstance(value, float):
        return rng.choice((rng.choice(FLOATS), rng.expovariate(0.1), 1e12, 1.0000001e12))
    if isinstance(value, str):
        return rng.choice((rng.choice(WORDS), value + "-", "x" * 511 + "\U0001f600é", "\udc00"))
    if isinstance(value, list):
        return value * rng.choice((0, 2, 3))
    return value


def _any_value(rng: Random) -> Any:
    values = [rng.choice(INTEGERS), -rng.choice(INTEGERS), rng.choice(FLOATS), rng.choice(WORDS), None, True, [], {}]
    return rng.choice([*values, "x" * 600, [rng.choice(FLOATS)] * 3, {rng.choice(WORDS): 1}, 10**30, "\ud800"])
