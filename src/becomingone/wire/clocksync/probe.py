"""One four-timestamp exchange, and what it proves: between which two bounds the difference of the clocks lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from becomingone.errors import FrameError

WANDER: Final = 1e-7
"""How a node's oscillator changes: its frequency is taken for a random walk of so much in √s.

An Allan deviation of 5.8e-7 at 100 s: a crystal without compensation whose temperature changes.
"""

SKEW_SIGMA: Final = 2e-4
"""What is known of an oscillator before anything is measured: σ of its skew. Crystals are within ±5e-5."""

NANO: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Probe:
    """A ping and its pong.

    Parameters
    ----------
    sent_ns, received_ns : int
        When the ping was sent and the pong came, ns on the node's own clock, which never steps.
    hub_received_ns, hub_sent_ns : int
        When the ping came and the pong was sent, mesh time, ns.

    Raises
    ------
    FrameError
        ``impossible``: the hub says that it held the ping for longer than the round trip took.
    """

    sent_ns: int
    received_ns: int
    hub_received_ns: int
    hub_sent_ns: int

    def __post_init__(self) -> None:
        if self.round_trip_ns <= 0:
            held = self.hub_sent_ns - self.hub_received_ns
            raise FrameError("impossible", f"held for {held} ns within {self.received_ns - self.sent_ns} ns")

    @property
    def round_trip_ns(self) -> int:
        """Time on the way, both ways together, ns; > 0."""
        return (self.received_ns - self.sent_ns) - (self.hub_sent_ns - self.hub_received_ns)


class Bounds(NamedTuple):
    """What one probe proves, relative to a reference instant; all in s.

    Parameters
    ----------
    sent, received : float
        When, after the reference instant, by the node's clock.
    upper : float
        The difference of the clocks was at most this at `sent`: the ping took a time.
    lower : float
        It was at least this at `received`: so did the pong.
    """

    sent: float
    received: float
    upper: float
    lower: float

    @property
    def middle(self) -> float:
        """The instant between, s."""
        return (self.sent + self.received) / 2

    @property
    def offset(self) -> float:
        """The difference of the clocks if both ways took as long (RFC 5905, 8), s."""
        return (self.upper + self.lower) / 2

    @property
    def round_trip(self) -> float:
        """Time on the way, s; the offset is wrong by at most half of it."""
        return self.upper - self.lower


def bounds(probes: Sequence[Probe], at_ns: int, mesh_ns: int) -> list[Bounds]:
    """Give what probes prove of (mesh time − `mesh_ns`) − (node's clock − `at_ns`).

    Parameters
    ----------
    probes : sequence of Probe
        As they were measured.
    at_ns, mesh_ns : int
        The reference: mesh time is near `mesh_ns` when the node's clock is at `at_ns`.
    """
    shift = at_ns - mesh_ns
    return [
        Bounds(
            (probe.sent_ns - at_ns) * NANO,
            (probe.received_ns - at_ns) * NANO,
            (probe.hub_received_ns - probe.sent_ns + shift) * NANO,
            (probe.hub_sent_ns - probe.received_ns + shift) * NANO,
        )
        for probe in probes
    ]
