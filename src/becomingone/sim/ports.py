"""The hardware of a simulated node."""

from __future__ import annotations

import io
from typing import TextIO

from becomingone.devices.contract import AudioPort
from becomingone.errors import DeviceUnavailableError
from becomingone.scheduling import MeshClock


class SimPorts:
    """A clock, a terminal that keeps its text, and nothing else.

    Parameters
    ----------
    clock : MeshClock
        The node's clock in virtual time.
    """

    def __init__(self, clock: MeshClock) -> None:
        self.clock = clock
        self.screen = io.StringIO()

    @property
    def audio(self) -> AudioPort:
        """Refuse: there is no sound card in virtual time."""
        msg = "a simulated node has no sound card"
        raise DeviceUnavailableError(msg)

    @property
    def terminal(self) -> TextIO:
        """What a display writes to."""
        return self.screen
