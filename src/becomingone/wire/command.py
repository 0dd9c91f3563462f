"""Commands: what the hub tells an output, or a node as a whole, to do, until when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from becomingone.errors import FrameError
from becomingone.wire import cbor
from becomingone.wire.fields import INT63, UINT32, integer, number, required, single
from becomingone.wire.topics import NAME
from becomingone.wire.verbs import Value, Verb, read_arguments, written

MAX_VALUES: Final = 32
"""Named values in one command."""

RANGES: Final[Mapping[str, Mapping[str, tuple[float, float]]]] = {
    "display": {"hue": (0.0, 360.0), "brightness": (0.0, 1.0)},
    "speaker": {"frequency": (20.0, 20_000.0), "volume": (0.0, 1.0)},
    "motor": {"velocity": (-1.0, 1.0), "rotation": (-1.0, 1.0)},
}
"""The values that an output of each role takes: hue in degrees, frequency in Hz, the others plain ratios."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputCommand:
    """One command to one output.

    Parameters
    ----------
    boot : int
        The hub's boot id, 32 bits.
    id : int
        Grows with each command of that boot; a node refuses one that is not newer than the last.
    expires_us : int
        Mesh time, µs since the Unix epoch, after which the command is void.
    values : mapping of str to float
        The output's named values; their names and ranges are those of its role in `RANGES`.
    """

    boot: int
    id: int
    expires_us: int
    values: Mapping[str, float]


def encode_command(command: OutputCommand, values: bytes | None = None) -> bytes:
    """Encode a command; equal commands give equal bytes.

    Parameters
    ----------
    command : OutputCommand
        The command.
    values : bytes, optional
        What `encode_values` gives for its values, where many commands share them.

    Raises
    ------
    FrameError
        When a value is not finite.
    """
    start = (command.boot, command.id, command.expires_us)
    fields = b"".join(bytes((key,)) + cbor.uint(number) for key, number in enumerate(start, 1))
    return cbor.head(cbor.MAP, 4) + fields + b"\x04" + (values or encode_values(command.values))


def encode_values(values: Mapping[str, float]) -> bytes:
    """Encode the values of a command.

    Raises
    ------
    FrameError
        When one is not finite.
    """
    named: dict[Any, float] = {name: single(value, name) for name, value in values.items()}
    return cbor.encode(named)


def decode_command(payload: bytes, role: str) -> OutputCommand:
    """Decode and check a command for an output of a role.

    Raises
    ------
    FrameError
        With the reason under which the refusal is counted.
    """
    fields = cbor.decode(payload)
    values = read_values(required(fields, 4, "values"), role)
    boot, command, expires_us = _start(fields)
    return OutputCommand(boot=boot, id=command, expires_us=expires_us, values=values)


def read_values(given: object, role: str) -> dict[str, float]:
    """Check the values for an output of a role, wherever they come from.

    Raises
    ------
    FrameError
        When it is no map of 1 to `MAX_VALUES` names to numbers, or one is not of that role or out of its range.
    """
    raw = cast("dict[Any, object]", given)
    if not isinstance(given, dict) or not 1 <= len(raw) <= MAX_VALUES:
        raise FrameError("type", f"values must be a map of 1 to {MAX_VALUES} names to numbers")
    ranges = RANGES[role]
    values: dict[str, float] = {}
    for name, value in raw.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise FrameError("type", "the names of values match the topics' rule")
        if name not in ranges:
            raise FrameError("range", f"a {role} takes {', '.join(ranges)}, not {name}")
        least, most = ranges[name]
        values[name] = number(value, name, least=least, most=most)
    return values


@dataclass(frozen=True, slots=True)
class NodeCommand:
    """A command to a node as a whole; the verb stands in the topic.

    Parameters
    ----------
    boot, id, expires_us : int
        See `OutputCommand`.
    arguments : mapping of str to number or str
        Those of the verb, see `becomingone.wire.verbs.ARGUMENTS`.
    """

    boot: int
    id: int
    expires_us: int
    arguments: Mapping[str, Value] = field(default_factory=dict[str, Value])


def encode_node_command(command: NodeCommand, verb: Verb = Verb.REBIRTH) -> bytes:
    """Encode a command; equal commands give equal bytes.

    Raises
    ------
    FrameError
        When it breaks a rule that `decode_node_command` would refuse it for.
    """
    fields: dict[int, Any] = {1: command.boot, 2: command.id, 3: command.expires_us}
    if command.arguments:
        fields[4] = written(command.arguments)
    _read(fields, verb)
    return cbor.encode(fields)


def decode_node_command(payload: bytes, verb: Verb = Verb.REBIRTH) -> NodeCommand:
    """Decode and check a command with the verb that its topic names.

    Raises
    ------
    FrameError
        With the reason under which the refusal is counted.
    """
    return _read(cbor.decode(payload), verb)


def _read(fields: Mapping[int, Any], verb: Verb) -> NodeCommand:
    return NodeCommand(*_start(fields), read_arguments(verb, fields.get(4, {})))


def _start(fields: Mapping[int, Any]) -> tuple[int, int, int]:
    """Read what all commands have: the hub's boot id, the command's number, when it expires."""
    return (
        integer(fields, 1, "boot", most=UINT32),
        integer(fields, 2, "id"),
        integer(fields, 3, "expires_us", most=INT63),
    )


class Freshness:
    """Lets each command through once, in order, before it expires.

    Parameters of `check` come from the command and the receiver's clock, so that it holds for every kind of command.
    """

    def __init__(self) -> None:
        self._newest = (-1, -1)

    def check(self, command: OutputCommand | NodeCommand, now_us: int) -> None:
        """Take a command, or refuse it.

        Raises
        ------
        FrameError
            ``expired`` or ``replayed``.
        """
        if command.expires_us < now_us:
            raise FrameError("expired", "the command's time has passed")
        if (command.boot, command.id) <= self._newest:
            raise FrameError("replayed", "a command as new as this one has been obeyed already")
        self._newest = (command.boot, command.id)
