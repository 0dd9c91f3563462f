"""The coherence engine: channels in, phases and what they are together out.

Everything is a function of the samples and the times that are handed in, so a run can be repeated bit for bit.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from becomingone.errors import KernelError
from becomingone.kairos.bands import DEFAULT_BANDS, Band
from becomingone.sdk.band_mesh import BandMesh
from becomingone.sdk.channel import EngineChannel
from becomingone.sdk.state import BandState, EngineState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from becomingone.kairos.channel.phase_block import PhaseBlock


@dataclass(frozen=True, slots=True)
class Chunk:
    """Uniform samples of one input.

    Parameters
    ----------
    time_us : int
        Of the first sample, in microseconds.
    samples : ndarray of float or complex, shape (n,), n ≥ 1
        In the sensor's unit; NaN where one is missing.
    spacing_s : float
        In seconds, > 0.
    """

    time_us: int
    samples: NDArray[np.float64] | NDArray[np.complex128]
    spacing_s: float


class CoherenceEngine:
    """Channels, in every band of a plan, and what they are together.

    Parameters
    ----------
    bands : sequence of Band
        The band plan; a channel takes part in those that its sample rate supports (4 samples a period).
    p_false : float
        Probability of a false alarm at one tick, 0 < p < 1.
    threshold : float
        Coherence above which, with significant locking, a band has emerged; 0..1.
    dwell_s : float
        For how long a decision must hold, ≥ 0.
    master_s : float
        Window of the Master, seconds, > 0 (at least 8τ of each band is taken).
    tick_s : float
        Seconds from tick to tick in :meth:`run`, and of the pairwise figures; > 0.

    Raises
    ------
    KernelError
        When a value is out of its range, or two bands have one name.

    Examples
    --------
    >>> import numpy as np
    >>> from becomingone.sdk import Band, CoherenceEngine
    >>> engine = CoherenceEngine([Band.of("stride", 0.78, 1.0)])
    >>> t = np.arange(1, 6001) / 50
    >>> for name, lag in (("thigh", 0.0), ("shank", 0.7)):
    ...     engine.add_channel(name, floor=0.05)
    ...     _ = engine.feed(name, np.cos(2 * np.pi * 0.78 * t - lag), spacing_s=1 / 50)
    >>> state = engine.tick()
    >>> round(state.bands["stride"].mesh.order, 2), state.bands["stride"].mesh.coherence > 0.99
    (0.94, True)
    """

    def __init__(
        self,
        bands: Sequence[Band] = DEFAULT_BANDS,
        *,
        p_false: float = 0.001,
        threshold: float = 0.75,
        dwell_s: float = 1.0,
        master_s: float = 600.0,
        tick_s: float = 0.05,
    ) -> None:
        if len({band.name for band in bands}) != len(bands) or not bands:
            raise KernelError("bands: at least one, and each name once")
        if not 0.0 <= threshold <= 1.0:
            raise KernelError(f"threshold is {threshold!r}; it must be within 0..1")
        for label, value in (("master_s", master_s), ("tick_s", tick_s)):
            if not (math.isfinite(value) and value > 0.0):
                raise KernelError(f"{label} is {value!r}; it must be finite and above 0")
        if not (math.isfinite(dwell_s) and dwell_s >= 0.0):
            raise KernelError(f"dwell_s is {dwell_s!r}; it must be finite and at least 0")
        self._plan = tuple(bands)
        self._p_false = p_false
        self._tick_s = tick_s
        self._channels: dict[str, EngineChannel] = {}
        self._meshes = {
            band.name: BandMesh(band, p_false, threshold, round(1e6 * dwell_s), master_s, tick_s) for band in bands
        }
        self._inputs: list[tuple[str, Iterator[Chunk]]] = []
        self._outputs: list[Callable[[EngineState], object]] = []
        self._last_us: int | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of all channels, in the order in which they were added."""
        return tuple(self._channels)

    def add_channel(self, name: str, *, floor: float = 0.0, real: bool = True, capability: float = 1.0) -> None:
        """Add a channel.

        Parameters
        ----------
        name : str
            Not empty, and not yet there.
        floor : float
            Amplitude in the sensor's unit below which there is no phase, ≥ 0. With 0 the noise of a sensor at rest
            has a phase too.
        real : bool
            Whether its samples are real.
        capability : float
            Its weight among the others, > 0.

        Raises
        ------
        KernelError
            When a value is out of its range or the name is taken.
        """
        if not name or name in self._channels:
            raise KernelError(f"channel name {name!r}: it must not be empty, nor be taken already")
        self._channels[name] = EngineChannel(
            name, len(self._channels), floor=floor, real=real, capability=capability, p_false=self._p_false
        )

    def feed(
        self,
        name: str,
        samples: NDArray[np.float64] | NDArray[np.complex128],
        *,
        spacing_s: float,
        time_us: int | None = None,
    ) -> dict[str, PhaseBlock]:
        """Take uniform samples of one channel.

        Parameters
        ----------
        name : str
            A channel that was added.
        samples : ndarray of float or complex, shape (n,), n ≥ 1
            In the sensor's unit; NaN where one is missing.
        spacing_s : float
            In seconds, > 0.
        time_us : int, optional
            Time of the first sample in microseconds; None: it follows on the last one (or starts at one spacing).

        Returns
        -------
        dict of str to PhaseBlock
            By band.

        Raises
        ------
        KernelError
            When the channel is unknown, the samples or their spacing have no meaning, time runs back or the rate is too
            low for any band. The channel is as it was before.
        """
        channel = self._channels.get(name)
        if channel is None:
            raise KernelError(
                f"no channel {name!r}; add_channel first (there are: {', '.join(self._channels) or 'none'})"
            )
        return channel.feed(self._plan, samples, spacing_s, time_us)

    def tick(self, time_us: int | None = None) -> EngineState:
        """Bring all channels to one instant and take them together.

        Parameters
        ----------
        time_us : int, optional
            Of the tick, in microseconds, later than that of the tick before; None: that of the newest sample.

        Raises
        ------
        KernelError
            When there is no sample yet, or the time is not later than the last tick's.
        """
        newest = max((e.time_us for c in self._channels.values() for e in c.evidence.values()), default=None)
        now = newest if time_us is None else time_us
        if now is None:
            raise KernelError("a tick before any sample")
        if self._last_us is not None and now <= self._last_us:
            raise KernelError(f"tick at {now} µs; it must be later than the last one, at {self._last_us} µs")
        elapsed_s = self._tick_s if self._last_us is None else (now - self._last_us) / 1e6
        bands: dict[str, BandState] = {}
        for name, mesh in self._meshes.items():
            channels = [channel for channel in self._channels.values() if name in channel.evidence]
            if channels:
                bands[name] = mesh.tick(channels, now, elapsed_s)
        self._last_us = now
        return EngineState(now, bands)

    def add_input(
        self, name: str, chunks: Iterable[Chunk], *, floor: float = 0.0, real: bool = True, capability: float = 1.0
    ) -> None:
        """Add a channel whose samples :meth:`run` draws from ``chunks``, which come in the order of time."""
        self.add_channel(name, floor=floor, real=real, capability=capability)
        self._inputs.append((name, iter(chunks)))

    def add_output(self, output: Callable[[EngineState], object]) -> None:
        """Have ``output`` called by :meth:`run` with the state after every tick."""
        self._outputs.append(output)

    def run(self) -> EngineState:
        """Draw from the inputs, in the order of their times, until all have ended; tick every ``tick_s`` of their time.

        The time is the samples' own: a recording runs as fast as it can be computed, a live input as fast as it comes.

        Returns
        -------
        EngineState
            After the last tick.

        Raises
        ------
        KernelError
            When there is no input, or one of them hands out what has no meaning.
        """
        waiting: list[tuple[float, int, Chunk]] = []
        for number, (_, chunks) in enumerate(self._inputs):
            _draw(waiting, number, chunks)
        if not waiting:
            raise KernelError("nothing to run; add_input first")
        step_us = max(1, round(1e6 * self._tick_s))
        next_us: int | None = None
        while waiting:
            # A tick is due once every chunk that ends before it has been taken.
            end_us, number, chunk = waiting[0]
            while next_us is not None and next_us < end_us:
                self._emit(next_us)
                next_us += step_us
            heapq.heappop(waiting)
            name, chunks = self._inputs[number]
            self.feed(name, chunk.samples, spacing_s=chunk.spacing_s, time_us=chunk.time_us)
            if next_us is None:
                next_us = math.ceil(end_us / step_us) * step_us
            _draw(waiting, number, chunks)
        return self._emit(next_us or 0)

    def _emit(self, time_us: int) -> EngineState:
        state = self.tick(time_us)
        for output in self._outputs:
            output(state)
        return state


def _draw(waiting: list[tuple[float, int, Chunk]], number: int, chunks: Iterator[Chunk]) -> None:
    """Put an input's next chunk among those that wait, by the time at which it is complete."""
    chunk = next(chunks, None)
    if chunk is not None:
        end_us = chunk.time_us + (len(chunk.samples) - 1) * 1e6 * chunk.spacing_s
        heapq.heappush(waiting, (end_us, number, chunk))
