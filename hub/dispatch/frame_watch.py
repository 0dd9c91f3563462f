"""Which outputs a live frame moves, and when they are looked at: at once, but no more often than there is time for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final

from becomingone.hub.dispatch.driven import Driven
from becomingone.hub.mesh.state import BandState
from becomingone.hub.rules.node_fields import NodeRows
from becomingone.hub.rules.view import Looks
from becomingone.scheduling import NANOSECONDS, MeshClock, Scheduler, Timer
from becomingone.wire.rate import Bucket

AT_ONCE: Final = 50.0
"""Looks and commands that frames may set off at once."""

CHEAP_NS: Final = 2 * NANOSECONDS // 1_000
"""A turn of at most so many nanoseconds costs nobody else theirs."""

REST: Final = 4
"""After a longer one the others have so many times what it took beyond that."""

MOST_REST_NS: Final = NANOSECONDS // 20

Glance = Callable[[int, int], BandState]
"""Looks at a band, by its number in the plan, at a mesh time; teaches nothing."""

Drive = Callable[[Sequence[Driven], Looks, int, int], None]
"""Drives outputs, given how to look at bands that have moved, as of a mesh time, µs, and a monotonic one, ns."""


class FrameWatch:
    """Looks at the outputs that frames move, in a turn of its own; what comes before that turn is looked at with it.

    Parameters
    ----------
    rows : NodeRows or None
        The nodes' channels in the table where frames are stored.
    glance : callable or None
        Looks at one band; without it, or without a table, no frame sets off anything.
    hz : float
        Looks a second, and commands beyond the first of each; 0: none.
    clock, scheduler : MeshClock, Scheduler
        The hub's.
    drive : callable
        Called in that turn.
    suppressed : Counter of str
        Counts, as ``frames``, how often frames had to wait for their look.

    Attributes
    ----------
    budget : Bucket
        Whence the commands of a look are taken, but for the first.
    """

    def __init__(
        self,
        rows: NodeRows | None,
        glance: Glance | None,
        hz: float,
        *,
        clock: MeshClock,
        scheduler: Scheduler,
        drive: Drive,
        suppressed: Counter[str],
    ) -> None:
        self.budget = Bucket(max(hz, 1e-9), min(AT_ONCE, max(1.0, hz)))
        self._of = rows if hz > 0.0 else None
        self._glance = glance
        self._pause_ns = int(NANOSECONDS / max(hz, 1e-9))
        self._clock = clock
        self._scheduler = scheduler
        self._drive = drive
        self._suppressed = suppressed
        self._bands: dict[int, list[Driven]] = {}
        self._rows: dict[int, list[Driven]] = {}
        self._names: Sequence[str] = ()
        self._moved: set[int] = set()
        self._moved_rows: set[int] = set()
        self._since: set[int] = set()
        self._turn: Timer | None = None
        self._waits = False
        self._rested_ns = 0

    @property
    def active(self) -> bool:
        """Whether frames set off anything."""
        return self._of is not None and self._glance is not None

    def begin(self, names: Sequence[str]) -> None:
        """Forget what is watched: a tick has looked at everything; `names` are the bands', in the plan's order."""
        self._names = names
        self._bands = {}
        self._rows = {}
        self._since.clear()

    def watch(self, one: Driven, bands: Iterable[int], nodes: Iterable[tuple[int, int]]) -> None:
        """Have an output driven by every frame of some bands, and by those of some nodes in a band."""
        for band in bands:
            self._bands.setdefault(band, []).append(one)
        if self._of is not None:
            for band, node in nodes:
                for row in self._of.of(band, node):
                    self._rows.setdefault(row, []).append(one)

    def moved(self, rows: Sequence[int]) -> None:
        """Take note that live frames have been stored; costs next to nothing where no output depends on them.

        Parameters
        ----------
        rows : sequence of int
            Their rows in the table.
        """
        if self._of is None or not (self._bands or self._rows):
            return
        watched = self._rows.keys() & rows if self._rows else ()
        bands: set[int] = set()
        if self._bands and (self._waits or len(self._moved) < len(self._bands)):
            band_of = self._of.table["band"]
            bands = ({int(band_of[rows[0]])} if len(rows) == 1 else set(band_of[rows].tolist())) & self._bands.keys()
        if not watched and not bands:
            return
        self._moved |= bands
        self._moved_rows.update(watched)
        if self._turn is None:
            self._turn = self._scheduler.call_at(max(self._clock.monotonic_ns(), self._rested_ns), self._look)
        elif self._waits:
            self._suppressed["frames"] += 1

    def close(self) -> None:
        """Look at nothing any more."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self.begin(())
        self._moved.clear()
        self._moved_rows.clear()

    def _look(self) -> None:
        self._turn = None
        now_ns = self._clock.monotonic_ns()
        if not self.budget.take(now_ns):
            self._suppressed["frames"] += 1
            self._waits = True
            self._turn = self._scheduler.call_at(now_ns + self._pause_ns, self._look)
            return
        self._waits = False
        bands, self._moved = self._moved, set()
        rows, self._moved_rows = self._moved_rows, set()
        self._since |= bands
        outputs = {id(one): one for band in sorted(bands) for one in self._bands.get(band, ())}
        outputs.update((id(one), one) for row in sorted(rows) for one in self._rows.get(row, ()))
        now_us = self._clock.mesh_us(now_ns)
        if outputs and self._glance is not None:
            looks = {self._names[band]: partial(self._glance, band, now_us) for band in self._since}
            self._drive(list(outputs.values()), looks, now_us, now_ns)
        end_ns = self._clock.monotonic_ns()
        self._rested_ns = end_ns + min(MOST_REST_NS, REST * max(0, end_ns - now_ns - CHEAP_NS))
