"""WE: two named groups of a cell, people or rooms, that have become one; what is watched, and what is told of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, Final

from pydantic import Field, field_validator, model_validator

from becomingone.config.sections import Name, Section
from becomingone.hub.emergence.look import Look, Request, look
from becomingone.hub.intake.roster import Roster
from becomingone.hub.mesh.state import MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.hub.we.crossing import Crossing, Terms
from becomingone.hub.we.groups import Group, Pattern, overlap
from becomingone.kairos.bands import Band
from becomingone.runner import Runner

_LOG = logging.getLogger(__name__)

MAX_PATTERNS: Final = 256
"""Patterns of one group."""

Side = Annotated[tuple[Pattern, ...], Field(max_length=MAX_PATTERNS)]


class WePair(Section):
    """Two groups."""

    a: Annotated[Side, Field(description="nodes, or node/channel, of the one; * stands for any letters of a name")]
    b: Annotated[Side, Field(description="nodes, or node/channel, of the other")]
    bands: Annotated[
        tuple[Name, ...] | None, Field(min_length=1, description="bands in which they may be one; default: all")
    ] = None

    @field_validator("a", "b")
    @classmethod
    def _check_some(cls, group: tuple[str, ...]) -> tuple[str, ...]:
        if not group:
            msg = "a group has at least 1 node"
            raise ValueError(msg)
        return group

    @model_validator(mode="after")
    def _check_apart(self) -> WePair:
        for m, one in enumerate(self.a):
            for n, other in enumerate(self.b):
                if overlap(one, other):
                    msg = f"a[{m}] {one!r} and b[{n}] {other!r} match a channel in common; none may be in both"
                    raise ValueError(msg)
        return self


class WeSection(Section):
    """Which groups are watched, and when they count as one; times are in τ, the time constant of the band's filter."""

    pairs: Annotated[
        dict[Name, WePair], Field(max_length=64, description="by name, two groups: {a: [anna], b: [ben/leg]}")
    ] = {}  # noqa: RUF012 - pydantic copies it
    p_false: Annotated[
        float,
        Field(
            gt=0, le=0.1, description="probability of calling strangers one, of a pair in a band, in a window's time"
        ),
    ] = 0.01
    release_p: Annotated[
        float, Field(gt=0, lt=0.5, description="two that are one cease to be when the evidence is no better than this")
    ] = 0.1
    window_tau: Annotated[float, Field(ge=48, le=10_000, description="how far a look goes back, τ of the band")] = 240.0
    first_tau: Annotated[float, Field(ge=12, le=1000, description="phases that both must have for a look, τ")] = 12.0
    trend_tau: Annotated[float, Field(ge=4, le=64, description="fluctuations are about the mean over this time, τ")] = (
        8.0
    )
    settle_tau: Annotated[float, Field(ge=0, le=16, description="left out after a start, or a gap of τ, τ")] = 2.0
    cross_tau: Annotated[
        float, Field(ge=8, le=1000, description="time over which the difference of the two must not wander, τ")
    ] = 24.0
    dwell_tau: Annotated[float, Field(ge=0, le=1000, description="time for which it must hold, τ")] = 2.0

    @model_validator(mode="after")
    def _check_order(self) -> WeSection:
        if self.release_p < self.p_false:
            msg = f"release_p: {self.release_p:g} is below p_false, {self.p_false:g}; it must be at least that"
            raise ValueError(msg)
        least = 2.0 * (self.first_tau + self.settle_tau + self.trend_tau)
        if self.window_tau < least:
            msg = (
                f"window_tau: {self.window_tau:g} is too short; at least {least:g}, "
                "twice first_tau, settle_tau and trend_tau together"
            )
            raise ValueError(msg)
        return self

    @property
    def terms(self) -> Terms:
        """What is asked for, as the kernel's side takes it."""
        return Terms(
            p_false=self.p_false,
            release_p=self.release_p,
            window_tau=self.window_tau,
            first_tau=self.first_tau,
            trend_tau=self.trend_tau,
            settle_tau=self.settle_tau,
            cross_tau=self.cross_tau,
            dwell_tau=self.dwell_tau,
        )


class Groups:
    """Watches all pairs in all their bands.

    Parameters
    ----------
    section : WeSection
        The pairs.
    bands : sequence of Band
        The cell's plan.
    table, roster : ChannelTable, Roster
        The channels' live state, and who they belong to.
    runner : Runner
        Where looks are made; one takes some milliseconds.
    tell : callable
        Publishes an event of a kind: ``we``, ``we_dissolution``.
    tick_s : float
        Seconds between the hub's ticks.

    Raises
    ------
    ValueError
        A pair names a band that the plan has not.
    """

    def __init__(
        self,
        section: WeSection,
        bands: Sequence[Band],
        table: ChannelTable,
        roster: Roster,
        *,
        runner: Runner,
        tell: Callable[[str, dict[str, Any]], object],
        tick_s: float = 0.05,
    ) -> None:
        self._section = section
        self._table = table
        self._roster = roster
        self._runner = runner
        self._tell = tell
        self._failed = 0
        self._closed = False
        self._by_band: dict[str, list[Crossing]] = {band.name: [] for band in bands}
        for name, pair in section.pairs.items():
            check_bands(name, pair, self._by_band)
            for number, band in enumerate(bands):
                if pair.bands is None or band.name in pair.bands:
                    a, b = Group(pair.a, number), Group(pair.b, number)
                    self._by_band[band.name].append(Crossing(name, band, a, b, section.terms, 2.0 * tick_s))

    @property
    def one(self) -> frozenset[tuple[str, str]]:
        """The pairs that are one now, each with the band."""
        return frozenset((c.name, c.band.name) for crossings in self._by_band.values() for c in crossings if c.one)

    def take(self, state: MeshState) -> None:
        """Take the bands that were evaluated at this tick."""
        for band in state.bands:
            for crossing in self._by_band[band.name]:
                if crossing.take(band, self._table):
                    self._tell("we" if crossing.one else "we_dissolution", crossing.event(self._table))
                request = None if self._closed else crossing.request()
                if request is not None:
                    self._ask(crossing, request)

    def figures(self) -> dict[str, Any]:
        """Give all of it as JSON has it, for the snapshot; ``docs/master.md`` explains each field."""
        pairs: dict[str, dict[str, Any]] = {name: {} for name in self._section.pairs}
        for crossings in self._by_band.values():
            for crossing in crossings:
                pairs[crossing.name][crossing.band.name] = crossing.figures()
        return {"failed_looks": self._failed, "unheard": self._unheard(), "pairs": pairs}

    def _unheard(self) -> list[str]:
        """Give the nodes that a pair names and nobody has heard of: they may come, or be misspelt."""
        named = {pattern.partition("/")[0] for pair in self._section.pairs.values() for pattern in (*pair.a, *pair.b)}
        return sorted(node for node in named if "*" not in node and self._roster.get(node) is None)

    def close(self) -> None:
        """Look no more."""
        self._closed = True

    def _ask(self, crossing: Crossing, request: Request) -> None:
        def answered(result: object, error: BaseException | None) -> None:
            if error is not None:
                self._failed += 1
                _LOG.error("a look at %s in the band %s failed: %r", crossing.name, crossing.band.name, error)
            crossing.answer(result if isinstance(result, Look) else None)

        self._runner.submit(partial(look, request), answered)


def check_bands(name: str, pair: WePair, plan: Sequence[str] | dict[str, Any]) -> None:
    """Refuse a pair that names a band that the plan has not.

    Raises
    ------
    ValueError
        With the field.
    """
    for n, band in enumerate(pair.bands or ()):
        if band not in plan:
            msg = f"we.pairs.{name}.bands.{n}: the plan has no band {band}; it has {', '.join(plan)}"
            raise ValueError(msg)
