"""What a parser may cost: processor time, and memory as Python's allocator and as the kernel see it."""

from __future__ import annotations

import resource
import time
import tracemalloc
from collections.abc import Callable

from .targets import Target, outcome

BASE_BYTES = 1 << 20
PER_BYTE = 10
"""An input may cost `BASE_BYTES` and this many bytes for each of its own."""

DEADLINE_S = 1.0
"""Processor time that an input may take: it hangs where it needs more. Elapsed time would blame a busy machine."""

RESIDENT_SLACK = 1 << 20
"""Bytes by which the kernel's own count may be off: it counts pages, and late."""


def allowed_bytes(data: bytes) -> int:
    """The memory that an input may cost."""
    return BASE_BYTES + PER_BYTE * len(data)


def traced_bytes(call: Callable[[bytes], object], data: bytes) -> int:
    """The greatest amount of memory that Python's allocators had given at once, above that at the start.

    Every allocation is recorded, which makes a call some ten times slower.
    """
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        outcome(call, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before


def resident_bytes() -> int:
    """The most memory that this process ever had, whoever allocated it: libraries in C and Rust as well."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class TooCostlyError(AssertionError):
    """An input that costs more than it may."""


def check_traced(target: Target, data: bytes) -> None:
    """Run the functions that a target is about, and refuse what one allocates beyond `allowed_bytes`.

    Raises
    ------
    TooCostlyError
        With the function, and how much it was.
    """
    for name, call in target.reads.items():
        used = traced_bytes(call, data)
        if used > allowed_bytes(data):
            sizes = f"{used} bytes of memory for {len(data)} bytes of input"
            raise TooCostlyError(f"{name}: {sizes}, {allowed_bytes(data)} are allowed")


def check_cost(check: Callable[[bytes], str], data: bytes) -> str:
    """Run a check as fast as it goes, and refuse what takes too long or makes the process grow too much.

    Raises
    ------
    TooCostlyError
        With what was too much of it.
    """
    resident = resident_bytes()
    start = time.thread_time()
    word = check(data)
    took = time.thread_time() - start
    grown = resident_bytes() - resident
    if took > DEADLINE_S:
        raise TooCostlyError(f"{took:.1f} s of processor time for {len(data)} bytes of input")
    if grown > allowed_bytes(data) + RESIDENT_SLACK:
        raise TooCostlyError(f"the process grew by {grown} bytes for {len(data)} bytes of input")
    return word
