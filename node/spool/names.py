"""The names of a spool's files: by the segment's number, and whether it is in use."""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = re.compile(r"(kept|free)-([0-9a-f]{16})\.log")


def segment_name(generation: int) -> str:
    """Name the file of a segment in use."""
    return f"kept-{generation:016x}.log"


def free_name(generation: int) -> str:
    """Name a file that waits to be used again, after the segment that it was last."""
    return f"free-{generation:016x}.log"


def parse_name(name: str) -> tuple[bool, int] | None:
    """Tell whether a file is in use, and its segment's number; None for a file of somebody else."""
    found = _NAME.fullmatch(name)
    return None if found is None else (found[1] == "kept", int(found[2], 16))
