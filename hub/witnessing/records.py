"""What the four layers record: frozen, and as JSON for the topics and the memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, cast

MOST: Final = 16
"""Entries of a list in a record; how many there were beyond is said."""


@dataclass(frozen=True, slots=True)
class Noted:
    """A channel that stands out.

    Parameters
    ----------
    node, band, channel : str
        Which.
    fault : str or None
        What it is taken for; None for a window that is only the least probable.
    p : float
        Its probability in health, 0..1.
    figures : dict of float
        What was seen: ``innovation`` (rad) and ``normalised``; ``nis``, ``rho``, ``moved``; ``spread``; ``scale``
        (rad²); ``sigma_ratio`` or ``p_ratio``.
    """

    node: str
    band: str
    channel: str
    fault: str | None
    p: float
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class TransducerSeen:
    """The witness of a transducer of the hub's own, at the meso layer.

    Parameters
    ----------
    name : str
        ``emissary/<band>``: the mean field of a band; ``master/<band>``.
    phase : float or None
        Present phase, rad; None without one.
    coherence : float
        Present coherence, 0..1.
    gain, scale : float, float or None
        W, what it has learnt of itself.
    nis, rho, p : float or None
        Of its latest window; None before the first, or while it has not settled.
    """

    name: str
    phase: float | None
    coherence: float
    gain: float
    scale: float | None
    nis: float | None
    rho: float | None
    p: float | None


@dataclass(frozen=True, slots=True)
class MicroRecord:
    """``witness_operation``: innovations that were not to be expected, since the last record.

    Parameters
    ----------
    time_us : int
        Mesh time.
    looks : int
        Innovations that were looked at.
    notable : tuple of Noted
        Those that are notable, the least probable first; at most 16.
    left_out : int
        How many more there were.
    """

    time_us: int
    looks: int
    notable: tuple[Noted, ...]
    left_out: int

    def as_json(self) -> dict[str, Any]:
        """Give what JSON can say."""
        return _json(self)


@dataclass(frozen=True, slots=True)
class MesoRecord:
    """``witness_transducer``: windows of all channels, since the last record.

    Parameters
    ----------
    time_us : int
        Mesh time.
    windows : int
        Windows that were completed.
    watched : dict of int
        By band, the channels that are steady enough to be witnessed.
    notable : tuple of Noted
        Faults that were found; at most 16.
    left_out : int
        How many more there were.
    transducers : tuple of TransducerSeen
        The hub's own.
    """

    time_us: int
    windows: int
    watched: Mapping[str, int]
    notable: tuple[Noted, ...]
    left_out: int
    transducers: tuple[TransducerSeen, ...]

    def as_json(self) -> dict[str, Any]:
        """Give what JSON can say."""
        return _json(self)


@dataclass(frozen=True, slots=True)
class MacroRecord:
    """``witness_system``: the mesh as a whole.

    Parameters
    ----------
    time_us : int
        Mesh time.
    why : str
        ``interval``, or the event it was made for.
    coherence, order, locking : float or None
        The cell's overall figures.
    collapsed : tuple of str
        Bands that are collapsed.
    names, values : int
        Channels that have p-values, and how many p-values.
    pool_p : float
        p-value of the uniformity of all of them.
    suspect : str or None
        ``node/band/channel`` whose own are the least uniform.
    suspect_p : float
        p-value of that, for as many channels as there are.
    notable : tuple of Noted
        Claims that are not believed.
    left_out : int
        How many more there were.
    """

    time_us: int
    why: str
    coherence: float | None
    order: float | None
    locking: float | None
    collapsed: tuple[str, ...]
    names: int
    values: int
    pool_p: float
    suspect: str | None
    suspect_p: float
    notable: tuple[Noted, ...]
    left_out: int

    def as_json(self) -> dict[str, Any]:
        """Give what JSON can say."""
        return _json(self)


@dataclass(frozen=True, slots=True)
class MetaRecord:
    """``witness_self``: the witnesses themselves.

    Parameters
    ----------
    time_us : int
        Mesh time.
    witnesses, settled : int
        Witnesses of channels that there are, and those at their fixed point.
    epochs : int
        Applications of G since the start.
    level : float
        The highest of the sums that watch for drift, over its threshold, 0..1.
    lipschitz : float or None
        Greatest empirical Lipschitz constant; None before the first epoch.
    not_converged : int
        Settled witnesses for which it is 1 or more.
    misfits : int
        Witnesses that no gain fits.
    lowered : dict of list of str
        By node, the faults that it is found at just now.
    withheld, unsaid : int
        Findings that were held against nobody, because too many were at once or the node's other channels speak for
        it; events that were too many.
    false_alarm_s : float
        Mean time between false alarms of each layer, s, that the limits are set for.
    notable : tuple of Noted
        Drifts that were found.
    left_out : int
        How many more there were.
    """

    time_us: int
    witnesses: int
    settled: int
    epochs: int
    level: float
    lipschitz: float | None
    not_converged: int
    misfits: int
    lowered: Mapping[str, list[str]]
    withheld: int
    unsaid: int
    false_alarm_s: float
    notable: tuple[Noted, ...]
    left_out: int

    def as_json(self) -> dict[str, Any]:
        """Give what JSON can say."""
        return _json(self)


def _json(record: MicroRecord | MesoRecord | MacroRecord | MetaRecord) -> dict[str, Any]:
    return {name: _rounded(value) for name, value in asdict(record).items()}


def _rounded(value: Any) -> Any:  # noqa: ANN401 - as JSON is
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in cast("dict[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in cast("Sequence[Any]", value)]
    return value
