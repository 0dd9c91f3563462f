"""What an operator asks of a node as a whole, and what the hub answers, as JSON."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from becomingone.wire.announce import Announcement, Count, Name, Text, few, parse_announcement
from becomingone.wire.remote import Lines
from becomingone.wire.verbs import MAX_VALID_S, Value

MAX_OPERATION: Final = 4096
"""Bytes of an operator's request."""


class Operation(Announcement):
    """What an operator would like a node to do, topic ``request/<node>/cmd/<verb>``; the hub decides.

    A field that is not known is refused, unlike elsewhere: who mistypes an argument must not get the default.
    `becomingone.wire.verbs.read_arguments` checks the arguments against the verb.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: Name | None = None
    """Chosen anew for each request: names the topic of the answer. Without one nobody waits for an answer."""
    arguments: Annotated[dict[Name, Value], Field(default_factory=dict), BeforeValidator(few)]
    timeout_s: Annotated[float, Field(ge=1, le=MAX_VALID_S, allow_inf_nan=False)] = MAX_VALID_S
    """For how long the command holds, s."""
    why: Text = ""


class Outcome(Announcement):
    """What became of an operator's request, topic ``answer/<node>/<token>``."""

    node: Name
    verb: Name
    token: Name | None
    time_us: Count
    """Mesh time, µs."""
    result: Literal["done", "refused", "unanswered"]
    """``unanswered``: the node was there and has not said in time whether it has obeyed."""
    why: Text
    log: Lines = ()
    """For ``log``."""


def parse_operation(payload: bytes) -> Operation:
    """Read an operator's request; an empty payload is one without arguments and token.

    Raises
    ------
    FrameError
        ``announcement``: it is no JSON, or a field is wrong or not known.
    """
    return parse_announcement(Operation, payload or b"{}")
