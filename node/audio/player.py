"""Sound that is played while there is some: the card is opened for it, watched, and opened again when it was away."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from becomingone.devices.contract import ClockPort, Fill
from becomingone.errors import BecomingOneError, DeviceUnavailableError
from becomingone.node.audio.timer import BlockTimer

if TYPE_CHECKING:
    from becomingone.node.audio.card import SoundCard

_LOG = logging.getLogger(__name__)
_FIRST_RETRY_S = 0.5
_LONGEST_RETRY_S = 30.0
_LOOK_S = 0.25
_STALL_NS = 3_000_000_000
"""A card that has asked for nothing for this long has stopped, whatever PortAudio says."""

_LONGEST_LEAD_S = 2.0
"""What a card says about its own delay is not believed beyond this."""


class SoundPlayer:
    """A sound output; made by `SoundCard.play`.

    Opening a card may take long or never return, so that it has a thread of its own, which begins with the first
    sound. Between sounds the card is closed, and free for others.

    Parameters
    ----------
    card : SoundCard
        Opens the stream.
    clock : ClockPort
        Times the blocks.
    rate_hz, device, block, fill
        See `becomingone.devices.contract.AudioPort.play`.
    """

    def __init__(
        self, card: SoundCard, clock: ClockPort, *, rate_hz: int, device: str | None, block: int, fill: Fill
    ) -> None:
        self.underruns = 0
        self.faults = 0
        self.problem: str | None = None
        self._card = card
        self._clock = clock
        self._device = device
        self._rate_hz = rate_hz
        self._block = block
        self._fill = fill
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._playing = False
        self._starts = 0

    def start(self) -> None:
        """See `becomingone.devices.contract.Player.start`."""
        with self._lock:
            self._starts += 1
            if self._playing or self._closing.is_set():
                return
            self._playing = True
            self._wake.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sound output", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """See `becomingone.devices.contract.Player.close`."""
        self._closing.set()
        self._wake.set()

    def _run(self) -> None:
        retry_s = _FIRST_RETRY_S
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._closing.is_set():
                return
            try:
                self._play()
                self.problem = None
                retry_s = _FIRST_RETRY_S
            except Exception as error:  # noqa: BLE001 - whatever the library raises, it is shown and tried again
                problem = str(error) if isinstance(error, BecomingOneError) else f"{type(error).__name__}: {error}"
                if problem != self.problem:
                    _LOG.warning("%s; it is tried again", problem)
                self.problem = problem
                self._closing.wait(retry_s)
                retry_s = min(2 * retry_s, _LONGEST_RETRY_S)
                self._wake.set()

    def _play(self) -> None:
        """Play until there is nothing left to play.

        Raises
        ------
        BecomingOneError
            The card cannot be opened, has gone, or the sound could not be made.
        """
        turn = _Turn(self._clock, self._block / self._rate_hz)
        stream = self._card.open(
            "output",
            self._device,
            samplerate=self._rate_hz,
            blocksize=self._block,
            callback=partial(self._asked, turn),
            finished_callback=turn.ended.set,
        )
        underruns = self.underruns
        try:
            while not turn.ended.wait(_LOOK_S) and not self._closing.is_set():
                if turn.filled:
                    self.problem = None
                if self._clock.monotonic_ns() - turn.asked_ns > _STALL_NS:
                    raise DeviceUnavailableError("the sound output has stopped asking for sound")
        finally:
            self._card.close(stream)
            if self.underruns > underruns:
                _LOG.info("the sound output ran dry %d times", self.underruns - underruns)
        if turn.fault is not None:
            raise DeviceUnavailableError(f"the sound cannot be made: {turn.fault}")
        if not turn.done and not self._closing.is_set():
            raise DeviceUnavailableError("the sound output has ended by itself: was it unplugged?")

    def _asked(self, turn: _Turn, data: NDArray[np.float32], _frames: int, times: Any, status: Any) -> bool:  # noqa: ANN401
        """Give the card its next block, and tell whether more will come; runs in PortAudio's thread."""
        out = data[:, 0]
        starts = self._starts
        try:
            dry = bool(status.output_underflow)
            self.underruns += dry
            more = self._fill(out, turn.start_ns(times, interrupted=dry))
            turn.filled = True
        except Exception as error:  # noqa: BLE001 - the library would print it and go on with what is in `out`
            out.fill(0.0)
            self.faults += 1
            turn.fault = f"{type(error).__name__}: {error}"
            return False
        if more:
            return True
        with self._lock:
            if starts != self._starts:  # started again meanwhile: what is to be heard came too late for this block
                return True
            self._playing = False
            turn.done = True
        return False


class _Turn:
    """From opening the card to closing it.

    Parameters
    ----------
    clock : ClockPort
        Times the blocks.
    block_s : float
        Length of a block, s.
    """

    def __init__(self, clock: ClockPort, block_s: float) -> None:
        self.ended = threading.Event()
        self.done = False
        self.filled = False
        self.fault: str | None = None
        self.asked_ns = clock.monotonic_ns()
        self._clock = clock
        self._timer = BlockTimer(block_s * 1e9)

    def start_ns(self, times: Any, *, interrupted: bool) -> int:  # noqa: ANN401 - a C structure
        """Give when the first sample of the block that is asked for now will be heard."""
        self.asked_ns = self._clock.monotonic_ns()
        # PortAudio's clock and ours differ in their zero; the lead is measured at this one instant.
        lead_s = min(max(0.0, times.outputBufferDacTime - times.currentTime), _LONGEST_LEAD_S)
        return self._timer.start_ns(self.asked_ns + int(lead_s * 1e9), interrupted=interrupted)
