"""Two nodes of one id: each throws the other out at the broker, and their phases take turns under one name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from becomingone.hub.mesh.standing import Standing
from becomingone.wire.announce import About

REASON: Final = "twin"

LIVES: Final = 4
"""Lives of a node that are remembered: two that take turns show within three words."""

DISTRUST_S: Final = 120.0
"""Seconds without another turn after which one of the two has been taken away."""


class Life(NamedTuple):
    """What tells one life of a node from another."""

    boot: int
    host: str
    pid: int
    hardware: str


@dataclass(slots=True)
class Twins:
    """Watches what nodes say of themselves.

    Parameters
    ----------
    standing : Standing
        Takes the weight of both away: nobody knows whose phase it is.
    tell : callable
        Publishes an event of a kind.
    """

    standing: Standing
    tell: Callable[[str, dict[str, Any]], object]
    _lives: dict[str, list[Life]] = field(default_factory=dict[str, list[Life]])

    def described(self, about: About, *, now_us: int) -> None:
        """Take a description that a node has just sent; not one that the broker had stored.

        A restarted node has a new life, and its earlier ones do not speak again. A life that does, after another one
        has spoken, is a second node's.
        """
        life = Life(about.boot, about.host, about.pid, about.hardware)
        lives = self._lives.setdefault(about.node, [])
        if lives and lives[-1] == life:
            return
        if life in lives:
            other = lives[-1]
            lives.remove(life)
            where = f"process {life.pid} on {life.host or '?'} and process {other.pid} on {other.host or '?'}"
            why = f"two nodes call themselves {about.node}: {where}; give one of them another id"
            known = REASON in self.standing.of(about.node)
            self.standing.lower(about.node, REASON, 0.0, why, now_us=now_us, for_s=DISTRUST_S)
            if not known:
                self.tell("twin", {"node": about.node, "lives": [life._asdict(), other._asdict()]})
        lives.append(life)
        del lives[:-LIVES]
