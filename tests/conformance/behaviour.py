"""What a behaviour is, and what comes of asking a broker for one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

_SPELLED = {"qos": "QoS", "mib": "MiB", "mqtt": "MQTT", "nul": "NUL"}


class DiffersError(AssertionError):
    """The broker does something else; the text says what, and is the same at every run."""


class Verdict(Enum):
    YES = "yes"
    NO = "no"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Outcome:
    """What came of asking; `reason` says what the broker does instead, or why the question does not apply."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class Behaviour:
    """One thing that a user relies on.

    Parameters
    ----------
    says : str
        The behaviour as a sentence without its full stop: the function's name.
    clause : str
        Where the OASIS standard asks for it: MQTT 3.1.1 unless it says 5; empty where we do.
    check : callable
        Is given a `Stage`, and what `prepare` returned if there is one; raises `DiffersError`.
    needs : tuple of str
        Which of `fabric.CAPABILITIES` it takes to find out.
    prepare : callable or None
        Begins what takes seconds; called when the broker has come up, so that all such waits pass at once.
    transport : bool
        Whether the transport may make a difference, so that TLS and WebSocket are asked too.
    minor : bool
        Nothing of ours depends on it.
    """

    says: str
    clause: str
    check: Callable[..., None]
    needs: tuple[str, ...] = ()
    prepare: Callable[[Any], Any] | None = None
    transport: bool = False
    minor: bool = False


def behaviour(clause: str, **options: Any) -> Callable[[Callable[..., None]], Behaviour]:
    """Make a behaviour of a function; the options are those of `Behaviour`."""

    def make(check: Callable[..., None]) -> Behaviour:
        says = " ".join(_SPELLED.get(word, word) for word in check.__name__.split("_"))
        return Behaviour(says, clause, check, **options)

    return make
