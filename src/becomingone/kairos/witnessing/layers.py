"""Who watches the watchers: four layers of witnesses, each of which looks at the one below.

| layer | looks at | its fault |
| --- | --- | --- |
| micro, ``witness_operation`` | one innovation | a jump |
| meso, ``witness_transducer`` | the residual of W = G[W] over a window | a stuck sensor, a drifting clock |
| macro, ``witness_system`` | whether the mesh's meso p-values are uniform | a node that lies |
| meta, ``witness_self`` | whether the W's themselves wander | a calibration that degrades |

What has been learnt cannot surprise: after an epoch a lasting fault is part of W and the meso layer is content again.
That is what the meta layer is for.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.witnessing.drift import Drift
from becomingone.kairos.witnessing.records import Macro, Meso, Meta, Micro
from becomingone.kairos.witnessing.tails import KNOWN, fisher, nis_p, uniformity_p, white_p

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from becomingone.kairos.witnessing.innovations import Witnessing
    from becomingone.kairos.witnessing.witness import Witness

__all__ = ["Macro", "Meso", "Meta", "Micro", "WitnessLayers", "health"]

LEAST_WINDOW: Final = 8
"""Innovations below which the tail of the lag-1 autocorrelation is not well known."""

_CHARTS: Final = 2.0
_SETTLED_SIGMAS: Final = 3.0

# Near its lower bound ∂ρ₁/∂K is −½, not −1, and K + ρ₁ keeps something of K: successive values are correlated by 0.17
# (measured), which lengthens sums as if their variance were (1 + 0.17)/(1 − 0.17) times what it is.
_NEAR_BOUND: Final = 4.0
_BOUND_VARIANCE: Final = 1.4


def health(nis: float, rho: float, n: int, learnt_from: float = KNOWN) -> tuple[float, float, float]:
    """Return the p-values of NIS, of ρ₁ and of both together, for n innovations.

    ρ₁ does not depend on the innovations' scale, and NIS is the sufficient statistic of that scale; the two are
    therefore independent (D. Basu 1955), and their p-values combine by Fisher's product.

    Parameters
    ----------
    nis : float
        Mean normalised innovation squared, ≥ 0.
    rho : float
        Σz_n·z_{n−1}/Σz_n².
    n : int
        ≥ 1.
    learnt_from : float
        Innovations that the scale was learnt from.
    """
    of_nis, of_rho = nis_p(nis, n, learnt_from), white_p(rho, n)
    return of_nis, of_rho, fisher(of_nis, of_rho)


class _Entry:
    """What is kept for one name."""

    __slots__ = (
        "_before", "_n", "_products", "_squares", "calibrated", "drift_of_gain", "drift_of_scale", "drifted", "latest",
        "learnt_from", "name", "ps", "settled", "uniform", "witness",
    )  # fmt: skip

    def __init__(self, name: str, witness: Witness | None, depth: int, updates: float) -> None:
        self.name = name
        self.witness = witness
        self.ps: deque[float] = deque(maxlen=depth)
        self.drift_of_scale = Drift(_CHARTS * updates)
        self.drift_of_gain = Drift(_CHARTS * updates)
        self.calibrated = witness is None or witness.scale is not None
        self.settled = witness is None
        self.drifted = False
        self.learnt_from = KNOWN if witness is None else witness.learnt_from
        self.latest: Meso | None = None
        self.uniform: float | None = None
        self._empty()

    def _empty(self) -> None:
        self._n = 0
        self._squares = 0.0
        self._products = 0.0
        self._before = 0.0

    def local(self) -> Witness:
        """Return the witness, if it works here."""
        if self.witness is None:
            raise KernelError(f"{self.name!r} witnesses elsewhere; use report")
        return self.witness

    def fill(self, z: NDArray[np.float64], window: int) -> list[Meso]:
        """Put normalised innovations, shape (n,), into windows."""
        out: list[Meso] = []
        while z.shape[0]:
            part, z = z[: window - self._n], z[window - self._n :]
            self._squares += float(part @ part)
            self._products += float(part[1:] @ part[:-1]) + self._before * part[0].item()
            self._before = part[-1].item()
            self._n += part.shape[0]
            if self._n == window:
                nis = self._squares / window
                rho = self._products / self._squares if self._squares > 0.0 else 0.0
                of_nis, of_rho, p = health(nis, rho, window, self.learnt_from)
                valid = self.calibrated
                self.latest = Meso(self.name, window, nis, of_nis, rho, of_rho, p if valid else 1.0, valid)
                self._empty()
                out.append(self.latest)
                if valid:
                    self.take(p)
        return out

    def take(self, p: float) -> None:
        """Keep one p-value."""
        self.ps.append(p)
        self.uniform = None

    def lose(self) -> None:
        """Forget what was known: there is no phase to witness."""
        self._empty()
        self.ps.clear()
        self.latest = None
        self.settled = False

    def follow(self, made: Witnessing) -> None:
        """Look at one application of G for drift."""
        if self.local().lost:
            self.lose()
        if math.isnan(made.slope) or made.scale is None:
            return
        if made.scale_used is None or made.scale != made.scale_used:
            self.learnt_from = float(made.n)
        if not self.settled:
            self.settled = abs(made.rho) * math.sqrt(made.n) <= _SETTLED_SIGMAS and not self.local().lost
            self.calibrated = self.calibrated or self.settled
            if not self.settled:
                return
        mean_square = made.scale if made.nis is None or made.scale_used is None else made.nis * made.scale_used
        # Both are free of W: the mean square is that of the innovations, and K + ρ₁ is the gain that they ask for.
        by_scale = self.drift_of_scale.update(math.log(mean_square), math.sqrt(2.0 / made.n))
        near_bound = made.gain_used * math.sqrt(made.n) < _NEAR_BOUND
        variance = _BOUND_VARIANCE if near_bound else 1.0
        by_gain = self.drift_of_gain.update(made.gain_used + made.rho, math.sqrt(variance / made.n))
        if by_scale or by_gain:
            self.drifted = True
            self.settled = False
            self.drift_of_scale.clear()
            self.drift_of_gain.clear()


class WitnessLayers:
    """The four layers over any number of named witnesses: transducers, channels or nodes.

    Parameters
    ----------
    window : int
        Innovations in a meso window, ≥ 8; 16 of them or more should fit into an epoch, or the error of K shows as
        false alarms.
    depth : int
        How many p-values of each name the macro layer looks at, ≥ 1.
    false_alarm_epochs : float
        Mean epochs between false alarms of the meta layer, for each witness, ≥ 10.

    Raises
    ------
    KernelError
        When a value is out of its range.

    Notes
    -----
    The macro layer takes the witnesses' errors to be independent of one another. What shakes all sensors at once
    shows there too, in ``pool_p``.
    """

    def __init__(self, *, window: int = 32, depth: int = 8, false_alarm_epochs: float = 1000.0) -> None:
        if window < LEAST_WINDOW or depth < 1:
            raise KernelError(f"window {window!r} and depth {depth!r}; at least {LEAST_WINDOW} and 1")
        if not (math.isfinite(false_alarm_epochs) and false_alarm_epochs >= 10.0):
            raise KernelError(f"false_alarm_epochs is {false_alarm_epochs!r}; it must be finite and at least 10")
        self._window = window
        self._depth = depth
        self._false_alarm_epochs = false_alarm_epochs
        self._entries: dict[str, _Entry] = {}
        self._epochs = 0

    def add(self, name: str, witness: Witness | None = None) -> None:
        """Add a witness by a new name; None for one that works elsewhere and sends its p-values (``report``)."""
        if name in self._entries:
            raise KernelError(f"there is a witness {name!r} already")
        self._entries[name] = _Entry(name, witness, self._depth, self._false_alarm_epochs)

    def remove(self, name: str) -> None:
        """Forget a witness."""
        del self._entries[self._entry(name).name]

    def acknowledge(self, name: str) -> None:
        """Take the report of a drift back."""
        self._entry(name).drifted = False

    def _entry(self, name: str) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            raise KernelError(f"no witness {name!r}; there are {', '.join(sorted(self._entries)) or 'none'}")
        return entry

    def witness_operation(self, name: str, value: complex) -> Micro:
        """Show one value to a witness: :meth:`becomingone.kairos.witnessing.witness.Witness.step`."""
        entry = self._entry(name)
        witness = entry.local()
        before = witness.latest
        micro = witness.step(value)
        if micro.valid:
            entry.fill(np.array([micro.normalised]), self._window)
        if witness.latest is not None and witness.latest is not before:
            self._epochs += 1
            entry.follow(witness.latest)
        return micro

    def observe(self, name: str, values: NDArray[np.float64] | NDArray[np.complex128]) -> tuple[Meso, ...]:
        """Show values at consecutive samples, shape (n,), to a witness; return the windows completed by them."""
        entry = self._entry(name)
        witness = entry.local()
        seen = witness.block(values)
        out: list[Meso] = []
        start = 0
        for stop, made in (*seen.epochs, (values.shape[0], None)):
            part = slice(start, stop)
            out.extend(entry.fill(seen.normalised[part][seen.valid[part]], self._window))
            start = stop
            if made is not None:
                self._epochs += 1
                entry.follow(made)
        return tuple(out)

    def report(self, name: str, p: float) -> None:
        """Take the health p-value of one window, 0..1, of a witness that works elsewhere."""
        entry = self._entry(name)
        if entry.witness is not None:
            raise KernelError(f"{name!r} witnesses here; show it values instead")
        if not 0.0 <= p <= 1.0:
            raise KernelError(f"{name!r} reports a p-value of {p!r}; it must be within 0..1")
        entry.take(p)

    def witness_transducer(self, name: str) -> Meso | None:
        """Return the latest complete window of a witness; None before the first, and while a phase is lost."""
        return self._entry(name).latest

    def witness_system(self) -> Macro:
        """Return whether the latest p-values of all names are uniform, together and each name's for itself."""
        entries = [entry for entry in self._entries.values() if entry.ps]
        if not entries:
            return Macro(0, 0, 1.0, None, 1.0, 1.0)
        for entry in entries:
            if entry.uniform is None:
                entry.uniform = uniformity_p(np.array(entry.ps))
        suspect = min(entries, key=lambda entry: entry.uniform or 0.0)
        least = suspect.uniform or 0.0
        suspect_p = -math.expm1(len(entries) * math.log1p(-least)) if least < 1.0 else 1.0
        pool = np.array([p for entry in entries for p in entry.ps])
        pool_p = uniformity_p(pool)
        p = min(1.0, 2.0 * min(pool_p, suspect_p))
        return Macro(len(entries), pool.shape[0], pool_p, suspect.name, suspect_p, p)

    def witness_self(self) -> Meta:
        """Return whether the calibrations drift: the witnesses observed while they observe themselves."""
        entries = self._entries.values()
        return Meta(
            epochs=self._epochs,
            drifting=tuple(entry.name for entry in entries if entry.drifted),
            unsettled=tuple(entry.name for entry in entries if not entry.settled),
            level=max((max(e.drift_of_scale.level, e.drift_of_gain.level) for e in entries), default=0.0),
            false_alarm_epochs=self._false_alarm_epochs,
        )
