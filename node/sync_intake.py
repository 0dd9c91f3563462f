"""Sync frames, from anybody: which of them a node may follow."""

from __future__ import annotations

from typing import Final

from becomingone.broker.link import Message
from becomingone.errors import FrameError
from becomingone.kairos.bands import Band
from becomingone.scheduling import MeshClock
from becomingone.wire.rate import Bucket
from becomingone.wire.replay import Lives, Order
from becomingone.wire.signature import Verifier
from becomingone.wire.sync import SyncFrame, decode_sync
from becomingone.wire.sync_pace import max_age_s

MAX_SYNC: Final = 512
"""Bytes of a sync frame that are looked at; ours have about 120 with their signature."""

PER_S: Final = 50.0
"""Sync frames of one band that are opened in a second: checking a signature takes a Pi Zero milliseconds."""

NEEDED_NS: Final = 200_000_000
"""A band's field is looked at so often, ns: between two frames it is carried on by its own rate, and what comes sooner
is passed over unopened."""

AHEAD_S: Final = 0.05
"""How far ahead of this node's mesh time a field may be, s; or an eighth of its period, or 3σ of the clock."""

_HUB: Final = "hub"
_MICRO: Final = 1e-6


def check_rate(band: Band, omega: float) -> None:
    """Refuse a phase that does not turn as one of this band does: forwards, at up to twice the centre's rate.

    Raises
    ------
    FrameError
        ``range``.
    """
    if not 0.0 <= omega <= 2.0 * band.omega:
        most = 2.0 * band.omega
        raise FrameError("range", f"a phase of the band {band.name} turns at 0..{most:.4g} rad/s, not {omega:.4g}")


class SyncIntake:
    """Opens sync frames.

    A replay is refused by the boot id and number within this life of the node, and by its age afterwards: what is not
    too old to be followed is as true the second time.

    Parameters
    ----------
    clock : MeshClock
        Mesh time.
    verifier : Verifier or None
        Checks the hub's signature; None in a cell where nothing is signed.
    signed : bool
        Refuse everything as ``unsealed`` where there is no verifier.

    Attributes
    ----------
    passed_over : int
        Frames that were not needed.
    """

    def __init__(self, clock: MeshClock, *, verifier: Verifier | None, signed: bool) -> None:
        self.passed_over = 0
        self._clock = clock
        self._verifier = verifier
        self._signed = signed
        self._lives = Lives()
        self._orders: dict[str, Order] = {}
        self._rates: dict[str, Bucket] = {}
        self._taken_ns: dict[str, int] = {}

    def open(self, band: Band, message: Message) -> SyncFrame | None:
        """Check a frame of a band: size and rate first, then the signature, then everything else.

        Returns
        -------
        SyncFrame or None
            None where it is not needed: see `NEEDED_NS`.

        Raises
        ------
        FrameError
            ``oversize``, ``too_often``, ``unsealed``, ``forged``, what `decode_sync` refuses, ``range``, ``late``,
            ``future``, ``wrong_epoch`` (of an earlier life of the hub) or ``replayed``.
        """
        payload, now_ns = message.payload, self._clock.monotonic_ns()
        if len(payload) > MAX_SYNC:
            raise FrameError("oversize", f"{len(payload)} bytes, a sync frame has at most {MAX_SYNC}")
        if now_ns - self._taken_ns.get(band.name, -NEEDED_NS) < NEEDED_NS:
            self.passed_over += 1
            return None
        if not self._rates.setdefault(band.name, Bucket(PER_S, PER_S)).take(now_ns):
            raise FrameError("too_often", f"more than {PER_S:g} sync frames a second in the band {band.name}")
        if self._verifier is not None:
            self._verifier.open(message.topic, payload)
        elif self._signed:
            raise FrameError("unsealed", "security.hub_public_key is not set, so nobody can tell whose this is")
        frame = decode_sync(payload)
        check_rate(band, frame.omega)
        age_s = (self._clock.mesh_us(now_ns) - frame.time_us) * _MICRO
        self.check_age(band, age_s, max_age_s(band.frequency_hz))
        self._lives.saw(_HUB, frame.boot)
        order = self._orders.setdefault(band.name, Order())
        order.check(frame.boot, frame.seq)
        order.take(frame.boot, frame.seq)
        self._taken_ns[band.name] = now_ns
        return frame

    def check_age(self, band: Band, age_s: float, most_s: float) -> None:
        """Refuse a phase that is not about now.

        Raises
        ------
        FrameError
            ``late`` or ``future``.
        """
        if age_s >= most_s:
            raise FrameError("late", f"{age_s:.3f} s old, at most {most_s:g} are taken")
        ahead_s = max(AHEAD_S, band.period_s / 8.0, 3.0 * self._clock.sigma_s)
        if age_s < -ahead_s:
            raise FrameError("future", f"{-age_s:.3f} s ahead of mesh time here, at most {ahead_s:.3g} s is taken")
