"""The real hardware of a node, each part opened only when a device asks for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TextIO

from becomingone.devices.contract import AudioPort, ClockPort, Deadman


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
        self._pins: Any = None

    @property
    def audio(self) -> AudioPort:
        """The sound card, through PortAudio."""
        if self._audio is None:
            from becomingone.node.audio import SoundCard  # noqa: PLC0415 - only a node with a microphone needs it

            self._audio = SoundCard(self.clock)
        return self._audio

    @property
    def pins(self) -> Any:  # noqa: ANN401 - gpiozero has no types
        """The pins, through gpiozero."""
        if self._pins is None:
            from becomingone.node.gpio import open_pins  # noqa: PLC0415 - only a node with pins needs it

            self._pins = open_pins()
        return self._pins

    @property
    def terminal(self) -> TextIO:
        """Standard output."""
        return sys.stdout

    def deadman(self, timeout_s: float, expire: Callable[[], None]) -> Deadman:
        """Make a deadline with a thread of its own."""
        from becomingone.node.deadman import ThreadDeadman  # noqa: PLC0415 - only a node with a motor needs it

        return ThreadDeadman(timeout_s, expire, clock=self.clock)
