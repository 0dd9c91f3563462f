"""What expressions see: the mesh at one instant, read once, worked out only as far as a rule asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

from becomingone.hub.intake.roster import Roster
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.rules.errors import Undefined
from becomingone.hub.rules.node_fields import NodeField, NodeRows, node_field, node_fields
from becomingone.wire.announce import State

Pairs = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Figures of the pairs of ``we``, by pair and band."""

NO_PAIRS: Final[Pairs] = {}

Looks = Mapping[str, Callable[[], BandState]]
"""How to look at bands, by name, that have moved since they were evaluated."""

_NO_LOOKS: Final[Looks] = {}

_SINGLY: Final = 2
"""Nodes of a band that are taken one by one; when one more is asked for, all of them are taken at once."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a view looks things up.

    Parameters
    ----------
    roster : Roster
        The nodes.
    rows : NodeRows or None
        The nodes' channels; without them no node has a phase.
    zone : tzinfo or None
        The cell's local time; without it there is no time of day.
    emerged : callable
        Gives the names of the bands that have emerged.
    pairs : callable
        Gives the figures of the pairs of groups; asked at most once for a view.
    """

    roster: Roster
    rows: NodeRows | None = None
    zone: tzinfo | None = None
    emerged: Callable[[], frozenset[str]] = frozenset
    pairs: Callable[[], Pairs] = lambda: NO_PAIRS


class View:
    """The mesh at one instant.

    Parameters
    ----------
    sources : Sources
        Where things are looked up.
    state : MeshState
        Its bands.
    time_us : int
        The instant, mesh time in µs; mean fields are carried on to it.
    now_ns : int
        The same on the hub's monotonic clock.
    follow : str, optional
        The band of rules that name none; by default the dominant one.
    looks : mapping of str to callable
        For bands that have moved since they were evaluated: each is looked at when somebody asks for it.

    Attributes
    ----------
    followed_name : str or None
        The band of rules that name none; None where there is none.
    """

    def __init__(
        self,
        sources: Sources,
        state: MeshState,
        *,
        time_us: int,
        now_ns: int,
        follow: str | None = None,
        looks: Looks = _NO_LOOKS,
    ) -> None:
        self.time_us = time_us
        self.now_ns = now_ns
        self.memo: dict[object, object] = {}
        self._sources = sources
        self._state = state
        self._bands = {band.name: band for band in state.bands}
        self._looks = dict(looks)
        self._fields: dict[str, dict[int, NodeField]] = {}
        self._singly: dict[tuple[str, int], NodeField | None] = {}
        self._local: datetime | None = None
        self._pairs: Pairs | None = None
        self._emerged: frozenset[str] | None = None
        if follow is None:
            dominant = state.dominant
            follow = None if dominant is None else dominant.name
        self.followed_name = follow if follow in self._bands else None

    @property
    def followed(self) -> BandState | None:
        """The band of rules that name none."""
        return None if self.followed_name is None else self.band(self.followed_name)

    @property
    def emerged(self) -> frozenset[str]:
        """The bands that have emerged."""
        if self._emerged is None:
            self._emerged = self._sources.emerged()
        return self._emerged

    def band(self, name: str) -> BandState | None:
        """Give a band as it is now; None where there is none of this name."""
        look = self._looks.pop(name, None)
        if look is not None:
            self._bands[name] = look()
        return self._bands.get(name)

    def settled(self, name: str) -> BandState | None:
        """Give a band as it is known already, for whoever asks no more than which it is; None where there is none."""
        return self._bands.get(name)

    @property
    def valid(self) -> bool:
        """Whether any band has a phase."""
        return self._whole().valid

    def overall(self, figure: str) -> float | None:
        """Give a figure of the cell."""
        return self._whole().overall(figure)

    def _whole(self) -> MeshState:
        for name in list(self._looks):
            self.band(name)
        return MeshState(self._state.time_us, tuple(self._bands.values()))

    @property
    def ready_nodes(self) -> int:
        """How many nodes are ready."""
        found = self.memo.get("ready")
        if not isinstance(found, int):
            found = self.memo["ready"] = sum(m.state is State.READY for m in self._sources.roster.members)
        return found

    def ready(self, node: str) -> bool:
        """Tell whether a node is ready."""
        member = self._sources.roster.get(node)
        return member is not None and member.state is State.READY

    def silent_s(self, node: str) -> float:
        """Give the time since a node was last heard, s.

        Raises
        ------
        Undefined
            It never was.
        """
        member = self._sources.roster.get(node)
        if member is None:
            raise Undefined(f"no node {node} has been heard of")
        return max(0.0, (self.now_ns - member.heard_ns) / 1e9)

    def node_field(self, band: BandState | None, node: str) -> NodeField | None:
        """Give a node's field in a band (T, C and weight) by its latest frames; None where it has none."""
        member, rows = self._sources.roster.get(node), self._sources.rows
        if band is None or not band.valid or member is None or rows is None:
            return None
        fields = self._fields.get(band.name)
        if fields is not None:
            return fields.get(member.number)
        key = band.name, member.number
        if key in self._singly:
            return self._singly[key]
        if len(self._singly) < _SINGLY:
            own = rows.of(list(self._bands).index(band.name), member.number)
            found = self._singly[key] = node_field(rows.table, own, self.time_us)
            return found
        fields = self._fields[band.name] = node_fields(rows.table, band.rows, self.time_us)
        return fields.get(member.number)

    def we(self, pair: str, band: BandState | None) -> Mapping[str, Any]:
        """Give the figures of a pair of groups in a band; empty where there is none."""
        if self._pairs is None:
            self._pairs = self._sources.pairs()
        return self._pairs.get(pair, {}).get(band.name if band is not None else "", {})

    @property
    def hour(self) -> float:
        """Local time of day, h.

        Raises
        ------
        Undefined
            No time zone is configured.
        """
        local = self.local
        return local.hour + local.minute / 60.0 + local.second / 3600.0

    @property
    def weekday(self) -> int:
        """The local day of the week, 0 on Monday; see `hour`."""
        return self.local.weekday()

    @property
    def local(self) -> datetime:
        """The instant in the cell's local time; see `hour`."""
        if self._local is None:
            if self._sources.zone is None:
                raise Undefined("no time zone is configured")
            self._local = datetime.fromtimestamp(self.time_us // 1_000_000, self._sources.zone)
        return self._local


@dataclass(frozen=True, slots=True)
class Scope:
    """What one evaluation is about.

    Parameters
    ----------
    view : View
        The mesh.
    band : BandState or None
        The rule's band.
    node : str
        The output's node.
    slack : float
        By how much comparisons are eased while the rule is on.
    """

    view: View
    band: BandState | None
    node: str = ""
    slack: float = 0.0
