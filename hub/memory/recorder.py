"""The recorder: what of the mesh is written into the memory, and how often."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, Final, cast

from becomingone.hub.memory.beats import Beat, BeatMaker, pace_us
from becomingone.hub.memory.channel_tiers import EARLIEST_US, ChannelTiers
from becomingone.hub.memory.figures import band_body, clean, parts, resonance
from becomingone.hub.memory.patterns import PatternMaker
from becomingone.hub.memory.protocol import Memory, Record
from becomingone.hub.memory.remember_section import RememberSection
from becomingone.hub.memory.tier_entries import restored
from becomingone.hub.memory.tier_writer import TierWriter
from becomingone.hub.memory.tiers import Tiers
from becomingone.hub.mesh.state import BandState, MeshState
from becomingone.hub.mesh.table import ChannelTable
from becomingone.kairos.bands import Band
from becomingone.runner import DirectRunner, Runner

__all__ = ["Recorder", "RememberSection"]

_LOG = logging.getLogger(__name__)

MOST_WAITING: Final = 4_096
"""Entries that may wait for room in the memory; more are dropped and counted."""

FRAMES_A_TICK: Final = 8
"""Committed frames that are read at a tick."""


class Recorder:
    """Writes the memory, and keeps the tiers.

    Parameters
    ----------
    section : RememberSection
        How often.
    bands : sequence of Band
        The plan, in its order.
    table : ChannelTable
        The channels as of each band's last evaluation.
    memory : Memory
        Takes the entries; from those that it has, the tiers are put together again.
    runner : Runner, optional
        Reads and packs the tiers, which takes longer than a turn may; by default that is done at once.

    Attributes
    ----------
    tiers : dict of str to Tiers
        By band; to be read only.
    channels : ChannelTiers
        To be read only.
    dropped : int
        Entries for which there was no room, and witness records beyond the allowance.
    backwards, unset : int
        Ticks whose mesh time was not after the one before, and those whose clock had not been set (`EARLIEST_US`).
    """

    def __init__(
        self,
        section: RememberSection,
        bands: Sequence[Band],
        table: ChannelTable,
        *,
        memory: Memory,
        runner: Runner | None = None,
    ) -> None:
        self._section = section
        self._table = table
        self._memory = memory
        self._makers = [BeatMaker(band, pace_us(band, section.every_s)) for band in bands]
        self._decided: list[bool | None] = [None] * len(bands)
        self._last: dict[str, BandState] = {}
        self._patterns = PatternMaker(bands, table, section.pattern_s)
        self._bands = bands
        self.tiers = {band.name: Tiers(pace_us(band, section.every_s), section.keep) for band in bands}
        self.channels = ChannelTiers(bands, most=section.channels, every_s=section.every_s)
        runner = runner or DirectRunner()
        self._writer = TierWriter(section, bands, self.tiers, self.channels, runner=runner, append=self._now)
        self._replayed = 0
        self._problems = 0
        self._collected: list[tuple[str, int, dict[str, Any]]] = []
        self._waiting: deque[tuple[str, int, dict[str, Any]]] = deque()
        self._witnesses: dict[str, dict[str, Any]] = {}
        self._allowance = section.witness_per_s
        self._flushed_us = 0
        self._now_us = 0
        self.dropped = 0
        self.backwards = 0
        self.unset = 0
        self._restoring = True
        self._meanwhile: deque[tuple[str, Beat]] = deque(maxlen=16 * MOST_WAITING)
        runner.submit(self._restore, self._restored)

    # -- what was before -------------------------------------------------------------------------------------------

    def _restore(self) -> tuple[dict[str, Tiers], list[str], int]:
        """Read the tiers: seconds on a small machine, so it is done beside the loop; nothing is written meanwhile."""
        with closing(self._memory.reader()) as past:
            found, problems, replayed = restored(
                self._bands, past, every_s=self._section.every_s, keep=self._section.keep
            )
            return found, problems + self._writer.restore(past), replayed

    def _restored(self, result: object, error: BaseException | None) -> None:
        problems = [f"the tiers begin anew: {error!r}"]
        if error is None:
            found, problems, self._replayed = cast("tuple[dict[str, Tiers], list[str], int]", result)
            self.tiers.update(found)
        for problem in problems:
            _LOG.warning("memory: %s", problem)
        self._problems = len(problems)
        self._restoring = False
        for name, beat in self._meanwhile:
            self.tiers[name].take(beat)
        self._meanwhile.clear()

    # -- what is ---------------------------------------------------------------------------------------------------

    def take(self, state: MeshState) -> None:
        """Take a tick's figures; what they decide is written at once, all else in its time."""
        if state.time_us < EARLIEST_US:
            self.unset += 1  # what is told of 1970 would stand before everything else for good
            return
        elapsed_s = (state.time_us - self._now_us) / 1e6
        if not self._now_us:
            elapsed_s, self._flushed_us = 0.0, state.time_us
        elif elapsed_s <= 0:
            self.backwards += 1  # the mesh's clock was set back: its time is what counts from now on
        self._allowance = min(
            self._section.witness_per_s, self._allowance + max(0.0, elapsed_s) * self._section.witness_per_s
        )
        self._now_us = state.time_us
        figures: dict[str, Any] = {}
        changed: list[tuple[BandState, str]] = []
        for number, band in enumerate(state.bands):
            if band.time_us == state.time_us:
                self._take_band(number, band, figures, changed)
        if figures:
            newest = max(int(body["time_us"]) for body in figures.values())
            self._collected.append(("mesh", newest, {"bands": figures}))
        self._collected += [("pattern", time_us, body) for time_us, body in self._patterns.take(state)]
        for band, why in changed:
            self.sign(band, why)
        if not 0 <= state.time_us - self._flushed_us < self._section.flush_s * 1e6:
            self._flush()
        self._work()

    def _take_band(
        self, number: int, band: BandState, figures: dict[str, Any], changed: list[tuple[BandState, str]]
    ) -> None:
        maker = self._makers[number]
        before = self._last.get(band.name)
        decided = self._decided[number]
        self._decided[number] = band.collapsed
        beat = maker.add(band, band.time_us) if band.valid else maker.close()
        if beat is not None and before is not None:
            figures[band.name] = band_body(before, beat)
            self._remember(band.name, beat)
        if band.valid:
            self._last[band.name] = band
        elif self._last.pop(band.name, None) is not None:
            # the last of what there was has its own place in time, and that there is nothing now is told beside it
            if beat is not None and before is not None:
                self._collected.append(("mesh", beat.time_us, {"bands": {band.name: figures.pop(band.name)}}))
            figures[band.name] = band_body(band, None)
        if band.collapsed != bool(decided):
            changed.append((band, "collapse" if band.collapsed else "dissipation"))

    def _remember(self, name: str, beat: Beat) -> None:
        if self._restoring:
            self._meanwhile.append((name, beat))
        else:
            self.tiers[name].take(beat)

    def _work(self) -> None:
        """Do a little of what may wait, so that no tick is long."""
        if self._restoring:
            return
        busy = next((tiers for tiers in self.tiers.values() if not tiers.settled), None)
        if self._writer.copying or busy is None:
            self._writer.work(self._now_us)
            self.channels.work(self._now_us, FRAMES_A_TICK)
        else:
            busy.work()

    # -- what others have decided ----------------------------------------------------------------------------------

    def sign(self, band: BandState, why: str) -> None:
        """Write a signature of a band: its coherence, its T_global, and all that bears witness to it.

        Parameters
        ----------
        band : BandState
            The band as it is.
        why : str
            What has changed.
        """
        witnesses: dict[str, Any] = {"figures": band_body(band, None), **self._witnesses}
        steady = resonance(band, self._table)
        if steady is not None:
            witnesses["resonance"] = parts(steady)
        body = {
            "band": band.name,
            "why": why,
            "coherence": round(band.coherence, 4),
            "phase": parts(band.mean_field),
            "witnesses": witnesses,
        }
        self._now("signature", band.time_us, body)

    def event(self, id: str, kind: str, time_us: int, content: Mapping[str, Any]) -> None:  # noqa: A002 - as in the payload
        """Write an event; of one that names a band, a signature too, unless the band's own decision had one."""
        self._now("event", time_us, clean({**content, "id": id, "kind": kind, "time_us": time_us}))
        band = self._last.get(str(content.get("band", "")))
        if band is not None and kind not in ("collapse", "dissipation"):
            self.sign(band, kind)

    def witnessed(self, layer: str, time_us: int, record: Mapping[str, Any]) -> None:
        """Write what a layer of witnesses has recorded."""
        body = clean({**record, "layer": layer})
        self._witnesses[layer] = body
        if self._allowance < 1.0:
            self.dropped += 1
            return
        self._allowance -= 1.0
        self._collected.append(("witness", time_us, body))

    def frames(self, frames: Iterable[Record]) -> None:
        """Take frames that have been committed, on time or late."""
        self.channels.put(frames)

    # -- to the memory ---------------------------------------------------------------------------------------------

    def _now(self, kind: str, time_us: int, body: dict[str, Any]) -> None:
        self._collected.append((kind, time_us, body))
        self._flush()

    def _flush(self) -> None:
        if self._restoring and len(self._collected) < MOST_WAITING:  # what is written now would be read as the past
            return
        self._flushed_us = self._now_us
        self._waiting.extend(self._collected)
        self._collected.clear()
        while self._waiting and self._memory.append(*self._waiting[0]):
            self._waiting.popleft()
        while len(self._waiting) > MOST_WAITING:
            self._waiting.popleft()
            self.dropped += 1

    def figures(self) -> dict[str, Any]:
        """Give the counters, for the snapshot."""
        return {
            "waiting": len(self._waiting) + len(self._collected),
            "dropped": self.dropped,
            "backwards": self.backwards,
            "unset": self.unset,
            "restoring": self._restoring,
            "replayed": self._replayed,
            "problems": self._problems,
            "tier_bytes": self._writer.bytes,
            "channels": len(self.channels),
            "channels_refused": dict(sorted(self.channels.refused.items())),
            "patterns_left_out": self._patterns.left_out,
        }

    def close(self) -> None:
        """Write everything: the beats that have begun, what waits, and the tiers."""
        figures: dict[str, Any] = {}
        for number, maker in enumerate(self._makers):
            beat = maker.close()
            name = list(self.tiers)[number]
            band = self._last.get(name)
            if beat is not None and band is not None:
                figures[name] = band_body(band, beat)
                self._remember(name, beat)
        if figures:
            newest = max(int(body["time_us"]) for body in figures.values())
            self._collected.append(("mesh", newest, {"bands": figures}))
        if self._restoring:  # the tiers lack their past, but the beats are written
            self._restoring = False
        else:
            for tiers in self.tiers.values():
                tiers.settle()
            self.channels.settle(self._now_us)
            self._writer.write_now(self._now_us)
        self._flush()
