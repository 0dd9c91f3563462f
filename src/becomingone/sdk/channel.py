"""One input of an engine: its kernels, one a band, and the time that it has reached."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.errors import KernelError
from becomingone.kairos.bands import Band, bands_for
from becomingone.kairos.channel.kernel import ChannelKernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from becomingone.kairos.channel.phase_block import PhaseBlock
    from becomingone.kairos.channel.timing import Samples

_JITTER: Final = 0.5
"""Samples that come at most this part of a spacing early or late follow without a gap."""

FRESH_TAUS: Final = 4.0
"""Evidence older than so many τ of its band says nothing about now."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The latest figures of a channel in one band, and the instant at which they hold."""

    block: PhaseBlock
    time_us: int
    max_age_s: float


class EngineChannel:
    """A stream of samples in the bands that its rate supports.

    Parameters
    ----------
    name : str
    number : int
        Its row wherever channels are counted.
    floor : float
        Amplitude in the sensor's unit below which there is no phase, ≥ 0.
    real : bool
        Whether its samples are real.
    capability : float
        Its weight among the others, > 0.
    p_false : float
        Probability of a false alarm.
    """

    def __init__(self, name: str, number: int, *, floor: float, real: bool, capability: float, p_false: float) -> None:
        if not (math.isfinite(capability) and capability > 0.0):
            raise KernelError(f"channel {name}: capability is {capability!r}; it must be finite and above 0")
        self.name = name
        self.number = number
        self.capability = capability
        self.evidence: dict[str, Evidence] = {}
        self._floor = floor
        self._p_false = p_false
        self._real = real
        # Refuses a bad floor or probability now, not at the first sample.
        ChannelKernel(Band.of("any", 1.0, 1.0), floor=floor, real=real, p_false=p_false)
        self._kernels: dict[str, ChannelKernel] | None = None
        self._next_us: float | None = None

    def feed(
        self,
        plan: Sequence[Band],
        samples: Samples,
        spacing_s: float,
        time_us: int | None,
    ) -> dict[str, PhaseBlock]:
        """Take uniform samples, the first at ``time_us``; return the figures after the last, by band."""
        array = self._checked(samples)
        if not (math.isfinite(spacing_s) and spacing_s > 0.0):
            raise KernelError(f"channel {self.name}: spacing_s is {spacing_s!r}; it must be finite and above 0")
        spacing_us = 1e6 * spacing_s
        expected_us = spacing_us if self._next_us is None else self._next_us
        start_us = expected_us if time_us is None else float(time_us)
        late_us = 0.0 if self._next_us is None else start_us - expected_us
        if late_us < -_JITTER * spacing_us:
            raise KernelError(
                f"channel {self.name}: samples at {time_us} µs, {-late_us / 1e6:g} s before those that were expected "
                "next; time must not run back"
            )
        kernels = self._kernels or self._kernels_for(plan, spacing_s)
        gap = late_us > _JITTER * spacing_us
        blocks: dict[str, PhaseBlock] = {}
        for name, kernel in kernels.items():
            if gap:
                kernel.skip(late_us / 1e6)
            blocks[name] = kernel.block(array, spacing_s)
        self._kernels = kernels
        end_us = start_us + array.shape[0] * spacing_us
        self._next_us = end_us
        last_us = round(end_us - spacing_us)
        for name, block in blocks.items():
            fresh_s = max(FRESH_TAUS * kernels[name].band.tau_s, 3.0 * spacing_s)
            self.evidence[name] = Evidence(block, last_us, fresh_s)
        return blocks

    def _checked(self, samples: Samples) -> Samples:
        """Return the samples as float64 or complex128; refuse what no kernel could take, before any has taken it."""
        if samples.ndim != 1 or not samples.shape[0]:
            raise KernelError(
                f"channel {self.name}: samples of shape {samples.shape}; they must be one-dimensional, at least one"
            )
        if not self._real:
            return np.asarray(samples, dtype=np.complex128)
        if np.iscomplexobj(samples):
            raise KernelError(f"channel {self.name}: complex samples in a channel that was declared real")
        return np.asarray(samples, dtype=np.float64)

    def _kernels_for(self, plan: Sequence[Band], spacing_s: float) -> dict[str, ChannelKernel]:
        bands = bands_for(plan, sample_rate_hz=1.0 / spacing_s, tau_range=(0.0, math.inf))
        if not bands:
            raise KernelError(
                f"channel {self.name}: {1.0 / spacing_s:g} samples/s are too few for any band; a band needs 4 a period"
            )
        return {
            band.name: ChannelKernel(band, floor=self._floor, real=self._real, p_false=self._p_false) for band in bands
        }
