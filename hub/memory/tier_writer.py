"""Writes the tiers into the memory now and then: copied a band or a few channels at a tick, packed apart, appended."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from becomingone.hub.memory.channel_tiers import ChannelTiers
from becomingone.hub.memory.packed import pack
from becomingone.hub.memory.protocol import Reading
from becomingone.hub.memory.shapes import as_object
from becomingone.hub.memory.tier_entries import VERSION, band_piece
from becomingone.hub.memory.tiers import Tiers
from becomingone.kairos.bands import Band
from becomingone.runner import Runner

_LOG = logging.getLogger(__name__)

Pieces = dict[str, dict[str, Any]]

PACKED: Final = ("blend", "field", "coherence", "order")


class _Pace(Protocol):
    @property
    def tier_s(self) -> float: ...


class TierWriter:
    """Writes one entry of kind ``tier`` every `tier_s`, the first at once: it tells readers the plan.

    Parameters
    ----------
    section : RememberSection
        Gives `tier_s`.
    bands : sequence of Band
        The plan.
    tiers : mapping of str to Tiers
        By band.
    channels : ChannelTiers
        The channels'.
    runner : Runner
        Packs.
    append : callable
        Takes the entry: kind, mesh time, body.

    Attributes
    ----------
    bytes : int
        Size of the last entry's text.
    """

    def __init__(
        self,
        section: _Pace,
        bands: Sequence[Band],
        tiers: Mapping[str, Tiers],
        channels: ChannelTiers,
        *,
        runner: Runner,
        append: Callable[[str, int, dict[str, Any]], None],
    ) -> None:
        self.bytes = 0
        self._period_us = round(section.tier_s * 1e6)
        self._bands = bands
        self._tiers = tiers
        self._channels = channels
        self._runner = runner
        self._append = append
        self._due: int | None = None
        self._copying: Iterator[None] | None = None
        self._packing = False
        self._closed = False

    def restore(self, past: Reading) -> list[str]:
        """Take the channels' tiers from the last entry; give what cannot be used."""
        entry = past.last("tier")
        return self._channels.restore(as_object(entry.body.get("channels"))) if entry is not None else []

    @property
    def copying(self) -> bool:
        """Whether the tiers must stay as they are."""
        return self._copying is not None

    def work(self, now_us: int) -> None:
        """Go on copying, or begin when it is time."""
        due = now_us // self._period_us
        if self._copying is not None:
            if next(self._copying, self) is self:
                self._copying = None
        elif due != self._due and not self._packing:
            self._due = due
            self._copying = self._copy(now_us)

    def _copy(self, now_us: int) -> Iterator[None]:
        pieces: Pieces = {}
        for band in self._bands:
            pieces[band.name] = {}
            for part in band_piece(band, self._tiers[band.name]):
                pieces[band.name].update(part)
                yield
        channels: dict[str, Any] = {}
        for name, state in self._channels.pieces():
            channels[name] = state
            yield
        self._packing = True
        self._runner.submit(lambda: packed(pieces, channels), lambda body, error: self._packed(now_us, body, error))

    def _packed(self, now_us: int, body: object, error: BaseException | None) -> None:
        self._packing = False
        if error is not None:
            _LOG.error("memory: the tiers cannot be packed: %r", error)
        elif not self._closed:  # a later one has been written since
            self._write(now_us, cast("dict[str, Any]", body))

    def _write(self, now_us: int, body: dict[str, Any]) -> None:
        texts = [text for piece in body["bands"].values() for text in piece.values() if isinstance(text, str)]
        self.bytes = sum(map(len, texts)) + sum(map(len, body["channels"].values()))
        self._append("tier", now_us, body)

    def write_now(self, now_us: int) -> None:
        """Write them all at once: the hub stops."""
        self._closed = True
        pieces: Pieces = {band.name: {} for band in self._bands}
        for band in self._bands:
            for part in band_piece(band, self._tiers[band.name]):
                pieces[band.name].update(part)
        self._write(now_us, packed(pieces, dict(self._channels.pieces())))


def packed(pieces: Pieces, channels: Mapping[str, Any]) -> dict[str, Any]:
    """Give the entry's body."""
    return {
        "version": VERSION,
        "plan": list(pieces),  # objects in JSON have no order
        "bands": {
            name: {key: pack(as_object(value)) if key in PACKED else value for key, value in piece.items()}
            for name, piece in pieces.items()
        },
        "channels": {name: pack(state) for name, state in channels.items()},
    }
