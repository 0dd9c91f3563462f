"""The tiers of all bands, and of channels, as one entry, and from it and the entries since, the tiers again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from becomingone.errors import KernelError
from becomingone.hub.memory.beats import Beat, pace_us
from becomingone.hub.memory.packed import unpack_blend, unpack_pyramid
from becomingone.hub.memory.protocol import Entry, Reading
from becomingone.hub.memory.shapes import as_list, as_object
from becomingone.hub.memory.tiers import Tiers
from becomingone.kairos.bands import Band
from becomingone.kairos.memory.intake import MAX_TIME_US

VERSION: Final = 1

REPLAY_US: Final = 86_400_000_000
"""µs of beats that are read again at most: a hub must be there soon after its start."""


def band_piece(band: Band, tiers: Tiers) -> Iterator[dict[str, Any]]:
    """Give copies of what is to be packed of a band, a part at a time; in between the tiers must stay as they are."""
    yield {
        "frequency_hz": band.frequency_hz,
        "tau_s": band.tau_s,
        "pace_us": tiers.pace_us,
        "until_us": tiers.until_us,
        "blend": tiers.blend.state(),
    }
    yield {"field": tiers.field.state()}
    yield {"coherence": tiers.coherence.state()}
    yield {"order": tiers.order.state()}


def restored(
    bands: Sequence[Band], past: Reading, *, every_s: float, keep: int
) -> tuple[dict[str, Tiers], list[str], int]:
    """Put the bands' tiers together: from their last entry, and from the beats since.

    Parameters
    ----------
    bands : sequence of Band
        The plan as it is now.
    past : Reading
        What was remembered.
    every_s : float
        Seconds between beats, at least.
    keep : int
        Blocks on each level, for bands that begin anew.

    Returns
    -------
    dict of str to Tiers
        By the band's name.
    list of str
        What could not be used, and why.
    int
        Beats that were found since.
    """
    found: dict[str, Tiers] = {}
    problems: list[str] = []
    entry = past.last("tier")
    pieces = _pieces(entry, problems)
    for band in bands:
        pace = pace_us(band, every_s)
        piece = pieces.get(band.name)
        tiers = Tiers(pace, keep)
        if piece is not None:
            try:
                tiers = _tiers(band, pace, piece, keep)
            except KernelError as error:
                problems.append(f"the tiers of band {band.name} begin anew: {error}")
        found[band.name] = tiers
    return found, problems, _replay(found, past, problems)


def as_written(past: Reading) -> tuple[list[Band], dict[str, Tiers], list[str]]:
    """Put the tiers together for the plan that they were written for: what another process knows of it.

    Returns
    -------
    list of Band
        The plan; empty where no hub has written here.
    dict of str to Tiers
        By the band's name.
    list of str
        What could not be used, and why.
    """
    problems: list[str] = []
    bands: list[Band] = []
    found: dict[str, Tiers] = {}
    entry = past.last("tier")
    pieces = _pieces(entry, problems)
    plan = as_list(entry.body.get("plan")) if entry is not None else []
    for name in (str(name) for name in plan if name in pieces):
        piece = pieces[name]
        try:
            band = Band.of(name, float(piece["frequency_hz"]), float(piece["tau_s"]))
            found[name] = _tiers(band, int(piece["pace_us"]), piece, 8)
        except (KernelError, KeyError, TypeError, ValueError) as error:
            problems.append(f"the tiers of band {name} cannot be used: {error}")
        else:
            bands.append(band)
    _replay(found, past, problems)
    return bands, found, problems


def _replay(found: Mapping[str, Tiers], past: Reading, problems: list[str]) -> int:
    since = min((tiers.until_us for tiers in found.values()), default=0)
    newest = past.last("mesh")
    if newest is not None and newest.time_us - since > REPLAY_US:
        since = newest.time_us - REPLAY_US
    beats = 0
    for name, beat in beats_of(past.entries("mesh", since, MAX_TIME_US), problems):
        tiers_of = found.get(name)
        if tiers_of is not None and beat.time_us >= tiers_of.until_us:
            beats += 1
            tiers_of.take(beat)
            tiers_of.settle()
    return beats


def beats_of(entries: Iterator[Entry], problems: list[str] | None = None) -> Iterator[tuple[str, Beat]]:
    """Give the beats in entries of kind ``mesh``, with their bands' names; what is none of ours is passed over."""
    for entry in entries:
        for name, told in as_object(entry.body.get("bands")).items():
            body = as_object(told)
            if "beat" not in body:
                continue
            try:
                beat = Beat.from_json(body["time_us"], body["beat"])
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                if problems is not None and len(problems) < 16:
                    problems.append(f"entry {entry.number}: band {name}: {error!r}")
                continue
            yield name, beat


def _pieces(entry: Entry | None, problems: list[str]) -> dict[str, Mapping[str, Any]]:
    if entry is None:
        return {}
    if entry.body.get("version") != VERSION:
        problems.append(f"the tiers begin anew: entry {entry.number} is of another version")
        return {}
    return {name: as_object(piece) for name, piece in as_object(entry.body.get("bands")).items()}


def _tiers(band: Band, pace: int, piece: Mapping[str, Any], keep: int) -> Tiers:
    """Read one band's.

    Raises
    ------
    KernelError
        They are none, or of another carrier or pace.
    """
    if piece.get("frequency_hz") != band.frequency_hz or piece.get("pace_us") != pace:
        raise KernelError(
            f"they are for {piece.get('frequency_hz')} Hz and beats of {piece.get('pace_us')} µs, "
            f"and it is {band.frequency_hz} Hz and {pace} µs now"
        )
    try:
        texts = {name: str(piece[name]) for name in ("blend", "field", "coherence", "order")}
        until = int(piece["until_us"])
    except (KeyError, TypeError, ValueError) as error:
        raise KernelError(f"{error!r}") from error
    tiers = Tiers(pace, keep)
    bank = unpack_blend(texts["blend"])
    if bank.state()["tau_us"].tolist() != tiers.blend.state()["tau_us"].tolist():
        raise KernelError("their time scales are others")
    tiers.blend = bank
    tiers.field, tiers.coherence, tiers.order = (
        unpack_pyramid(texts[name]) for name in ("field", "coherence", "order")
    )
    tiers.keep = tiers.field.state()["keep"]
    tiers.until_us = until
    return tiers
