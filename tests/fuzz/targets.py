"""What is fuzzed: every function of `becomingone.wire` that reads bytes or texts of others, and what must hold of it.

A target is called with any bytes and gives one word: ``taken``, or the reason of the refusal. What else it raises is a
finding: another exception than `FrameError` and `TopicError`, or a broken promise (an `AssertionError`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

from becomingone.errors import FrameError, TopicError

TAKEN = "taken"

Kind = Literal["cbor", "json", "text"]


@dataclass(frozen=True)
class Target:
    """One thing to fuzz.

    Parameters
    ----------
    name : str
        What the command line and the corpus call it.
    check : callable
        Tries everything that must hold of an input; may raise what a refusal raises.
    reads : mapping of str to callable
        The functions of `becomingone.wire` that are meant, by name: of them alone the memory is measured, not of what
        else a check does.
    kind : str
        What the inputs mostly are: decides how they are changed.
    seeds : callable
        Gives inputs to begin with.
    share : int
        Its part of all runs, in parts as large as each other's.
    """

    name: str
    check: Callable[[bytes], None]
    reads: Mapping[str, Callable[[bytes], object]]
    kind: Kind
    seeds: Callable[[], list[bytes]]
    share: int

    def __call__(self, data: bytes) -> str:
        """Give ``taken`` or the reason of the refusal."""
        return outcome(self.check, data)


def outcome(call: Callable[[bytes], object], data: bytes) -> str:
    """Give ``taken`` or the reason of the refusal."""
    try:
        call(data)
    except FrameError as error:
        return error.reason
    except TopicError:
        return "topic"
    return TAKEN


_TARGETS: dict[str, Target] = {}


def target(
    kind: Kind, seeds: Callable[[], list[bytes]], share: int = 4, **reads: Callable[[bytes], object]
) -> Callable[[Callable[[bytes], None]], None]:
    """Enter a function into the registry under its own name."""

    def enter(check: Callable[[bytes], None]) -> None:
        name = check.__name__.replace("_", "-")
        _TARGETS[name] = Target(name, check, reads, kind, seeds, share)

    return enter


def all_targets() -> Mapping[str, Target]:
    """Every target by name, in order."""
    for module in ("cbor", "json", "seal", "topic"):  # late, as each of them imports this one
        import_module(f".{module}_targets", __package__)
    return _TARGETS


def equal(left: object, right: object) -> None:
    """Hold two values to be equal in every bit: 0.0 is not −0.0, 1 is not 1.0.

    Raises
    ------
    AssertionError
        With both.
    """
    if left != right or repr(left) != repr(right):
        msg = f"{left!r} is not {right!r}"
        raise AssertionError(msg)
