"""A tone on a sound card that glides with its commands: no clicks, never at full scale."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from becomingone.devices._tone import Tone
from becomingone.devices.contract import Ports, SoundAt, Wire
from becomingone.errors import DeviceUnavailableError

_NS = 1_000_000_000
_BLOCKS_HZ = 100
_RANGES = {"frequency": (20.0, 20_000.0), "volume": (0.0, 1.0)}
_LOUDEST = 0.9
_WAITING = 64
_JUMP_NS = 20_000_000
"""A block that begins further than this from the end of the one before begins a new stretch of sound."""

_LONGEST_DELAY_NS = 250_000_000
"""A change that comes later than this was held up by something else than the card's bursts."""


class Options(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """Which sound output, and how it sounds."""

    device: Annotated[str | None, Field(description="name of the sound output; the system's default")] = None
    rate_hz: Annotated[int, Field(ge=44_100, le=192_000, description="sound samples a second, Hz")] = 48_000
    gain: Annotated[float, Field(ge=0, le=_LOUDEST, description="amplitude at volume 1, as a part of full scale")] = 0.3
    glide_s: Annotated[
        float, Field(ge=0.002, le=5, description="s in which frequency and volume glide to what is commanded")
    ] = 0.05
    release_s: Annotated[float, Field(ge=0.002, le=0.1, description="s in which it fades to silence at rest")] = 0.05

    def wiring(self) -> list[Wire]:
        """Give the one connection."""
        return [Wire(SoundAt("out", self.device), "the speaker, with an amplifier")]


class _Change(NamedTuple):
    when_ns: int
    frequency_hz: float
    amplitude: float


class Device:
    """An output with the role ``speaker``: one tone.

    What is commanded is heard after a delay that is always the same, `latency_s`, although the card asks for its
    blocks in bursts: each change is put at its own place in the sound. The delay is what the slowest change has taken
    since the card began to play, at most 0.25 s.

    Parameters
    ----------
    options : Options
        Which sound output.
    ports : Ports
        Lends the sound card and the clock. Where there is no card, or no longer, `apply` says so, and the card is
        looked for again and again.

    Examples
    --------
    >>> Options(gain=0.5).glide_s
    0.05
    """

    role = "speaker"

    def __init__(self, options: Options, ports: Ports) -> None:
        self.dropped = 0
        self._options = options
        self._clock = ports.clock
        self._tone = Tone(options.rate_hz)
        self._lock = threading.Lock()
        self._changes: deque[_Change] = deque()
        self._resting = True
        self._fading = False
        self._delay_ns = 0
        self._steady_ns = 0
        self._next_ns: int | None = None
        self._player = ports.audio.play(
            rate_hz=options.rate_hz, device=options.device, block=options.rate_hz // _BLOCKS_HZ, fill=self._fill
        )

    @property
    def latency_s(self) -> float | None:
        """Seconds from a command to the middle of its glide being heard, as the card tells; None before any sound."""
        return self._delay_ns / _NS + self._options.glide_s / 2 if self._delay_ns else None

    @property
    def underruns(self) -> int:
        """How often the card ran dry."""
        return self._player.underruns

    @property
    def faults(self) -> int:
        """How often the sound could not be made."""
        return self._player.faults

    @property
    def remark(self) -> str:
        """That the card runs dry, which is heard as a crackle."""
        times = self._player.underruns
        return f"the sound card ran dry {times} times" if times else ""

    def apply(self, values: Mapping[str, float]) -> None:
        """Glide to a tone.

        Parameters
        ----------
        values : mapping
            ``frequency``, 20..20,000 Hz, and ``volume``, 0..1.

        Raises
        ------
        ValueError
            Another value, one missing, or one out of its range.
        DeviceUnavailableError
            Nothing can be heard just now.
        """
        if set(values) != set(_RANGES):
            msg = f"a speaker takes frequency and volume, not {', '.join(sorted(values)) or 'nothing'}"
            raise ValueError(msg)
        for name, (least, most) in _RANGES.items():
            if not (math.isfinite(values[name]) and least <= values[name] <= most):
                msg = f"{name} must be {least:g}..{most:g}, not {values[name]}"
                raise ValueError(msg)
        problem = self._player.problem
        if problem is None:
            change = _Change(self._clock.monotonic_ns(), values["frequency"], values["volume"] * self._options.gain)
            with self._lock:
                self._resting = False
                self._changes.append(change)
                if len(self._changes) > _WAITING:
                    self._changes.popleft()
                    self.dropped += 1
        self._player.start()
        if problem is not None:
            raise DeviceUnavailableError(problem)

    def rest(self) -> None:
        """Fade to silence within ``release_s``, and let the card go."""
        with self._lock:
            self._resting = True
            self._changes.clear()

    def close(self) -> None:
        """Stop at once, for good."""
        self.rest()
        self._player.close()

    def _fill(self, out: NDArray[np.float32], start_ns: int) -> bool:
        """Make a block of sound; see `becomingone.devices.contract.Fill`."""
        if self._next_ns is None or abs(start_ns - self._next_ns) > _JUMP_NS:
            self._steady_ns, self._delay_ns = self._clock.monotonic_ns(), 0
        self._next_ns = start_ns + len(out) * _NS // self._options.rate_hz
        with self._lock:
            resting = self._resting
            due = [] if resting else self._take_due(start_ns, len(out))
        if resting and not self._fading and not self._tone.silent:
            self._tone.go(0.0, self._frames(self._options.release_s))
        self._fading = resting
        place = 0
        for at, change in due:
            self._tone.render(out[place:at])
            self._tone.go(change.amplitude, self._frames(self._options.glide_s), frequency_hz=change.frequency_hz)
            place = at
        self._tone.render(out[place:])
        np.clip(out, -_LOUDEST, _LOUDEST, out=out)
        more = not (resting and self._tone.silent)
        if not more:
            self._next_ns = None
        return more

    def _take_due(self, start_ns: int, frames: int) -> list[tuple[int, _Change]]:
        """Take the changes that fall into a block, each with its place in it."""
        due: list[tuple[int, _Change]] = []
        while self._changes:
            change = self._changes[0]
            late_ns = start_ns - (change.when_ns + self._delay_ns)
            # What waited for the card to be opened, or to go on, says nothing about the card's bursts.
            if 0 < late_ns <= _LONGEST_DELAY_NS and change.when_ns >= self._steady_ns:
                self._delay_ns += late_ns
            place = round(max(0, -late_ns) * self._options.rate_hz / _NS)
            if place >= frames:
                break
            due.append((place, self._changes.popleft()))
        return due

    def _frames(self, seconds: float) -> int:
        return round(seconds * self._options.rate_hz)
