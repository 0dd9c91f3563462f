"""From a channel's samples to its phase frames: one kernel a band, one frame a frame period."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from becomingone.devices.contract import Block, Channel, Origin
from becomingone.kairos.bands import Band
from becomingone.kairos.channel.kernel import ChannelKernel, PhaseBlock
from becomingone.scheduling import MeshClock
from becomingone.wire.frame import MAX_SAMPLES, Flags, PhaseFrame

# As plain integers: what enum makes of each | costs as much as an encoded figure.
_VALID, _GAP, _SATURATED, _UNDECIDABLE = map(int, (Flags.VALID, Flags.GAP, Flags.SATURATED, Flags.UNDECIDABLE))
_ORIGIN_FLAG = {"live": 0, "replayed": int(Flags.REPLAYED), "simulated": int(Flags.SIMULATED)}
_FLAGS: Final = tuple(map(Flags, range(128)))
_JITTER = 0.5
"""A block that begins at most this part of a spacing later than expected follows without a gap."""

_LATE = 3.0
"""Spacings after which a single value that is late is preceded by a gap; time that goes back further is one too."""


PER_TAU: Final = 128
"""Phasors in a time constant of the band that are sent, at most: the filter leaves nothing that more would show."""


class ChannelId(NamedTuple):
    """Where a channel's frames go: the topic's last two levels."""

    band: str
    channel: str


class Stream(NamedTuple):
    """What a pipeline is made for.

    Parameters
    ----------
    band : Band
        What to demodulate at.
    channel : Channel
        The sensor's stream: its rate and floor.
    origin : str
        Where the samples come from; flagged in every frame.
    frame_s : float
        Least time between frames, s.
    """

    band: Band
    channel: Channel
    origin: Origin
    frame_s: float


Emit = Callable[[ChannelId, PhaseFrame], None]


class ChannelPipeline:
    """One channel in one band.

    Parameters
    ----------
    identity : ChannelId
        Where the frames go.
    of : Stream
        What it is made for.
    boot : int
        The node's boot id.
    clock : MeshClock
        Gives mesh times and their uncertainty.
    p_false : float
        Probability of calling noise coherent.
    first_seq : int
        Number of its first frame.
    """

    def __init__(
        self,
        identity: ChannelId,
        of: Stream,
        *,
        boot: int,
        clock: MeshClock,
        p_false: float,
        first_seq: int = 0,
    ) -> None:
        self.identity = identity
        self.of = of
        self.next_seq = first_seq
        self._kernel = ChannelKernel(of.band, floor=of.channel.floor, p_false=p_false)
        self._origin = _ORIGIN_FLAG[of.origin]
        self._boot = boot
        self._clock = clock
        self._frame_ns = int(of.frame_s * 1e9)
        self._stride = max(1, int(of.band.tau_s * of.channel.rate_hz / PER_TAU))
        self._next_ns: float | None = None
        self._last_frame_ns: int | None = None
        self._flags = 0

    def take(self, block: Block, emit: Emit) -> None:
        """Feed samples in and emit the frames that fall due."""
        if not len(block.samples):
            return
        self._flags |= _SATURATED if block.saturated else 0
        if len(block.samples) == 1:
            self._take_one(block, emit)
            return
        follows = self._continue(block)
        for first in range(0, len(block.samples), MAX_SAMPLES):
            samples = block.samples[first : first + MAX_SAMPLES]
            start_ns = block.start_ns + round(first * block.spacing_ns)
            result = self._kernel.block(samples, block.spacing_ns / 1e9, gap=not follows and first == 0)
            self._next_ns = start_ns + len(samples) * block.spacing_ns
            self._emit(result, start_ns, block.spacing_ns, emit)

    def _continue(self, block: Block) -> bool:
        """Let the time of a gap pass in the kernel; tell whether the block follows without one."""
        if self._next_ns is None:
            return not block.gap
        late_ns = block.start_ns - self._next_ns
        if late_ns > _JITTER * block.spacing_ns:
            self._kernel.skip(late_ns / 1e9)
            return False
        return late_ns >= -_LATE * block.spacing_ns and not block.gap

    def _take_one(self, block: Block, emit: Emit) -> None:
        """Take a single value at its own instant, evenly spaced or not."""
        nominal_ns = block.spacing_ns
        dt_ns = nominal_ns if self._next_ns is None else block.start_ns - (self._next_ns - nominal_ns)
        gap = block.gap
        if dt_ns < -_LATE * nominal_ns:  # time went back, or an earlier time was wrong: go on from here
            dt_ns, gap = nominal_ns, True
            self._last_frame_ns = None
        elif dt_ns <= 0:  # two readings at one instant: the later one says nothing about a rhythm
            return
        elif dt_ns > _LATE * nominal_ns:
            self._kernel.skip((dt_ns - nominal_ns) / 1e9)
            dt_ns, gap = nominal_ns, True
        result = self._kernel.step(float(block.samples[0]), dt_ns / 1e9)
        self._next_ns = block.start_ns + nominal_ns
        self._flags |= _GAP if gap or result.gap else 0
        due = self._last_frame_ns is None or block.start_ns - self._last_frame_ns >= self._frame_ns - nominal_ns / 2
        if due:
            self._last_frame_ns = block.start_ns
            self._emit(result, block.start_ns, None, emit)

    def _emit(self, result: PhaseBlock, start_ns: int, spacing_ns: float | None, emit: Emit) -> None:
        phasors = result.phasors
        if spacing_ns is not None and self._stride > 1:  # the last is always among them: it is the live state
            first = (len(phasors) - 1) % self._stride
            phasors = phasors[first :: self._stride]
            start_ns += round(first * spacing_ns)
            spacing_ns *= self._stride
        flags = self._flags | self._origin
        flags |= _VALID if result.valid else 0
        flags |= _GAP if result.gap else 0
        flags |= 0 if result.decidable else _UNDECIDABLE
        frame = PhaseFrame(
            boot=self._boot,
            seq=self.next_seq,
            time_us=self._clock.mesh_us(start_ns),
            phasors=_unit(phasors),
            spacing_us=None if len(phasors) == 1 or spacing_ns is None else spacing_ns / 1e3,
            coherence=result.coherence if result.valid else 0.0,
            n_eff=result.n_eff,
            p=result.p if result.valid else 1.0,
            omega=result.omega,
            omega_sigma=result.omega_sigma,
            phase_sigma=result.phase_sigma,
            clock_sigma_s=self._clock.sigma_s,
            flags=_FLAGS[flags],
            resonance=result.resonance,
        )
        self.next_seq += 1
        self._flags = 0
        emit(self.identity, frame)


def _unit(phasors: NDArray[np.complex128]) -> NDArray[np.complex64]:
    return phasors.astype(np.complex64)


class DevicePipeline:
    """All channels of one device in all their bands.

    Parameters
    ----------
    pipelines : sequence of (str, ChannelPipeline)
        Each with the name of the device's channel that feeds it.
    """

    def __init__(self, pipelines: Sequence[tuple[str, ChannelPipeline]]) -> None:
        self._by_channel: dict[str, list[ChannelPipeline]] = {}
        for name, pipeline in pipelines:
            self._by_channel.setdefault(name, []).append(pipeline)

    def take(self, blocks: Sequence[Block], emit: Emit) -> None:
        """Feed what a device has read."""
        for block in blocks:
            for pipeline in self._by_channel.get(block.channel, ()):
                pipeline.take(block, emit)
