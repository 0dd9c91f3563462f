"""What fuzzing has found worth keeping: a file per target, an input per line in hexadecimal digits."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

import becomingone.wire
from becomingone.errors import FrameError, TopicError

from .targets import TAKEN, Target

FOLDER = Path(__file__).parent / "corpus"
SAID = 60
"""Letters of a refusal by which refusals are told apart."""

WIRE = str(Path(becomingone.wire.__file__).parent)


def load(name: str) -> list[bytes]:
    """The kept inputs of a target, the shortest first."""
    file = FOLDER / f"{name}.hex"
    return [bytes.fromhex(line) for line in file.read_text().splitlines()] if file.exists() else []


def save(name: str, inputs: Iterable[bytes]) -> None:
    """Keep these inputs of a target and no others."""
    lines = [data.hex() for data in sorted(set(inputs), key=lambda data: (len(data), data))]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.hex").write_text("".join(f"{line}\n" for line in lines))


def unpack(inputs: Iterable[bytes], folder: Path) -> None:
    """Write inputs as libFuzzer takes them: a file each, named by its digest."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)


def distil(target: Target, inputs: Iterable[bytes]) -> list[bytes]:
    """Choose the fewest short inputs that go every way through `becomingone.wire` that any of them goes.

    A way is a pair of lines one after the other, or what a refusal says but for the numbers in it. The coverage of
    libFuzzer counts also how often each way is gone, and would keep ten times as many.
    """
    kept: list[bytes] = []
    known: set[object] = set()
    for data in sorted(set(inputs), key=lambda data: (len(data), data)):
        ways = _ways(target, data)
        if not ways <= known:
            known |= ways
            kept.append(data)
    return kept


def _ways(target: Target, data: bytes) -> set[object]:
    ways: set[object] = set()
    last: tuple[str, int] = ("", 0)

    def line(frame: FrameType, event: str, _value: Any) -> Any:
        nonlocal last
        if not frame.f_code.co_filename.startswith(WIRE):
            return None
        here = (frame.f_code.co_filename, frame.f_lineno)
        if event == "line":
            ways.add((last, here))
        last = here
        return line

    before = sys.gettrace()
    sys.settrace(line)
    try:
        target.check(data)
    except (FrameError, TopicError) as error:
        ways.add(_said(error))
    else:
        ways.add(TAKEN)
    finally:
        sys.settrace(before)
    return ways


def _said(error: FrameError | TopicError) -> str:
    """The start of what a refusal says, without what it found."""
    return re.sub(r"'.*?'|[0-9]+", "", str(error))[:SAID]
