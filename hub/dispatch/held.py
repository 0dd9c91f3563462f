"""A request that holds for an output, and what is known of the output that it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from becomingone.errors import FrameError


@dataclass(frozen=True, slots=True)
class Known:
    """An output that may be asked for something.

    Parameters
    ----------
    role : str
        What it takes.
    absence : FrameError or None
        Why it cannot be commanded just now.
    """

    role: str
    absence: FrameError | None = None


@dataclass(slots=True)
class Held:
    """A request that holds.

    Parameters
    ----------
    node, device : str
        The output.
    values : mapping of str to float
        Of its role.
    stop : bool
        Whether it has a motor stand still: then nothing is commanded at all.
    priority : int
        Against other requests.
    until_ns : int
        On the monotonic clock.
    token, why : str or None, str
        As asked.
    answer_ns : int
        When it is answered at the latest.
    command : int or None
        Number of the first command that said it.
    answered : bool
        Whether it has been.
    """

    node: str
    device: str
    values: Mapping[str, float]
    stop: bool
    priority: int
    until_ns: int
    token: str | None
    why: str
    answer_ns: int
    command: int | None = None
    answered: bool = False
