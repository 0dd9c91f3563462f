"""From the mesh's state to commands for outputs, by the documents' mapping.

The documents' phases lie in 0..1, the kernel's in −1..1: x = (1 + Re T)/2 with T the band's mean field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from becomingone.hub.roster import Member
from becomingone.hub.state import BandState
from becomingone.wire.announce import State
from becomingone.wire.command import OutputCommand, encode_command
from becomingone.wire.topics import Topics

MAX_OUTPUTS: Final = 64
"""Outputs of one node that are driven, as many as a node's configuration may have."""

Seal = Callable[[str, str, bytes], bytes | None]
"""Seals a payload for a node and topic; None where the node cannot be spoken to."""

Mapper = Callable[[BandState], Mapping[str, float]]


def display(band: BandState) -> Mapping[str, float]:
    """Hue is the phase, brightness the coherence."""
    x = min(1.0, max(0.0, (1.0 + band.mean_field.real) / 2.0))  # rounding may leave the range, and nodes refuse that
    return {"hue": 360.0 * x, "brightness": band.coherence}


MAPPINGS: Final[Mapping[str, Mapper]] = {"display": display}
"""How each role is driven; an output of another role gets no command and stays at rest."""


@dataclass(slots=True)
class Dispatch:
    """Makes the commands of one hub's life.

    Parameters
    ----------
    topics : Topics
        The cell's topics.
    boot : int
        The hub's boot id.
    expiry_us : int
        µs for which a command holds.
    seal : callable
        Seals each command; as it is, unless given.
    """

    topics: Topics
    boot: int
    expiry_us: int
    seal: Seal = lambda _node, _topic, payload: payload
    sent: int = 0
    _next: int = field(default=0)

    def commands(self, band: BandState, members: list[Member], now_us: int) -> Iterator[tuple[str, bytes]]:
        """Give the topic and payload of a command for every output of every node that is ready.

        An undefined phase moves nothing: no command is given, and the outputs go to rest by themselves.
        """
        if not band.valid:
            return
        for member in members:
            if member.state is not State.READY or member.about is None:
                continue
            for output in member.about.outputs[:MAX_OUTPUTS]:
                mapping = MAPPINGS.get(output.role)
                if mapping is not None:
                    command = OutputCommand(
                        boot=self.boot, id=self._next, expires_us=now_us + self.expiry_us, values=mapping(band)
                    )
                    topic = self.topics.output_set(member.id, output.name)
                    payload = self.seal(member.id, topic, encode_command(command))
                    if payload is not None:
                        self._next += 1
                        self.sent += 1
                        yield topic, payload
