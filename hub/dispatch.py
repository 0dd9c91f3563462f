"""From the mesh's state to commands for outputs, by the documents' mappings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from becomingone.hub.config import DispatchSection
from becomingone.hub.roster import Member
from becomingone.hub.state import BandState, MeshState
from becomingone.wire.announce import State
from becomingone.wire.command import OutputCommand, encode_command
from becomingone.wire.mapping import MOTOR, values_for
from becomingone.wire.topics import Topics

MAX_OUTPUTS: Final = 64
"""Outputs of one node that are driven, as many as a node's configuration may have."""

MOTOR_EXPIRY_US: Final = 150_000
"""µs for which a command to a motor holds at most: what comes later is of a mesh that has gone on since."""

Seal = Callable[[str, str, bytes], bytes | None]
"""Seals a payload for a node and topic; None where the node cannot be spoken to."""


def may_move(band: BandState) -> bool:
    """Tell whether a motor may follow a band: its coherence has been significant for the dwell, and is decidable.

    `BandState.collapsed` has hysteresis, so a motor that follows goes on for up to the dwell after the evidence has
    gone; it stops at once where no phase is left.
    """
    return band.valid and band.collapsed and band.decidable and band.phase is not None


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
        µs for which a command holds; to a motor at most `MOTOR_EXPIRY_US`.
    seal : callable
        Seals each command; as it is, unless given.
    band : str, optional
        The band that outputs follow; by default the dominant one.
    """

    topics: Topics
    boot: int
    expiry_us: int
    seal: Seal = lambda _node, _topic, payload: payload
    band: str | None = None
    sent: int = 0
    _next: int = field(default=0)

    @classmethod
    def of(cls, section: DispatchSection, topics: Topics, boot: int, seal: Seal) -> Dispatch:
        """Make what a hub's configuration asks for."""
        return cls(topics, boot, expiry_us=int(section.expiry_s * 1e6), seal=seal, band=section.band)

    def drive(self, state: MeshState, members: list[Member]) -> Iterator[tuple[str, bytes]]:
        """Give the commands that follow from the mesh's state; see `commands`."""
        band = state.dominant
        if self.band is not None:
            band = next((band for band in state.bands if band.name == self.band), None)
        if band is not None:
            yield from self.commands(band, members, state.time_us)

    def commands(self, band: BandState, members: list[Member], now_us: int) -> Iterator[tuple[str, bytes]]:
        """Give the topic and payload of a command for every output of every node that is ready.

        An undefined phase moves nothing, and what `may_move` refuses moves no motor: no command is given, and without
        one the outputs leave the hub by themselves.
        """
        if not band.valid:
            return
        moves = may_move(band)
        for member in members:
            if member.state is not State.READY or member.about is None:
                continue
            for output in member.about.outputs[:MAX_OUTPUTS]:
                if output.role == MOTOR and not moves:
                    continue
                expiry_us = min(self.expiry_us, MOTOR_EXPIRY_US) if output.role == MOTOR else self.expiry_us
                values = values_for(output.role, band.mean_field, band.coherence)
                command = OutputCommand(boot=self.boot, id=self._next, expires_us=now_us + expiry_us, values=values)
                topic = self.topics.output_set(member.id, output.name)
                payload = self.seal(member.id, topic, encode_command(command))
                if payload is not None:
                    self._next += 1
                    self.sent += 1
                    yield topic, payload
