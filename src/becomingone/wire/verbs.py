"""What a node as a whole can be commanded, ``node/<node>/cmd/<verb>``, and with which arguments."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final, NamedTuple, cast

from becomingone.errors import FrameError
from becomingone.wire.fields import INT63, OMEGA, PHASE, integer, number, single
from becomingone.wire.topics import NAME

Value = float | int | str
"""An argument's value."""

MAX_LINES: Final = 256
"""Lines of the log in one reply."""


MAX_COMMAND: Final = 512
"""Bytes of a command to a node as a whole; the longest of ours has 130."""

MAX_VALID_S: Final = 10.0
"""Seconds for which such a command may hold. What expires later than that is refused, so that a receiver that starts
anew can tell from the expiry alone what an earlier life of it may have obeyed: see `becomingone.wire.replay`."""

MAX_AHEAD_S: Final = 1.0
"""Seconds that the sender's clock may be ahead of the receiver's."""


class Verb(enum.StrEnum):
    """A command to a node as a whole.

    ``rebirth``: say again what you are. ``realign``: bring the control oscillator of a band to a target. ``identify``:
    show which device you are. ``reload``: read the configuration again. ``loglevel``: log more, or less. ``log``: send
    the last lines of the log. ``restart``: end, and be started again.
    """

    REBIRTH = "rebirth"
    REALIGN = "realign"
    IDENTIFY = "identify"
    RELOAD = "reload"
    LOGLEVEL = "loglevel"
    LOG = "log"
    RESTART = "restart"


FORGET: Final = "forget"
"""What people may ask for of the hub about a node: to forget it. It is no command, and no node hears of it."""

OPERATORS: Final = (Verb.IDENTIFY, Verb.RELOAD, Verb.LOGLEVEL, Verb.LOG, Verb.RESTART)
"""What people may ask for; the others are the hub's own."""


class Number(NamedTuple):
    """A finite number within bounds, a float32 on the wire."""

    least: float
    most: float
    required: bool = True

    def read(self, value: object, name: str) -> Value:
        """Give the argument, checked."""
        return number(value, name, least=self.least, most=self.most)


class Whole(NamedTuple):
    """An unsigned integer within bounds."""

    least: int
    most: int
    required: bool = True

    def read(self, value: object, name: str) -> Value:
        """Give the argument, checked."""
        result = integer({0: value}, 0, name)
        if not self.least <= result <= self.most:
            raise FrameError("range", f"{name} must be {self.least}..{self.most}, not {result}")
        return result


class Word(NamedTuple):
    """One of some words; without any, a name as in topics."""

    words: tuple[str, ...] = ()
    required: bool = True

    def read(self, value: object, name: str) -> Value:
        """Give the argument, checked."""
        if not isinstance(value, str):
            raise FrameError("type", f"{name} must be a text, not {type(value).__name__}")
        if value not in self.words if self.words else not NAME.fullmatch(value):
            raise FrameError("range", f"{name} must be {' or '.join(self.words) or 'a name'}")
        return value


ARGUMENTS: Final[Mapping[Verb, Mapping[str, Number | Whole | Word]]] = {
    Verb.REBIRTH: {},
    Verb.REALIGN: {
        "band": Word(),
        "phase": Number(-PHASE, PHASE),
        "omega": Number(-OMEGA, OMEGA),
        "time_us": Whole(0, INT63),
    },
    Verb.IDENTIFY: {"seconds": Number(1.0, 60.0, required=False)},
    Verb.RELOAD: {},
    Verb.LOGLEVEL: {"level": Word(("debug", "info", "warning", "error"))},
    Verb.LOG: {"lines": Whole(1, MAX_LINES, required=False)},
    Verb.RESTART: {},
}
"""The arguments of each verb. ``realign``: the target has ``phase`` (rad) at mesh time ``time_us`` and goes on at
``omega`` (rad/s)."""


def verb_of(name: str) -> Verb:
    """Give the verb that the last level of a topic names.

    Raises
    ------
    FrameError
        ``unknown_verb``.
    """
    try:
        return Verb(name)
    except ValueError:
        raise FrameError("unknown_verb", f"the verb must be one of {', '.join(Verb)}") from None


def read_arguments(verb: Verb, given: object) -> Mapping[str, Value]:
    """Check the arguments of a command.

    Parameters
    ----------
    verb : Verb
        The command.
    given : object
        What stands in the decoded map.

    Raises
    ------
    FrameError
        When it is no map, one is missing, of another type, out of its range or not of this verb.
    """
    if not isinstance(given, dict):
        raise FrameError("type", "arguments must be a map of names to values")
    known = ARGUMENTS[verb]
    values: dict[str, Value] = {}
    for name, value in cast("dict[object, object]", given).items():
        if not isinstance(name, str):
            raise FrameError("type", "the names of arguments are texts")
        if name not in known:
            raise FrameError("range", f"{verb} takes {', '.join(known) or 'no arguments'}, nothing else")
        values[name] = known[name].read(value, name)
    for name, argument in known.items():
        if argument.required and name not in values:
            raise FrameError("missing", f"{verb} needs {name}")
    return values


def written(arguments: Mapping[str, Value]) -> dict[str, Value]:
    """Give the arguments as the wire carries them: each float a float32.

    Raises
    ------
    FrameError
        When one is not finite.
    """
    return {name: single(value, name) if isinstance(value, float) else value for name, value in arguments.items()}
