"""Fake hardware that records what was asked of it. One file for every room's tests."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from becomingone.devices.contract import AudioStream, Fill, Player, Ports
from becomingone.errors import DeviceUnavailableError
from becomingone.sim.pins import PinChange, mock_pins

SECOND_NS = 1_000_000_000


class FakeClock:
    """Both clocks stand still until `advance`; `step_mesh` moves only the mesh's."""

    def __init__(self, *, mesh_us: int = 1_700_000_000_000_000, monotonic_ns: int = 50 * SECOND_NS) -> None:
        self.now_ns = monotonic_ns
        self.offset_us = mesh_us - monotonic_ns // 1_000
        self.looks = 0
        self.deadmen: list[FakeDeadman] = []

    def monotonic_ns(self) -> int:
        self.looks += 1
        return self.now_ns

    def mesh_us(self, monotonic_ns: int) -> int:
        return monotonic_ns // 1_000 + self.offset_us

    def advance(self, seconds: float) -> None:
        """Let time pass; deadlines expire at their instants."""
        end = self.now_ns + round(seconds * SECOND_NS)
        while due := [one for one in self.deadmen if one.due_ns is not None and one.due_ns <= end]:
            first = min(due, key=lambda one: one.due_ns or 0)
            self.now_ns = max(self.now_ns, first.due_ns or 0)
            first.due_ns = None
            first.expire()
        self.now_ns = end

    def step_mesh(self, seconds: float) -> None:
        self.offset_us += round(seconds * 1_000_000)


@dataclass
class FakeStream:
    """A recording into which the test puts sound."""

    rate_hz: int
    device: str | None
    block: int
    closed: bool = False
    taken: int = 0
    waiting: list[tuple[int, NDArray[np.float32]]] = field(default_factory=list)

    def put(self, start_ns: int, frames: NDArray[np.floating]) -> None:
        self.waiting.append((start_ns, frames.astype(np.float32)))

    def take(self) -> list[tuple[int, NDArray[np.float32]]]:
        self.taken += 1
        given, self.waiting = self.waiting, []
        return given

    def close(self) -> None:
        self.closed = True


@dataclass
class FakePlayer:
    """A sound output from which the test pulls sound; `problem` is what is wrong with it."""

    rate_hz: int
    device: str | None
    block: int
    fill: Fill
    problem: str | None = None
    underruns: int = 0
    faults: int = 0
    starts: int = 0
    playing: bool = False
    closed: bool = False

    def start(self) -> None:
        self.starts += 1
        self.playing = not self.closed

    def close(self) -> None:
        self.closed, self.playing = True, False

    def pull(self, start_ns: int, frames: int | None = None) -> NDArray[np.float32]:
        """One block, first heard at `start_ns`; silence where nothing plays."""
        out = np.zeros(frames or self.block, np.float32)
        if self.playing:
            out.fill(np.nan)
            self.playing = self.fill(out, start_ns)
        return out


class FakeAudio:
    """A sound card that keeps every stream it started; `missing` makes it refuse."""

    def __init__(self, *, missing: bool = False) -> None:
        self.missing = missing
        self.streams: list[FakeStream] = []
        self.players: list[FakePlayer] = []

    def play(self, *, rate_hz: int, device: str | None, block: int, fill: Fill) -> Player:
        self.players.append(FakePlayer(rate_hz, device, block, fill))
        return self.players[-1]

    def record(self, *, rate_hz: int, device: str | None, block: int) -> AudioStream:
        if self.missing:
            msg = "there is no microphone"
            raise DeviceUnavailableError(msg)
        self.streams.append(FakeStream(rate_hz, device, block))
        return self.streams[-1]


class FakeTerminal(io.StringIO):
    """A terminal, or a pipe, that keeps what was written."""

    def __init__(self, *, tty: bool = False) -> None:
        super().__init__()
        self.tty = tty

    def isatty(self) -> bool:
        return self.tty


class FakeDeadman:
    """A deadline that comes when the fake clock is moved past it."""

    def __init__(self, timeout_s: float, expire: Callable[[], None], clock: FakeClock) -> None:
        self.timeout_s = timeout_s
        self.expire = expire
        self.feeds = 0
        self.closed = False
        self.due_ns: int | None = None
        self._clock = clock
        clock.deadmen.append(self)

    def feed(self) -> None:
        self.feeds += 1
        self.due_ns = self._clock.now_ns + round(self.timeout_s * SECOND_NS)

    def close(self) -> None:
        self.closed = True
        self.due_ns = None


class FakePins:
    """gpiozero's own mock, whose changes are kept with the fake clock's time; `states` is what the pins are now."""

    def __init__(self, clock: FakeClock) -> None:
        self.changes: list[PinChange] = []
        self.factory = mock_pins(clock, self.changes)

    @property
    def states(self) -> dict[int, float]:
        return {change.pin: change.value for change in self.changes}

    def of(self, pin: int) -> list[float]:
        return [change.value for change in self.changes if change.pin == pin]

    def close_contact(self, pin: int) -> None:
        self.factory.pin(pin).drive_low()

    def open_contact(self, pin: int) -> None:
        self.factory.pin(pin).drive_high()

    def break_pin(self, pin: int) -> None:
        """Let every further write to a pin fail."""

        def fail(value: float) -> bool:
            msg = f"GPIO {pin} does not answer"
            raise OSError(msg)

        self.factory.pin(pin)._change_state = fail

    def mend_pin(self, pin: int) -> None:
        del self.factory.pin(pin)._change_state


class FakePorts:
    """All ports, faked; `asked` lists which a device wanted, in order."""

    def __init__(
        self, clock: FakeClock | None = None, audio: FakeAudio | None = None, terminal: FakeTerminal | None = None
    ) -> None:
        self.fake_clock = clock or FakeClock()
        self.fake_audio = audio or FakeAudio()
        self.fake_terminal = terminal or FakeTerminal()
        self.fake_pins = FakePins(self.fake_clock)
        self.asked: list[str] = []

    @property
    def clock(self) -> FakeClock:
        self.asked.append("clock")
        return self.fake_clock

    @property
    def audio(self) -> FakeAudio:
        self.asked.append("audio")
        return self.fake_audio

    @property
    def terminal(self) -> FakeTerminal:
        self.asked.append("terminal")
        return self.fake_terminal

    @property
    def pins(self) -> Any:
        self.asked.append("pins")
        return self.fake_pins.factory

    def deadman(self, timeout_s: float, expire: Callable[[], None]) -> FakeDeadman:
        self.asked.append("deadman")
        return FakeDeadman(timeout_s, expire, self.fake_clock)


_is_ports: Ports = FakePorts()
