"""A band's mean field at even instants, whenever it is evaluated: what a filter with one spacing wants."""

from __future__ import annotations

import cmath
import math

from becomingone.errors import KernelError
from becomingone.hub.mesh.state import BandState
from becomingone.kairos.bands import Band

_MICRO = 1e-6


def rate(state: BandState, band: Band) -> float:
    """Give the rate at which a field goes on, rad/s: as measured, or the centre's where none of this band was."""
    return state.omega if 0.0 < state.omega <= 2.0 * band.omega else band.omega


class EvenField:
    """Turns each evaluation back to the even instants since the one before.

    An evaluation is a tick's, which comes when the loop has time; a field of a rhythm turns at a known rate, so that a
    few milliseconds do not matter if they are known.

    Parameters
    ----------
    spacing_us : int
        Between instants, µs, at least 1.
    longest_us : int
        An instant that lies further back than this from the first evaluation after it was missed, µs.

    Raises
    ------
    KernelError
        When the spacing is below 1 µs.
    """

    def __init__(self, spacing_us: int, longest_us: int) -> None:
        if spacing_us < 1:
            raise KernelError(f"spacing_us is {spacing_us!r}; it must be at least 1")
        self.spacing_us = spacing_us
        self._longest_us = max(longest_us, spacing_us)
        self._due_us: int | None = None

    @property
    def time_us(self) -> int | None:
        """The latest instant that was given; None before the first."""
        return None if self._due_us is None else self._due_us - self.spacing_us

    def take(self, field: complex | None, omega: float, time_us: int) -> tuple[int, list[complex | None]]:
        """Take an evaluation.

        Parameters
        ----------
        field : complex or None
            The mean field; None where there is none.
        omega : float
            Rate at which it goes on, rad/s.
        time_us : int
            Mesh time of the evaluation. One that is not later than the last instant gives nothing.

        Returns
        -------
        missed : int
            Instants, the oldest ones, of which nothing is known.
        fields : list of complex or None
            At the instants after these, oldest first.
        """
        due_us = time_us if self._due_us is None else self._due_us
        if time_us < due_us:
            return 0, []
        instants = (time_us - due_us) // self.spacing_us + 1
        self._due_us = due_us + instants * self.spacing_us
        known = min(instants, self._longest_us // self.spacing_us + 1)
        missed = instants - known
        if field is None:
            return missed, [None] * known
        back_us = time_us - due_us - missed * self.spacing_us
        turns = (-omega * _MICRO * (back_us - n * self.spacing_us) for n in range(known))
        return missed, [field * cmath.rect(1.0, math.remainder(turn, math.tau)) for turn in turns]
