"""What a sound card is to a device; `becomingone.devices.contract` hands it on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Fill = Callable[[NDArray[np.float32], int], bool]
"""Makes the next block of sound: called as ``fill(out, start_ns)`` in the sound card's own thread, it writes samples
of −1..1 into `out`, whose first is heard at `start_ns` on the clock port's monotonic clock, and gives False where
nothing follows the block. It must not wait for anything."""


class AudioPort(Protocol):
    """A sound card."""

    def record(self, *, rate_hz: int, device: str | None, block: int) -> AudioStream:
        """Start recording one channel in blocks of `block` frames.

        Raises
        ------
        DeviceUnavailableError
            No such input, or it is in use.
        MissingLibraryError
            The audio library is not installed.
        """
        ...

    def play(self, *, rate_hz: int, device: str | None, block: int, fill: Fill) -> Player:
        """Give a player of one channel in blocks of `block` frames; nothing is opened before it is started."""
        ...


class AudioStream(Protocol):
    """A running recording."""

    def take(self) -> list[tuple[int, NDArray[np.float32]]]:
        """Give all blocks since the last call: (monotonic ns of the first frame, samples in −1..1)."""
        ...

    def close(self) -> None:
        """Stop recording."""
        ...


class Player(Protocol):
    """A sound output that is open while there is something to play."""

    @property
    def problem(self) -> str | None:
        """Why nothing can be heard; None where nothing is known to be wrong. The player tries again by itself."""
        ...

    @property
    def underruns(self) -> int:
        """How often the card ran dry, because a block came too late."""
        ...

    @property
    def faults(self) -> int:
        """How often `fill` has raised."""
        ...

    def start(self) -> None:
        """Have `fill` called until it gives False, and return at once; harmless while it plays."""
        ...

    def close(self) -> None:
        """Stop at once, for good."""
        ...
