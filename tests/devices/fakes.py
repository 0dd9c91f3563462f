"""Fake hardware that records what was asked of it. One file for every room's tests."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from becomingone.devices.contract import AudioStream, Ports
from becomingone.errors import DeviceUnavailableError

SECOND_NS = 1_000_000_000


class FakeClock:
    """Both clocks stand still until `advance`; `step_mesh` moves only the mesh's."""

    def __init__(self, *, mesh_us: int = 1_700_000_000_000_000, monotonic_ns: int = 50 * SECOND_NS) -> None:
        self.now_ns = monotonic_ns
        self.offset_us = mesh_us - monotonic_ns // 1_000
        self.looks = 0

    def monotonic_ns(self) -> int:
        self.looks += 1
        return self.now_ns

    def mesh_us(self, monotonic_ns: int) -> int:
        return monotonic_ns // 1_000 + self.offset_us

    def advance(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND_NS)

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


class FakeAudio:
    """A sound card that keeps every stream it started; `missing` makes it refuse."""

    def __init__(self, *, missing: bool = False) -> None:
        self.missing = missing
        self.streams: list[FakeStream] = []

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


class FakePorts:
    """All ports, faked; `asked` lists which a device wanted, in order."""

    def __init__(
        self, clock: FakeClock | None = None, audio: FakeAudio | None = None, terminal: FakeTerminal | None = None
    ) -> None:
        self.fake_clock = clock or FakeClock()
        self.fake_audio = audio or FakeAudio()
        self.fake_terminal = terminal or FakeTerminal()
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


_is_ports: Ports = FakePorts()
