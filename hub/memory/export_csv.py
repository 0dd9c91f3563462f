"""Export as CSV: one row a sample, a band's figures or an event, with the units in the header."""

from __future__ import annotations

import cmath
import csv
from collections.abc import Iterator
from io import TextIOWrapper
from typing import BinaryIO, Final

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
from becomingone.hub.memory.protocol import Record
from becomingone.wire.phase import PhaseFrame

FRAME_COLUMNS: Final = (
    "time [UTC]",
    "time [us]",
    "node",
    "band",
    "channel",
    "boot",
    "re [1]",
    "im [1]",
    "phase [rad]",
    "coherence [0..1]",
    "p [0..1]",
    "omega [rad/s]",
    "clock_sigma [s]",
    "flags",
)


def write_csv(where: Where, file: BinaryIO, what: What, progress: Progress) -> Exported:
    """Write frames, figures or events."""
    done = Exported()
    text = TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
    writer = csv.writer(text, lineterminator="\n")
    if what == "frames":
        writer.writerow(FRAME_COLUMNS)
        for record, frame in frames(where, done, progress):
            text.writelines(_frame_lines(record, frame))
            done.samples += len(frame.phasors)
    elif what == "figures":
        writer.writerow(["time [UTC]", "time [us]", "band", *(f"{name} [{unit}]" for name, unit in FIGURES.items())])
        for time_us, band, body in figures(where, done, progress):
            writer.writerow([iso(time_us), time_us, band, *(_cell(body.get(name)) for name in FIGURES)])
    else:
        writer.writerow(["time [UTC]", "time [us]", "id", "kind", "band", "node", "content [JSON]"])
        for time_us, body in events(where, done, progress):
            names = [str(body.get(name, "")) for name in ("id", "kind", "band", "node")]
            writer.writerow([iso(time_us), time_us, *names, as_text(body)])
    text.flush()
    text.detach()
    return done


def _frame_lines(record: Record, frame: PhaseFrame) -> Iterator[str]:
    """Give a frame's rows as text: there may be millions, and csv.writer takes four times as long."""
    names = ",".join(_quoted(str(name)) for name in record.stream[:4])
    rest = ",".join(f"{value:.9g}" for value in (frame.coherence, frame.p, frame.omega, frame.clock_sigma_s))
    tail = f"{rest},{int(frame.flags)}\n"
    spacing = frame.spacing_us or 0.0
    second, head = -1, ""
    for number, phasor in enumerate(frame.phasors.tolist()):
        time_us = round(frame.time_us + number * spacing)
        whole, part = divmod(time_us, 1_000_000)
        if whole != second:
            second, head = whole, iso(time_us)[:-7]
        phase = f"{cmath.phase(phasor):.6f}" if phasor else ""
        yield f"{head}{part:06d}Z,{time_us},{names},{phasor.real:.9g},{phasor.imag:.9g},{phase},{tail}"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text


def _cell(value: object) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool) else repr(value)
