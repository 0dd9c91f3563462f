"""TemporalMemory: signatures kept and found again, and what the coherence was.

The documents' interface, ``snapshot``, ``retrieve`` and ``reconstruct_coherence``, in seconds since the Unix epoch and
to be awaited, is `AsyncTemporalMemory`; underneath, in µs and to be called, is `TemporalMemory`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

from becomingone.errors import KernelError
from becomingone.hub.memory.figures import clean, parts
from becomingone.hub.memory.history import CoherenceState, reconstruct
from becomingone.hub.memory.protocol import Entry, Reading
from becomingone.hub.memory.recollect import Recalled, recollect
from becomingone.hub.memory.tiers import Tiers
from becomingone.kairos.bands import Band
from becomingone.kairos.memory.intake import MAX_TIME_US

_EARLIEST_US = 0


class Source(Protocol):
    """A memory, as far as signatures are concerned."""

    def append(self, kind: str, time_us: int, body: Mapping[str, Any]) -> bool:
        """Take an entry."""
        ...

    def reader(self) -> Reading:
        """Open it for reading."""
        ...


@dataclass(frozen=True, slots=True)
class TemporalSignature:
    """What the mesh, or one of its bands, was at a moment that mattered.

    Parameters
    ----------
    time_us : int
        Mesh time, µs.
    coherence : float
        0..1.
    phase : complex
        T_global, in the unit disc.
    witnesses : Mapping
        What bore witness to it: the band's figures, its T_τ as ``resonance``, the last record of each layer.
    band : str or None
        The band; None where whoever took it named none.
    why : str
        What had changed.
    number : int or None
        Its place in the memory's chain, by which it is verified; None before it has been written.
    """

    time_us: int
    coherence: float
    phase: complex
    witnesses: Mapping[str, Any] = field(default_factory=dict[str, Any])
    band: str | None = None
    why: str = "asked"
    number: int | None = None

    @property
    def timestamp(self) -> float:
        """Seconds since the Unix epoch."""
        return self.time_us / 1e6

    def body(self) -> dict[str, Any]:
        """Give what is written."""
        return {
            **({"band": self.band} if self.band is not None else {}),
            "why": self.why,
            "coherence": self.coherence,
            "phase": parts(self.phase),
            "witnesses": clean(self.witnesses),
        }

    @classmethod
    def of(cls, entry: Entry) -> TemporalSignature:
        """Read what was written.

        Raises
        ------
        KernelError
            It is none.
        """
        body = entry.body
        try:
            real, imag = body["phase"]
            return cls(
                time_us=entry.time_us,
                coherence=float(body["coherence"]),
                phase=complex(float(real), float(imag)),
                witnesses=dict(body.get("witnesses", {})),
                band=body.get("band"),
                why=str(body.get("why", "")),
                number=entry.number,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise KernelError(f"entry {entry.number} is no signature: {error!r}") from error


class TemporalMemory:
    """The memory of signatures and coherence.

    Parameters
    ----------
    memory : Source
        Where they are.
    bands : sequence of Band
        The plan.
    tiers : mapping of str to Tiers
        The bands' tiers: those of the recorder that runs, or what `tier_entries.restored` has put together.
    """

    def __init__(self, memory: Source, bands: Sequence[Band], tiers: Mapping[str, Tiers]) -> None:
        self._memory = memory
        self._bands = bands
        self._tiers = tiers

    def snapshot(
        self, time_us: int, coherence: float, phase: complex, witnesses: Mapping[str, Any], *, band: str | None = None
    ) -> TemporalSignature:
        """Write a signature.

        Parameters
        ----------
        time_us : int
            Mesh time, µs.
        coherence : float
            0..1.
        phase : complex
            In the unit disc.
        witnesses : Mapping
            What JSON can hold.
        band : str, optional
            Whose it is.

        Raises
        ------
        KernelError
            A value is out of its range, or the memory has no room for it now.
        """
        if not 0.0 <= coherence <= 1.0 or not abs(phase) <= 1.0 + 1e-9:
            raise KernelError(
                f"coherence {coherence!r} and phase {phase!r}; they must be within 0..1 and the unit disc"
            )
        if not _EARLIEST_US <= time_us <= MAX_TIME_US:
            raise KernelError(f"time {time_us} µs; it must be within 0..2^60")
        signature = TemporalSignature(time_us, coherence, phase, dict(witnesses), band)
        if not self._memory.append("signature", time_us, signature.body()):
            raise KernelError("the memory has no room for a signature now: try again after its next commit")
        return signature

    def retrieve(self, start_us: int, end_us: int) -> list[TemporalSignature]:
        """Give the signatures in [start, end), µs, in the order of time.

        Raises
        ------
        KernelError
            The range is empty.
        """
        if not start_us < end_us:
            raise KernelError(f"range {start_us}..{end_us} µs; the end must be after the start")
        with closing(self._memory.reader()) as past:
            return [TemporalSignature.of(entry) for entry in past.entries("signature", start_us, end_us)]

    def reconstruct_coherence(self, time_us: int, window_us: int = 0) -> CoherenceState:
        """Say what the coherence was; see `history.reconstruct`.

        Raises
        ------
        KernelError
            The time or the window is out of its range.
        """
        if not 0 <= time_us <= MAX_TIME_US or not 0 <= window_us <= MAX_TIME_US:
            raise KernelError(f"time {time_us} and window {window_us} µs; they must be within 0..2^60")
        with closing(self._memory.reader()) as past:
            return reconstruct(past, self._tiers, self._bands, time_us, window_us)

    def calm(self) -> TemporalMemory:
        """Give one with copies of the tiers, which another thread may ask while these go on."""
        return TemporalMemory(self._memory, self._bands, {name: tiers.copy() for name, tiers in self._tiers.items()})

    def coherence_history(self, band: str, start_us: int, end_us: int) -> Iterator[tuple[int, float, float]]:
        """Give (time, coherence, order) of every entry of a band in [start, end), µs."""
        with closing(self._memory.reader()) as past:
            for entry in past.entries("mesh", start_us, end_us):
                body = entry.body.get("bands", {}).get(band)
                if body and body.get("channels"):
                    yield int(body["time_us"]), float(body["coherence"]), float(body["order"])

    def recollect(self, band: str, time_us: int, *, top: int = 5, apart_us: int = 60_000_000) -> Recalled:
        """Find the past moments that were most like one; see `recollect.recollect`.

        Raises
        ------
        KernelError
            There is no pattern at that time.
        """
        with closing(self._memory.reader()) as past:
            return recollect(past, band, time_us, top=top, apart_us=apart_us)

    def witness_log(self, start_us: int, end_us: int, *, layer: str | None = None) -> Iterator[Entry]:
        """Give what the witnesses have recorded in [start, end), µs."""
        with closing(self._memory.reader()) as past:
            for entry in past.entries("witness", start_us, end_us):
                if layer in (None, entry.body.get("layer")):
                    yield entry

    def mesh_states(self, start_us: int, end_us: int) -> Iterator[Entry]:
        """Give the mesh's states in [start, end), µs."""
        with closing(self._memory.reader()) as past:
            yield from past.entries("mesh", start_us, end_us)


class AsyncTemporalMemory:
    """The documents' interface; what reads runs in a thread, for it may take longer than a turn.

    Parameters
    ----------
    memory : TemporalMemory
        What it stands for.
    in_thread : callable, optional
        Runs a call elsewhere; ``asyncio.to_thread`` by default.
    """

    def __init__(self, memory: TemporalMemory, *, in_thread: Callable[..., Any] = asyncio.to_thread) -> None:
        self._memory = memory
        self._in_thread = in_thread

    async def snapshot(
        self, timestamp: float, coherence: float, phase: complex, witnesses: Mapping[str, Any]
    ) -> TemporalSignature:
        """Save a temporal signature; see `TemporalMemory.snapshot`."""
        return self._memory.snapshot(_us(timestamp), coherence, phase, witnesses)

    async def retrieve(self, start_time: float, end_time: float) -> list[TemporalSignature]:
        """Retrieve the signatures in a time range; see `TemporalMemory.retrieve`."""
        found: list[TemporalSignature] = await self._in_thread(self._memory.retrieve, _us(start_time), _us(end_time))
        return found

    async def reconstruct_coherence(self, timestamp: float) -> CoherenceState:
        """Reconstruct what the mesh's coherence looked like; see `TemporalMemory.reconstruct_coherence`."""
        state: CoherenceState = await self._in_thread(self._memory.calm().reconstruct_coherence, _us(timestamp))
        return state


def _us(timestamp: float) -> int:
    """Give µs.

    Raises
    ------
    KernelError
        It is not a finite number of seconds since the epoch.
    """
    if not 0.0 <= timestamp <= MAX_TIME_US / 1e6:
        raise KernelError(f"timestamp {timestamp!r}; it must be seconds since the Unix epoch")
    return round(timestamp * 1e6)
