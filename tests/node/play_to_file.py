"""A program: a speaker on PortAudio's default output, told what to play at which of its blocks.

Its arguments are the speaker's options and the commands, both as JSON; a command is ``[block, frequency, volume]``, or
``[block]`` for rest, which comes last. It prints what the speaker knows of itself in the end. Commands are given by
block because a card that writes a file is not paced: it takes the sound as fast as it is made.
"""

import json
import sys
import threading
import time

from becomingone.devices.contract import Fill
from becomingone.devices.speaker import Device, Options
from becomingone.node.audio import SoundCard
from becomingone.node.audio.player import SoundPlayer


class Clock:
    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def mesh_us(self, monotonic_ns: int) -> int:
        return monotonic_ns // 1_000


class Told:
    """The sound card, and beside each block that it asks for what is commanded then."""

    def __init__(self, commands: list[list[float]]) -> None:
        self.clock = Clock()
        self.card = SoundCard(self.clock)
        self.audio = self
        self.device: Device | None = None
        self.ended = threading.Event()
        self.blocks = 0
        self._commands = commands

    def play(self, *, rate_hz: int, device: str | None, block: int, fill: Fill) -> SoundPlayer:
        def told(out, start_ns):
            while self._commands and self._commands[0][0] <= self.blocks:
                _, *values = self._commands.pop(0)
                if values:
                    self.device.apply({"frequency": values[0], "volume": values[1]})
                else:
                    self.device.rest()
            self.blocks += 1
            more = fill(out, start_ns)
            if not more:
                self.ended.set()
            return more

        return self.card.play(rate_hz=rate_hz, device=device, block=block, fill=told)


def main() -> None:
    told = Told(json.loads(sys.argv[2]))
    told.device = Device(Options(**json.loads(sys.argv[1])), told)
    told.device.apply({"frequency": 20.0, "volume": 0.0})
    ended = told.ended.wait(30)
    deadline = time.monotonic() + 10
    while told.card._streams and time.monotonic() < deadline:
        time.sleep(0.01)
    player = told.device._player
    print(
        json.dumps({"ended": ended, "streams": told.card._streams, "faults": player.faults, "problem": player.problem})
    )


main()
