"""Live frames by the batch: what a stream must be for its frames to be taken quickly, and how they reach the table."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from becomingone.hub.intake.roster import Member
from becomingone.hub.mesh.table import ChannelTable
from becomingone.wire.layout import Live, read_one, recognise_block
from becomingone.wire.phase import PhaseFrame
from becomingone.wire.replay import Order
from becomingone.wire.seal import ENTRY, MAC_BYTES

if TYPE_CHECKING:
    from hashlib import blake2b

_FEW: Final = 6
"""Frames up to which numbers are stored one by one: an array costs more than it saves."""

_TAIL: Final = len(ENTRY) + MAC_BYTES
_UNKNOWN: Final = complex(float("nan"), float("nan"))
_digests_equal: Final = hmac.compare_digest

_FIGURES: Final = (
    (0, "time_us"),
    (3, "coherence"),
    (4, "n_eff"),
    (5, "p"),
    (6, "omega"),
    (7, "omega_sigma"),
    (8, "phase_sigma"),
    (11, "clock_sigma_s"),
    (12, "flags"),
)
"""Where the numbers of `Live` go."""


@dataclass(slots=True, eq=False)
class QuickStream:
    """A stream whose next frame needs nothing looked up: one has just been taken, and nothing has changed since.

    Parameters
    ----------
    row : int
        Its row in the table.
    order : Order
        The last frame that was taken; of the boot that the node has described and, where there are keys, proved.
    member : Member
        Its node.
    max_age_us : float
        A frame that is older is too late, µs.
    mac : hashlib object or None
        Has the stream's key, topic and epoch, see `becomingone.wire.seal.mac_state`; None in a cell without keys.
    """

    row: int
    order: Order
    member: Member
    max_age_us: float
    mac: blake2b | None

    def open(self, payload: bytes) -> tuple[int, int, Live] | None:
        """Give boot, seq and figures of a frame that is authentic and as our own encoder writes it; else None."""
        if self.mac is not None:
            mac = self.mac.copy()
            mac.update(payload[:-MAC_BYTES])
            if payload[-_TAIL:-MAC_BYTES] != ENTRY or not _digests_equal(mac.digest(), payload[-MAC_BYTES:]):
                return None
        one = read_one(payload)
        if one is None:
            block = recognise_block(payload)
            return None if block is None else (block.boot, block.seq, last_of(block))
        return one


def last_of(frame: PhaseFrame) -> Live:
    """Give the figures of a frame at its last sample."""
    phasor, resonance = frame.last_phasor, _UNKNOWN if frame.resonance is None else frame.resonance
    # fmt: off
    return (
        frame.last_time_us, phasor.real, phasor.imag, frame.coherence, frame.n_eff, frame.p, frame.omega,
        frame.omega_sigma, frame.phase_sigma, resonance.real, resonance.imag, frame.clock_sigma_s, int(frame.flags),
    )
    # fmt: on


def store(table: ChannelTable, rows: Sequence[int], figures: Sequence[Live]) -> None:
    """Take frames as their channels' live state, in order: the last of a row stays.

    Parameters
    ----------
    table : ChannelTable
        Where the rows are.
    rows : sequence of int, length n
        The row of each frame.
    figures : sequence of Live, length n
        What each says.
    """
    if len(rows) <= _FEW:
        for row, one in zip(rows, figures, strict=True):
            for place, column in _FIGURES:
                table[column][row] = one[place]
            table["phasor"][row] = complex(one[1], one[2])
            table["resonance"][row] = complex(one[9], one[10])
            table["alive"][row] = True
        return
    count = len(figures[0])
    values = np.fromiter(chain.from_iterable(figures), np.float64, len(rows) * count).reshape(-1, count)
    where = np.array(rows, np.intp)
    for place, column in _FIGURES:
        table[column][where] = values[:, place]
    # Of an index that comes twice, numpy keeps the last value.
    table["phasor"][where] = values[:, 1] + 1j * values[:, 2]
    table["resonance"][where] = values[:, 9] + 1j * values[:, 10]
    table["alive"][where] = True
