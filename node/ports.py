"""The real hardware of a node, each part opened only when a device asks for it."""

from __future__ import annotations

import sys
from typing import TextIO

from becomingone.devices.contract import AudioPort, ClockPort


class NodePorts:
    """What a node lends to its devices.

    Parameters
    ----------
    clock : ClockPort
        The node's clocks.
    """

    def __init__(self, clock: ClockPort) -> None:
        self.clock = clock
        self._audio: AudioPort | None = None

    @property
    def audio(self) -> AudioPort:
        """The sound card, through PortAudio."""
        if self._audio is None:
            from becomingone.node.audio import SoundCard  # noqa: PLC0415 - only a node with a microphone needs it

            self._audio = SoundCard(self.clock)
        return self._audio

    @property
    def terminal(self) -> TextIO:
        """Standard output."""
        return sys.stdout
