"""Operating a cell from afar, as JSON: what people ask of an output, what a node should be, what it answers.

What people ask of a node as a whole is in `becomingone.wire.operate`.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, cast

from pydantic import BeforeValidator, Field

from becomingone.wire.announce import Announcement, Count, Finite, Name, Some, Text, few
from becomingone.wire.command import MAX_VALUES
from becomingone.wire.fields import UINT64
from becomingone.wire.verbs import MAX_LINES

MAX_HOLD_S: Final = 86_400.0
"""Longest time that a request may hold, s."""


def _newest(value: object) -> object:
    return cast("list[object]", value)[-MAX_LINES:] if isinstance(value, list | tuple) else value


Lines = Annotated[Some[Text], BeforeValidator(_newest)]
"""The log's last lines, oldest first: at most `MAX_LINES`, older ones are cut off."""


class Desired(Announcement):
    """The configuration that a node should have, topic ``node/<node>/desired``: compare with its `About`."""

    config_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
    """Empty where nobody says any more."""
    boot: Annotated[int, Field(ge=0, lt=1 << 32)] = 0
    """The life of the node that it is said to, and sealed for."""
    hub_boot: Annotated[int, Field(ge=0, lt=1 << 32)] = 0
    id: Annotated[int, Field(ge=0, le=UINT64)] = 0
    """With ``hub_boot``: the greater, the newer."""


class Reply(Announcement):
    """What became of a command to a node as a whole, topic ``node/<node>/reply/<id>``."""

    boot: Annotated[int, Field(ge=0, lt=1 << 32)]
    """The node's boot id."""
    hub_boot: Annotated[int, Field(ge=0, lt=1 << 32)]
    """The command's ``boot``."""
    id: Annotated[int, Field(ge=0, le=UINT64)]
    """The command's ``id``."""
    verb: Name
    result: Literal["done", "refused"]
    why: Text
    log: Lines = ()
    """For ``log``."""


class Request(Announcement):
    """What somebody would like an output to do, topic ``request/<node>/<device>``; the hub decides.

    `becomingone.wire.command.read_values` checks the values against the output's role.
    """

    values: Annotated[dict[Name, Finite], BeforeValidator(few), Field(min_length=1, max_length=MAX_VALUES)] | None
    """None: take back what was asked for."""
    hold_s: Annotated[float, Field(gt=0, le=MAX_HOLD_S, allow_inf_nan=False)] = 10.0
    """How long it is to hold, s."""
    why: Text = ""
    token: Name | None = None
    """Chosen anew for each request: names the topic of the answer. Without one nobody waits for an answer."""
    priority: Annotated[int, Field(ge=0, le=100)] = 0
    """A request takes the place of one that has no greater priority."""


class Answer(Announcement):
    """What became of a request to an output, topic ``answer/<node>/<token>``."""

    node: Name
    device: Name
    token: Name | None
    time_us: Count
    """Mesh time, µs."""
    result: Literal["done", "refused", "unanswered"]
    """``unanswered``: the output was told, and has not said in time that it obeys; the hub goes on telling it."""
    why: Text
