"""Export as XDF: a stream for each channel in a band, for each band's figures, and for the events."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from becomingone.hub.memory.export_rows import (
    FIGURES,
    Exported,
    Progress,
    What,
    Where,
    as_text,
    events,
    figures,
    frames,
    iso,
)
from becomingone.hub.memory.xdf import Channel, XdfWriter

COLLECT: Final = 1024
"""Samples of a stream that are collected before they are written."""


def write_xdf(where: Where, file: BinaryIO, what: Sequence[What], progress: Progress) -> Exported:
    """Write frames, figures and events, whichever are asked for."""
    done = Exported()
    writer = XdfWriter(file, started=iso(where.start_us))
    if "events" in what:
        about = {"cell": where.cell, "content": "JSON"}
        number = writer.stream(
            "events",
            "Markers",
            [Channel("event", "JSON")],
            channel_format="string",
            source=f"{where.cell}/events",
            about=about,
        )
        for time_us, body in events(where, done, progress):
            writer.marker(number, time_us / 1e6, as_text(body))
    if "figures" in what:
        _write_figures(where, writer, done, progress)
    if "frames" in what:
        _write_frames(where, writer, done, progress)
    writer.close()
    return done


def _write_figures(where: Where, writer: XdfWriter, done: Exported, progress: Progress) -> None:
    streams: dict[str, _Collected] = {}
    for time_us, band, body in figures(where, done, progress):
        if band not in streams:
            columns = [Channel(name, unit) for name, unit in FIGURES.items()]
            number = writer.stream(
                f"{band}",
                "Coherence",
                columns,
                channel_format="double64",
                source=f"{where.cell}/band/{band}",
                about={"cell": where.cell, **_band_about(where, band)},
            )
            streams[band] = _Collected(writer, number)
        values = [body.get(name) for name in FIGURES]
        row = np.array([[math.nan if value is None else float(value) for value in values]])
        streams[band].add(np.array([time_us / 1e6]), row)
    for stream in streams.values():
        stream.flush()


def _write_frames(where: Where, writer: XdfWriter, done: Exported, progress: Progress) -> None:
    streams: dict[tuple[str, str, str], _Collected] = {}
    for record, frame in frames(where, done, progress):
        key = record.stream[:3]
        if key not in streams:
            node, band, channel = key
            number = writer.stream(
                "/".join(key),
                "Phase",
                [Channel("re", "1"), Channel("im", "1"), Channel("coherence", "0..1")],
                channel_format="float32",
                source=f"{where.cell}/{'/'.join(key)}",
                about={"cell": where.cell, "node": node, "channel": channel, **_band_about(where, band)},
            )
            streams[key] = _Collected(writer, number)
        phasors = frame.phasors
        spacing = np.arange(len(phasors), dtype=np.float64) * (frame.spacing_us or 0.0)
        stamps: NDArray[np.float64] = (frame.time_us + spacing) / 1e6
        columns = [phasors.real, phasors.imag, np.full(len(phasors), frame.coherence, np.float32)]
        streams[key].add(stamps, np.stack(columns, axis=1))
        done.samples += len(phasors)
    for stream in streams.values():
        stream.flush()


class _Collected:
    """Collects a stream's samples to chunks."""

    def __init__(self, writer: XdfWriter, number: int) -> None:
        self._writer = writer
        self._number = number
        self._stamps: list[NDArray[np.float64]] = []
        self._values: list[NDArray[Any]] = []
        self._count = 0

    def add(self, stamps: NDArray[np.float64], values: NDArray[Any]) -> None:
        self._stamps.append(stamps)
        self._values.append(values)
        self._count += len(stamps)
        if self._count >= COLLECT:
            self.flush()

    def flush(self) -> None:
        if self._count:
            self._writer.samples(self._number, np.concatenate(self._stamps), np.concatenate(self._values))
        self._stamps, self._values, self._count = [], [], 0


def _band_about(where: Where, name: str) -> dict[str, str]:
    band = where.bands.get(name)
    figures = {} if band is None else {"frequency_hz": repr(band.frequency_hz), "tau_s": repr(band.tau_s)}
    return {"band": name, **figures}
