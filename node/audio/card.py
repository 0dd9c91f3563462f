"""PortAudio, shared by all streams of the process: opens them, and finds cards that were plugged in later."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Literal

from becomingone.devices.contract import ClockPort, Fill
from becomingone.errors import DeviceUnavailableError, MissingLibraryError
from becomingone.node.audio.player import SoundPlayer
from becomingone.node.audio.stream import SoundStream

Direction = Literal["input", "output"]


class SoundCard:
    """PortAudio's inputs and outputs.

    PortAudio lists the cards once, when it starts. It is started anew after a stream could not be opened, so that a
    card plugged in later is found; that ends every stream, and so waits until this process has none.

    Parameters
    ----------
    clock : ClockPort
        Times the blocks.
    """

    def __init__(self, clock: ClockPort) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._streams = 0
        self._stale = False

    def record(self, *, rate_hz: int, device: str | None, block: int) -> SoundStream:
        """See `becomingone.devices.contract.AudioPort.record`."""
        return SoundStream(self, self._clock, rate_hz=rate_hz, device=device, block=block)

    def play(self, *, rate_hz: int, device: str | None, block: int, fill: Fill) -> SoundPlayer:
        """See `becomingone.devices.contract.AudioPort.play`."""
        return SoundPlayer(self, self._clock, rate_hz=rate_hz, device=device, block=block, fill=fill)

    def open(
        self,
        direction: Direction,
        device: str | None,
        *,
        callback: Callable[..., bool],
        **settings: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401 - the library has no types
        """Open and start a stream of one channel of float32.

        Parameters
        ----------
        direction : {"input", "output"}
            Which way the sound goes.
        device : str, optional
            Name of the card, or a part of it; default: the system's.
        callback : callable
            Called for each block as sounddevice's callback is; gives whether the stream goes on.
        **settings
            What else sounddevice's ``InputStream`` or ``OutputStream`` takes.

        Raises
        ------
        DeviceUnavailableError
            No such card, or it is in use.
        MissingLibraryError
            The audio library is not installed.
        """
        with self._lock:
            library = self._library()
            make = library.InputStream if direction == "input" else library.OutputStream
            stream = None

            def called(*arguments: Any) -> None:  # noqa: ANN401
                if not callback(*arguments):
                    raise library.CallbackStop

            try:
                stream = make(device=device, channels=1, dtype="float32", callback=called, **settings)
                stream.start()
            except (library.PortAudioError, ValueError) as error:
                if stream is not None:
                    stream.close()
                self._stale = True
                which = f"the default {direction}" if device is None else f"{direction} {device!r}"
                what = "recorded from" if direction == "input" else "played on"
                msg = f"{which} cannot be {what}: {error}"
                raise DeviceUnavailableError(msg) from error
            self._streams += 1
            return stream

    def close(self, stream: Any) -> None:  # noqa: ANN401
        """Close a stream that `open` has given, once."""
        with self._lock:
            self._streams -= 1
        stream.close()

    def _library(self) -> Any:  # noqa: ANN401
        try:
            import sounddevice  # noqa: PLC0415 - 0.1 s and a system library that few nodes have
        except ImportError as error:
            msg = "sound needs sounddevice: pip install 'becomingone[audio]'"
            raise MissingLibraryError(msg) from error
        except OSError as error:
            msg = "sounddevice needs PortAudio: apt install libportaudio2"
            raise MissingLibraryError(msg) from error
        if self._stale and not self._streams:
            # The list of cards is read by Pa_Initialize alone, and sounddevice has no public name for calling it.
            try:
                sounddevice._terminate()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
                sounddevice._initialize()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            except sounddevice.PortAudioError as error:
                msg = f"PortAudio cannot be started: {error}"
                raise DeviceUnavailableError(msg) from error
            self._stale = False
        return sounddevice
