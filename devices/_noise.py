"""Random numbers that belong to a place in a stream: the same for a seed, in whatever order they are asked for."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

CHUNK = 1_024
"""Samples that are made at once."""

_WHITE, _WITHIN, _EDGE = range(3)
_LEVELS = 38


def white(seed: int, chunk: int) -> NDArray[np.float64]:
    """Give `CHUNK` independent standard normal numbers, shape (CHUNK,): those of the samples of one chunk."""
    return _normals(seed, _WHITE, chunk, CHUNK)


def walk(seed: int, chunk: int) -> NDArray[np.float64]:
    """Give one chunk of a random walk with steps of variance 1, shape (CHUNK,), without walking there.

    The walk's values at the chunk's two ends come from Lévy's construction: the ends of 2³⁸ chunks first, then the
    middle given the two ends, and so on down. Between them goes a walk that is bent to meet both.
    """
    start, stop = _edge(seed, chunk), _edge(seed, chunk + 1)
    steps = np.cumsum(_normals(seed, _WITHIN, chunk, CHUNK))
    part = np.arange(CHUNK) / CHUNK
    free = np.concatenate(([0.0], steps[:-1]))
    bent: NDArray[np.float64] = start + free + part * (stop - start - steps[-1])
    return bent


def _edge(seed: int, place: int) -> float:
    low, high = 0, 1 << _LEVELS
    value_low, value_high = 0.0, math.sqrt(CHUNK * high) * _bend(seed, high)
    while low < place < high:
        middle = (low + high) // 2
        spread = math.sqrt(CHUNK * (high - low)) / 2
        value = (value_low + value_high) / 2 + spread * _bend(seed, middle)
        if place < middle:
            high, value_high = middle, value
        else:
            low, value_low = middle, value
    return value_low if place == low else value_high


@lru_cache(maxsize=512)  # neighbouring chunks share nearly all of theirs
def _bend(seed: int, place: int) -> float:
    return float(_normals(seed, _EDGE, place, 2)[0])


def _normals(seed: int, stream: int, place: int, count: int) -> NDArray[np.float64]:
    """Give an even number of them: Box and Muller's method on a generator whose raw output numpy guarantees."""
    raw = np.random.Philox(key=[seed, stream], counter=[0, place, 0, 0]).random_raw(count)
    uniform = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    radius = np.sqrt(-2.0 * np.log(uniform[::2]))
    angle = 2.0 * np.pi * uniform[1::2]
    return np.concatenate((radius * np.cos(angle), radius * np.sin(angle)))
