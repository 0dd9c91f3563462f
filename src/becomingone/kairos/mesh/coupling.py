"""The control oscillator of a node: entrained by the mesh, followed by its outputs, never evidence.

A node that adopts the mesh's phase makes the mesh's order prove the controller and not the world. So this class takes
fields of the mesh and gives a control phase; no sensor's phase goes in, and the control phase goes into no frame.
"""

from __future__ import annotations

import cmath
import math
from typing import Final

from becomingone.errors import KernelError

_TURN: Final = 2.0 * math.pi
_LONGEST: Final = 1.0 + 1e-9


class ControlOscillator:
    """θ̇ = ω + ι + K·R·sin(Ψ − θ − α), the Kuramoto-Sakaguchi oscillator in the mean field R·e^{iΨ}.

    With ``damping`` None, ι = 0 (type 1): unequal frequencies leave the phase difference arcsin((Ω − ω)/KR) (R. Adler
    1946), and beyond KR they never lock. With a damping (type 2, a PI loop) ι̇ = (KR/2ζ)²·sin(Ψ − θ − α): the difference
    goes to zero.

    Parameters
    ----------
    omega : float
        ω, the oscillator's own rate in rad/s.
    gain : float
        K in rad/s, ≥ 0.
    lag : float
        α in radians, |α| < π/2 (H. Sakaguchi and Y. Kuramoto 1986): the oscillator settles at Ψ − α.
    damping : float or None
        ζ > 0 of the loop's small oscillations; 1 is critical. None for type 1.
    pull : float
        Greatest |ι| in rad/s, ≥ 0: what the loop may believe its own rate to be off by. The integral stops there
        (anti-windup).
    phase : float
        θ at the start, in radians.

    Raises
    ------
    KernelError
        When a value is not finite or out of its range.

    Notes
    -----
    A step is the closed solution for a field that turns at a constant rate. With φ = Ψ − θ − α, κ = KR, Δ = Ω − ω − ι:
    φ̇ = Δ − κ·sin φ, and (sin φ/2, cos φ/2) is proportional to exp(Mt) of itself, M = ½[[−κ, Δ], [−Δ, κ]] and M² =
    ¼(κ² − Δ²)·1. So type 1 is exact at any step. The integral then grows by k·∫sin φ dt = k·(Δt − φ(t) + φ(0))/κ, exact
    for the ι of the step; k = (κ/t)(1 − e^{−(κ/4ζ²)t}), which is κ²/4ζ² for short steps and lets a step of any length
    end nearer to lock.
    """

    __slots__ = ("_coast", "_damping", "_gain", "_integral", "_lag", "_omega", "_pull", "_theta")

    def __init__(
        self,
        omega: float,
        gain: float,
        *,
        lag: float = 0.0,
        damping: float | None = 1.0,
        pull: float = math.inf,
        phase: float = 0.0,
    ) -> None:
        for name, value in (("omega", omega), ("phase", phase)):
            if not math.isfinite(value):
                raise KernelError(f"{name} is {value!r}; it must be finite")
        if not (math.isfinite(gain) and gain >= 0.0):
            raise KernelError(f"gain is {gain!r} rad/s; it must be finite and at least 0")
        if not abs(lag) < math.pi / 2.0:
            raise KernelError(f"lag is {lag!r}; it must be within ±π/2, or the field repels")
        if damping is not None and not (math.isfinite(damping) and damping > 0.0):
            raise KernelError(f"damping is {damping!r}; it must be finite and above 0, or None")
        if not pull >= 0.0:
            raise KernelError(f"pull is {pull!r} rad/s; it must be at least 0")
        self._omega = omega
        self._gain = gain
        self._lag = lag
        self._damping = damping
        self._pull = pull
        self._theta = _wrapped(phase)
        self._integral = 0.0
        self._coast = omega

    @property
    def phase(self) -> float:
        """θ in radians, −π..π."""
        return self._theta

    @property
    def rate(self) -> float:
        """The rate in rad/s at which it goes on without a field: the last entrained one, at first its own."""
        return self._coast

    @property
    def integral(self) -> float:
        """ι in rad/s: what the loop has found its own rate to be off by."""
        return self._integral

    def retune(self, omega: float, *, keep: bool) -> None:
        """Take another own rate.

        Parameters
        ----------
        omega : float
            ω in rad/s.
        keep : bool
            Go on at the present :attr:`rate`, as far as the greatest pull allows: ι takes up the difference. Otherwise
            what has been learnt is forgotten, and it goes on at ω.

        Raises
        ------
        KernelError
            When ω is not finite; nothing has then changed.
        """
        if not math.isfinite(omega):
            raise KernelError(f"omega is {omega!r}; it must be finite")
        learnt = self._integral + self._omega - omega if keep and self._damping is not None else 0.0
        self._integral = min(self._pull, max(-self._pull, learnt))
        self._omega = omega
        if self._damping is not None or not keep:
            self._coast = omega + self._integral

    def step(self, dt_s: float, field: complex | None, *, field_omega: float = 0.0, age_s: float = 0.0) -> float:
        """Go on by one step.

        Parameters
        ----------
        dt_s : float
            Length of the step in seconds, > 0; any length is stable.
        field : complex or None
            R·e^{iΨ}, modulus 0..1, as it was ``age_s`` before the step's start. None or 0, when there is none: the
            oscillator coasts at :attr:`rate`.
        field_omega : float
            Ω, the rate of Ψ in rad/s, by which the field is brought to the step's start and turned during the step.
        age_s : float
            Known delay of the field in seconds, ≥ 0. At 0 a delay is not compensated.

        Returns
        -------
        float
            θ at the step's end, −π..π.

        Raises
        ------
        KernelError
            When a value is not finite or out of its range; nothing has then changed.
        """
        if not (math.isfinite(dt_s) and dt_s > 0.0):
            raise KernelError(f"time step is {dt_s!r} s; it must be finite and above 0")
        if not (math.isfinite(age_s) and age_s >= 0.0):
            raise KernelError(f"age_s is {age_s!r}; it must be finite and at least 0")
        if not math.isfinite(field_omega):
            raise KernelError(f"field_omega is {field_omega!r} rad/s; it must be finite")
        if field is not None and not abs(field) <= _LONGEST:
            raise KernelError(f"the mean field is {field!r}; its modulus must be at most 1")
        kappa = self._gain * abs(field) if field else 0.0
        if not field or kappa <= 0.0:
            self._theta = _wrapped(self._theta + self._coast * dt_s)
            return self._theta
        psi = cmath.phase(field) + field_omega * age_s
        before = _wrapped(psi - self._theta - self._lag)
        delta = field_omega - self._omega - self._integral
        after, turned = _adler(before, kappa, delta, dt_s)
        self._theta = _wrapped(psi + field_omega * dt_s - self._lag - after)
        if self._damping is None:
            self._coast = self._omega + kappa * math.sin(after)
        else:
            # −κ∫sin φ dt is how far φ turned beyond Δt.
            drift = -math.expm1(-kappa * dt_s / (4.0 * self._damping**2)) * (delta * dt_s - turned) / dt_s
            self._integral = min(self._pull, max(-self._pull, self._integral + drift))
            self._coast = self._omega + self._integral
        return self._theta


def _adler(phi: float, kappa: float, delta: float, t: float) -> tuple[float, float]:
    """Solve φ̇ = Δ − κ·sin φ; return φ(t) within ±π, and φ(t) − φ(0) with its whole turns."""
    square = 0.25 * (kappa * kappa - delta * delta)
    root = math.sqrt(abs(square))
    s, c = math.sin(0.5 * phi), math.cos(0.5 * phi)
    ms, mc = 0.5 * (delta * c - kappa * s), 0.5 * (kappa * c - delta * s)
    if square >= 0.0:
        # Divided by the hyperbolic cosine, which grows without bound.
        share = math.tanh(root * t) / root if root * t > 1e-8 else t
        turned = 2.0 * math.remainder(math.atan2(s + share * ms, c + share * mc) - 0.5 * phi, _TURN)
    else:
        # Drifting: each time π/root brings a whole turn, always in the direction of Δ.
        turns, rest = divmod(root * t, math.pi)
        share = math.sin(rest) / root
        half = math.atan2(math.cos(rest) * s + share * ms, math.cos(rest) * c + share * mc)
        part = math.copysign(1.0, delta) * (half - 0.5 * phi) % _TURN
        # A step of no length may come out as a turn less rounding.
        part = part - _TURN if part > 1.5 * math.pi else part
        turned = math.copysign(_TURN * turns + 2.0 * part, delta)
    return _wrapped(phi + turned), turned


def _wrapped(phase: float) -> float:
    """Return the same phase within −π..π."""
    return math.remainder(phase, _TURN)
