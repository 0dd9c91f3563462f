"""The aggregate frame: what a child cell adds to its parent's figures, topic ``cell/<child>/aggregate``.

Per band the sums of `becomingone.kairos.mesh.partial_sum`, each number exactly as the child has it, so that a parent
that adds them has the figures of one flat mesh. What rounding took from them (``rounded``) stays behind: it is below
1e-16 of a sum. With them goes the rate at which each band's field turns, so that a parent can bring all its children to
one instant, and which cells are in the sums, so that none is counted twice or becomes its own ancestor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from becomingone.errors import FrameError
from becomingone.kairos.mesh.partial_sum import PartialSum
from becomingone.wire import cbor
from becomingone.wire.fields import INT63, OMEGA, UINT32, integer, number, required
from becomingone.wire.topics import NAME

MAX_BANDS: Final = 64
"""Bands in one frame: as many as a cell may have."""

MOST: Final = 1e12
"""The greatest sum that is believed: its square does not overflow."""

ID_BYTES: Final = 8
"""Bytes of a cell's id."""

MAX_CELLS: Final = 8192
"""Cells in one frame."""

PERSON: Final = b"becomingone/cell"
"""BLAKE2's personalisation of a cell's id."""

_SLACK: Final = 1e-9
"""Relative error that sums of many rounded terms may have."""

_NAMES: Final = (
    "weight",
    "resonance_re",
    "resonance_im",
    "order_re",
    "order_im",
    "coherence",
    "weight_squared",
    "count",
    "oldest_time_us",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregateFrame:
    """A child cell at one tick.

    Parameters
    ----------
    boot : int
        The boot id of the child's hub, 32 bits.
    seq : int
        Number of the frame within that boot, 64 bits, from 0.
    time_us : int
        Mesh time of the tick, µs since the Unix epoch, 0..2⁶³−1.
    bands : mapping of str to PartialSum
        By the band's name, up to `MAX_BANDS`; a band without any channel that counts is left out.
    omega : mapping of str to float
        Of the same bands, the rate at which the mean field turns, rad/s.
    cells : frozenset of bytes
        The ids of all cells whose channels are in the sums, the child's own among them; see `cell_id`.
    """

    boot: int
    seq: int
    time_us: int
    bands: Mapping[str, PartialSum]
    omega: Mapping[str, float]
    cells: frozenset[bytes]


def cell_id(base: str) -> bytes:
    """Give the id of a cell from its topics' base, ``<root>/<cell>``: cells that meet must not have the same one."""
    return hashlib.blake2b(base.encode(), digest_size=ID_BYTES, person=PERSON).digest()


def encode_aggregate(frame: AggregateFrame) -> bytes:
    """Encode a frame; equal ones give equal bytes.

    Raises
    ------
    FrameError
        When it breaks a rule that `decode_aggregate` would refuse it for.
    """
    bands = {name: _written(total) for name, total in frame.bands.items()}
    omega = {name: float(rate) for name, rate in frame.omega.items()}
    cells = _joined(frame.cells)
    fields: dict[int, Any] = {1: frame.boot, 2: frame.seq, 3: frame.time_us, 4: bands, 5: omega, 6: cells}
    _read(fields)
    return cbor.encode(fields)


def decode_aggregate(payload: bytes) -> AggregateFrame:
    """Decode and check a frame.

    Raises
    ------
    FrameError
        With the reason under which the refusal is counted.
    """
    return _read(cbor.decode(payload))


def _joined(cells: Iterable[bytes]) -> bytes:
    return b"".join(sorted(cells))


def _written(total: PartialSum) -> list[float | int | None]:
    t, u = total.resonance, total.order
    sums = [total.weight, t.real, t.imag, u.real, u.imag, total.coherence, total.weight_squared]
    return [*map(float, sums), total.count, total.oldest_time_us]


def _read(fields: Mapping[int, Any]) -> AggregateFrame:
    given: object = required(fields, 4, "bands")
    raw = cast("dict[object, object]", given)
    if not isinstance(given, dict):
        raise FrameError("type", "bands must be a map of names to sums")
    if len(raw) > MAX_BANDS:
        raise FrameError("too_long", f"at most {MAX_BANDS} bands are taken, not {len(raw)}")
    bands: dict[str, PartialSum] = {}
    for name, sums in raw.items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise FrameError("type", "the names of bands match the topics' rule")
        bands[name] = _sum(name, sums)
    return AggregateFrame(
        boot=integer(fields, 1, "boot", most=UINT32),
        seq=integer(fields, 2, "seq"),
        time_us=integer(fields, 3, "time_us", most=INT63),
        bands=bands,
        omega=_rates(required(fields, 5, "omega"), bands),
        cells=_cells(required(fields, 6, "cells")),
    )


def _rates(given: object, bands: Mapping[str, PartialSum]) -> dict[str, float]:
    raw = cast("dict[object, object]", given)
    if not isinstance(given, dict):
        raise FrameError("type", "omega must be a map of names to rates")
    if raw.keys() != bands.keys():
        raise FrameError("missing", "omega has the same bands as the sums")
    return {name: number(raw[name], f"{name}: omega", least=-OMEGA, most=OMEGA) for name in bands}


def _cells(given: object) -> frozenset[bytes]:
    if not isinstance(given, bytes):
        raise FrameError("type", "cells must be a byte string")
    ids = [given[at : at + ID_BYTES] for at in range(0, len(given), ID_BYTES)]
    if not ids or len(ids[-1]) != ID_BYTES:
        raise FrameError("range", f"cells must hold ids of {ID_BYTES} bytes, at least one")
    if len(ids) > MAX_CELLS:
        raise FrameError("too_long", f"at most {MAX_CELLS} cells are taken, not {len(ids)}")
    found = frozenset(ids)
    if _joined(found) != given:
        raise FrameError("range", "the ids of the cells must rise")
    return found


def _sum(band: str, given: object) -> PartialSum:
    """Read the nine numbers of a band, and hold them to what sums over channels cannot but fulfil."""
    raw = cast("list[object]", given)
    if not isinstance(given, list) or len(raw) != len(_NAMES):
        raise FrameError("type", f"{band} must be an array of {len(_NAMES)} numbers: {', '.join(_NAMES)}")
    named = dict(enumerate(raw))
    sums = [
        number(value, f"{band}: {name}", least=-MOST, most=MOST) for name, value in zip(_NAMES[:6], raw, strict=False)
    ]
    weight, t_re, t_im, u_re, u_im, coherence = sums
    squared = number(raw[6], f"{band}: weight_squared", least=0.0, most=MOST * MOST)
    count = integer(named, 7, f"{band}: count", most=UINT32)
    oldest = integer(named, 8, f"{band}: oldest_time_us", most=INT63)
    total = PartialSum(weight, complex(t_re, t_im), complex(u_re, u_im), coherence, squared, count, oldest)
    slack = _SLACK * weight
    if not (weight > 0.0 and count >= 1):
        raise FrameError("range", f"{band}: a sum has a weight above 0 and at least one channel, or is left out")
    if not (0.0 <= coherence <= weight + slack and abs(total.resonance) <= coherence + slack):
        raise FrameError("range", f"{band}: |Σw·T| ≤ Σw·C ≤ Σw does not hold")
    if not abs(total.order) <= weight + slack:
        raise FrameError("range", f"{band}: |Σw·u| ≤ Σw does not hold")
    if not weight * weight / count * (1.0 - _SLACK) <= squared <= weight * weight * (1.0 + _SLACK):
        raise FrameError("range", f"{band}: (Σw)²/n ≤ Σw² ≤ (Σw)² does not hold")
    return total
