"""A sound output is opened when there is something to play, watched, and opened again when the card was away."""

import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from becomingone.errors import DeviceUnavailableError, MissingLibraryError
from becomingone.node.audio import SoundCard
from becomingone.node.audio import player as player_module


class CallbackStop(Exception):  # noqa: N818 - the library's name
    pass


class PortAudioError(Exception):
    pass


class Stream:
    """A stream of a library that plays nothing by itself: the test asks for blocks with `ask`."""

    def __init__(self, library: "Library", **settings: Any) -> None:
        self.settings = settings
        self.library = library
        self.latency = 0.04
        self.active = False
        self.closed = False
        self.now_s = 5.0
        if library.missing:
            raise PortAudioError("Error querying device -1")

    def start(self) -> None:
        if self.library.busy:
            raise PortAudioError("Device unavailable")
        self.active = True
        self.library.streams.append(self)

    def close(self) -> None:
        self.active, self.closed = False, True

    def end(self) -> None:
        self.active = False
        if (finished := self.settings.get("finished_callback")) is not None:
            finished()

    def ask(self, *, underflow: bool = False) -> np.ndarray:
        """As PortAudio does: nothing but `CallbackStop` may come out of the callback."""
        data = np.full((self.settings["blocksize"], 1), np.nan, np.float32)
        times = SimpleNamespace(currentTime=self.now_s, outputBufferDacTime=self.now_s + 0.04, inputBufferAdcTime=0)
        try:
            self.settings["callback"](data, len(data), times, SimpleNamespace(output_underflow=underflow))
        except CallbackStop:
            self.end()
        return data[:, 0]


class Library:
    """What of sounddevice is used."""

    CallbackStop = CallbackStop
    PortAudioError = PortAudioError

    def __init__(self) -> None:
        self.missing = False
        self.busy = False
        self.streams: list[Stream] = []
        self.restarts = 0
        self.plugged: bool | None = None

    def OutputStream(self, **settings: Any) -> Stream:  # noqa: N802
        return Stream(self, **settings)

    InputStream = OutputStream

    def _terminate(self) -> None:
        self.restarts += 1

    def _initialize(self) -> None:
        if self.plugged is not None:  # the list of cards is made here and nowhere else
            self.missing = not self.plugged


class Clock:
    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def mesh_us(self, monotonic_ns: int) -> int:
        return monotonic_ns // 1_000


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library()
    monkeypatch.setitem(sys.modules, "sounddevice", made)
    monkeypatch.setattr(player_module, "_FIRST_RETRY_S", 0.01)
    monkeypatch.setattr(player_module, "_LOOK_S", 0.01)
    return made


class Sound:
    """A player of a constant, of which `left` blocks are left; `error` is raised by what makes it."""

    def __init__(self, left: int = 1_000_000) -> None:
        self.left = left
        self.error: Exception | None = None
        self.starts: list[int] = []
        self.card = SoundCard(Clock())
        self.player = self.card.play(rate_hz=48_000, device="usb", block=480, fill=self.fill)

    def fill(self, out: np.ndarray, start_ns: int) -> bool:
        if self.error is not None:
            raise self.error
        out.fill(0.5)
        self.starts.append(start_ns)
        self.left -= 1
        return self.left > 0


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


@pytest.fixture
def sound(library: Library) -> Any:
    made = Sound()
    yield made
    made.player.close()


def started(sound: Sound, library: Library, number: int = 1) -> Stream:
    until(lambda: len(library.streams) >= number, f"stream {number} was not opened")
    return library.streams[number - 1]


def test_nothing_is_opened_before_there_is_something_to_play(sound: Sound, library: Library) -> None:
    assert library.streams == []
    sound.player.start()
    stream = started(sound, library)
    assert {name: stream.settings[name] for name in ("samplerate", "blocksize", "device", "channels", "dtype")} == {
        "samplerate": 48_000,
        "blocksize": 480,
        "device": "usb",
        "channels": 1,
        "dtype": "float32",
    }


def test_it_plays_to_the_end_lets_the_card_go_and_plays_again(sound: Sound, library: Library) -> None:
    sound.left = 3
    sound.player.start()
    stream = started(sound, library)
    for _ in range(3):
        assert np.all(stream.ask() == 0.5)
    until(lambda: stream.closed, "it was not closed")
    sound.left = 2
    sound.player.start()
    assert np.all(started(sound, library, 2).ask() == 0.5)
    assert sound.player.problem is None


def test_blocks_are_heard_when_the_card_says(sound: Sound, library: Library) -> None:
    sound.player.start()
    stream = started(sound, library)
    before = time.monotonic_ns()
    stream.ask()
    assert before <= sound.starts[0] - 40_000_000 <= time.monotonic_ns()
    stream.ask()
    assert sound.starts[1] - sound.starts[0] == pytest.approx(10_000_000, abs=2_000_000)


def test_a_start_during_the_last_block_is_not_lost(sound: Sound, library: Library) -> None:
    sound.left = 1
    fill = sound.fill

    def fill_and_start(out: np.ndarray, start_ns: int) -> bool:
        more = fill(out, start_ns)
        sound.player.start()
        return more

    sound.player._fill = fill_and_start
    sound.player.start()
    stream = started(sound, library)
    stream.ask()
    assert stream.active
    sound.player._fill = fill
    stream.ask()
    until(lambda: stream.closed, "it was not closed")
    assert len(library.streams) == 1


@pytest.mark.parametrize("trouble", ["missing", "busy"])
def test_a_card_that_is_not_there_is_looked_for_until_it_is(sound: Sound, library: Library, trouble: str) -> None:
    setattr(library, trouble, True)
    sound.player.start()
    until(lambda: sound.player.problem is not None, "it did not say so")
    assert sound.player.problem is not None
    assert sound.player.problem.startswith("output 'usb' cannot be played on: ")
    until(lambda: library.restarts >= 2, "it was not tried again")
    setattr(library, trouble, False)
    stream = started(sound, library)
    stream.ask()
    until(lambda: sound.player.problem is None, "it still says so")


def test_a_card_that_is_plugged_in_later_is_found(sound: Sound, library: Library) -> None:
    """PortAudio lists the cards when it is started: it is started anew."""
    library.missing, library.plugged = True, False
    sound.player.start()
    until(lambda: library.restarts >= 1, "PortAudio was not started anew")
    library.plugged = True
    started(sound, library)


def test_portaudio_is_not_started_anew_under_an_open_stream(sound: Sound, library: Library) -> None:
    recording = sound.card.record(rate_hz=16_000, device=None, block=320)
    library.missing, library.plugged = True, True
    sound.player.start()
    until(lambda: sound.player.problem is not None, "it did not say so")
    assert library.restarts == 0
    recording.close()
    recording.close()
    until(lambda: len(library.streams) == 2, "it was not found")
    assert library.restarts == 1


def test_an_unplugged_card_is_a_problem_and_is_opened_again(sound: Sound, library: Library) -> None:
    sound.player.start()
    stream = started(sound, library)
    stream.ask()
    library.missing = True
    stream.end()
    until(lambda: (sound.player.problem or "").startswith("output 'usb' cannot be"), "it did not say so")
    library.missing = False
    started(sound, library, 2).ask()
    until(lambda: sound.player.problem is None, "it still says so")


def test_a_card_that_asks_for_nothing_is_opened_anew(
    sound: Sound, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(player_module, "_STALL_NS", 50_000_000)
    sound.player.start()
    stream = started(sound, library)
    until(lambda: stream.closed, "it was not given up")
    until(lambda: len(library.streams) >= 2, "it was not opened anew")


def test_what_goes_wrong_in_the_cards_thread_is_caught_counted_and_shown(sound: Sound, library: Library) -> None:
    sound.error = ZeroDivisionError("no phase")
    sound.player.start()
    assert not np.any(started(sound, library).ask())
    until(lambda: sound.player.problem is not None, "it did not say so")
    assert sound.player.problem == "the sound cannot be made: ZeroDivisionError: no phase"
    assert sound.player.faults == 1
    sound.error = None
    assert np.all(started(sound, library, 2).ask() == 0.5)
    until(lambda: sound.player.problem is None, "it still says so")


def test_underruns_are_counted(sound: Sound, library: Library) -> None:
    sound.player.start()
    stream = started(sound, library)
    for underflow in (False, True, True, False):
        stream.ask(underflow=underflow)
    assert sound.player.underruns == 2


def test_it_is_closed_for_good(sound: Sound, library: Library) -> None:
    sound.player.start()
    stream = started(sound, library)
    sound.player.close()
    until(lambda: stream.closed, "it was not closed")
    sound.player.start()
    until(lambda: not any(thread.name == "sound output" for thread in threading.enumerate()), "its thread goes on")
    assert len(library.streams) == 1


@pytest.mark.parametrize(
    ("error", "command"),
    [
        (ImportError("none"), "pip install 'becomingone"),
        (OSError("PortAudio library not found"), "apt install libport"),
    ],
)
def test_a_missing_library_is_a_problem_with_its_cure(
    error: Exception, command: str, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Finder:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "sounddevice":
                raise error

    monkeypatch.delitem(sys.modules, "sounddevice")
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    sound = Sound()
    with pytest.raises(MissingLibraryError, match=command):
        sound.card.record(rate_hz=16_000, device=None, block=320)
    sound.player.start()
    until(lambda: command in (sound.player.problem or ""), "it did not say so")
    sound.player.close()


def test_a_recording_that_cannot_be_opened_says_why(library: Library) -> None:
    library.missing = True
    with pytest.raises(DeviceUnavailableError, match="the default input cannot be recorded from: Error querying"):
        SoundCard(Clock()).record(rate_hz=16_000, device=None, block=320)
