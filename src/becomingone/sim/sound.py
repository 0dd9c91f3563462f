"""The sound of a simulated node: nothing can be recorded, and what would be played is kept."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from becomingone.devices.contract import AudioStream, ClockPort, Fill
from becomingone.errors import DeviceUnavailableError


class SimSound:
    """See `becomingone.devices.contract.AudioPort`.

    Parameters
    ----------
    clock : ClockPort
        The node's clock in virtual time.

    Attributes
    ----------
    players : list of SimPlayer
        Every output that was asked for.
    """

    def __init__(self, clock: ClockPort) -> None:
        self.players: list[SimPlayer] = []
        self._clock = clock

    def record(self, *, rate_hz: int, device: str | None, block: int) -> AudioStream:  # noqa: ARG002 - the port's names
        """Refuse: there is nothing to hear in virtual time."""
        msg = "a simulated node has no sound card"
        raise DeviceUnavailableError(msg)

    def play(self, *, rate_hz: int, device: str | None, block: int, fill: Fill) -> SimPlayer:  # noqa: ARG002
        """See `becomingone.devices.contract.AudioPort.play`."""
        self.players.append(SimPlayer(self._clock, block, fill))
        return self.players[-1]


@dataclass
class SimPlayer:
    """A sound output without a thread: each start makes one block, as heard now, and keeps the latest.

    So a speaker that is told something twenty times a second makes twenty of the hundred blocks of a second: enough to
    see what it does, and nothing to listen to.

    Attributes
    ----------
    heard : ndarray of float32, shape (n_frames,)
        The latest block.
    """

    clock: ClockPort
    block: int
    fill: Fill
    problem: str | None = None
    underruns: int = 0
    faults: int = 0
    heard: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def start(self) -> None:
        """See `becomingone.devices.contract.Player.start`."""
        self.heard = np.zeros(self.block, np.float32)
        self.fill(self.heard, self.clock.monotonic_ns())

    def close(self) -> None:
        """See `becomingone.devices.contract.Player.close`."""
