"""Who belongs to the mesh: each node's announced state, description and when it was last heard."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from becomingone.errors import FrameError
from becomingone.scheduling import NANOSECONDS
from becomingone.wire.announce import About, Health, State

SILENT_INTERVALS: Final = 3.0
"""A node is lost after so many of its own reporting intervals without a word."""

LEAST_SILENCE_S: Final = 3.0
_LEAST_SILENCE_NS: Final = int(LEAST_SILENCE_S * 1e9)
"""Seconds of silence that never count as lost."""

MAX_MEMBERS: Final = 4096
"""Nodes of one cell; whoever comes later is refused."""

MAX_TOLD: Final = 1 << 25
"""Bytes of descriptions and health that are kept of all members together; an ordinary node's are about 3,000."""


@dataclass(slots=True, eq=False)
class Member:
    """One node as the hub knows it.

    Parameters
    ----------
    number : int
        Its number in the channel table.
    id : str
        Its id.
    heard_ns : int
        When it was last heard, on the hub's monotonic clock.
    given_up_ns : int
        When it was last called lost for its silence.
    rebirth_ns : int or None
        When it was last asked to describe itself.
    rows : int
        Its rows in the channel table.
    told : dict of str to int
        Bytes of what is kept of it, by kind.
    cell : bool
        Whether it is a cell within this one, which says for itself when it is there.
    """

    number: int
    id: str
    heard_ns: int
    state: State | None = None
    about: About | None = None
    health: Health | None = None
    frames: int = 0
    missing: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])
    given_up_ns: int = 0
    rebirth_ns: int | None = None
    rows: int = 0
    told: dict[str, int] = field(default_factory=dict[str, int])
    cell: bool = False

    @property
    def known(self) -> bool:
        """Whether it has said, and nobody has withdrawn since, how or what it is."""
        return self.state is not None or self.about is not None

    @property
    def silence_ns(self) -> int:
        """Nanoseconds of silence after which it is lost."""
        interval_s = self.about.interval_s if self.about is not None else LEAST_SILENCE_S
        return int(max(LEAST_SILENCE_S, SILENT_INTERVALS * interval_s) * 1e9)


class Roster:
    """All nodes, by id and by number; members are never removed while the hub runs.

    Only a node that has announced a state or described itself is a member, and both their number and what they may
    tell have an end: whoever may publish at all may publish under any number of names.
    """

    def __init__(self) -> None:
        self.members: list[Member] = []
        self._by_id: dict[str, Member] = {}
        self._told = 0
        self._listening_ns = 0

    def get(self, node: str) -> Member | None:
        """Give a node, or None where it was never heard of."""
        return self._by_id.get(node)

    def heard(self, node: str, now_ns: int) -> Member | None:
        """Give a node that has just been heard; None where it is no member."""
        member = self._by_id.get(node)
        if member is not None:
            member.heard_ns = now_ns
        return member

    def enrol(self, node: str, now_ns: int) -> Member:
        """Give a node that has just been heard, made a member where it is new.

        Raises
        ------
        FrameError
            ``too_many_nodes``.
        """
        member = self.heard(node, now_ns)
        if member is None:
            if len(self.members) >= MAX_MEMBERS:
                raise FrameError("too_many_nodes", f"a cell has at most {MAX_MEMBERS} nodes; {node} is one more")
            member = Member(len(self.members), node, now_ns)
            self.members.append(member)
            self._by_id[node] = member
        return member

    def keep(self, member: Member, kind: str, size: int) -> None:
        """Make room for what a member tells, in the place of what it told of this kind before.

        Raises
        ------
        FrameError
            ``too_much``.
        """
        told = self._told - member.told.get(kind, 0) + size
        if told > MAX_TOLD:
            raise FrameError("too_much", f"{size} more bytes; at most {MAX_TOLD} are kept of all nodes together")
        self._told = told
        member.told[kind] = size

    def release(self, member: Member) -> None:
        """Give up what a member has told; its number stays its own."""
        self._told -= sum(member.told.values())
        member.told.clear()
        member.state = member.about = member.health = None

    def listen(self, now_ns: int) -> None:
        """Take note that nothing could be heard until now: no earlier silence counts."""
        self._listening_ns = now_ns

    def silent(self, now_ns: int) -> list[Member]:
        """Give the nodes that say they are there and have been silent for too long."""
        return [
            member
            for member in self.members
            if now_ns - member.heard_ns > _LEAST_SILENCE_NS  # the quickest answer, for nearly all of them
            and member.state in (State.INIT, State.READY)
            and not member.cell
            and now_ns - max(member.heard_ns, member.given_up_ns, self._listening_ns) > member.silence_ns
        ]

    def unsure(self, now_ns: int) -> list[Member]:
        """Give the nodes that are heard and, by their last word that came, are not there: a later one was lost."""
        return [
            member
            for member in self.members
            if member.state not in (State.INIT, State.READY)
            and not member.cell
            and now_ns - member.heard_ns < NANOSECONDS
        ]

    def give_up(self, member: Member, now_ns: int) -> None:
        """Take note that a silent node has been called lost: once a silence is enough."""
        member.given_up_ns = now_ns


class Rebirths:
    """Which strangers have been asked to describe themselves.

    Parameters
    ----------
    period_ns : int
        Each is asked at most once in so many nanoseconds.
    most : int
        So many are asked in this time; more are not even remembered.
    """

    def __init__(self, period_ns: int, *, most: int) -> None:
        self._period_ns = period_ns
        self._most = most
        self._asked: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._asked)

    def due(self, node: str, now_ns: int) -> bool:
        """Tell whether to ask a node now, and take note of it."""
        asked = self._asked.get(node)
        if asked is not None and now_ns - asked < self._period_ns:
            return False
        if asked is None and len(self._asked) >= self._most:
            self._asked = {name: at for name, at in self._asked.items() if now_ns - at < self._period_ns}
            if len(self._asked) >= self._most:
                return False
        self._asked[node] = now_ns
        return True
